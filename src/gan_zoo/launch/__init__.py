"""From a command to trained runs."""
