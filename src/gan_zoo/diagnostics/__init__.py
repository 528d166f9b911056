"""What goes wrong in training, found by name."""
