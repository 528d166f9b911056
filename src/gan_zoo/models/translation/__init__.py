"""Models that map images to images."""
