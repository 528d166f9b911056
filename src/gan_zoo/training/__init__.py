"""The training step and what drives it."""
