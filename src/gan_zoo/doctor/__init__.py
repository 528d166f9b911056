"""What goes wrong when two players train, measured and named."""
