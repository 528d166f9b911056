"""Images of samples."""
