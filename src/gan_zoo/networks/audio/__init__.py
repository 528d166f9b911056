"""Networks of sounds."""
