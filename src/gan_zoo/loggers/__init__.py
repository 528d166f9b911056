"""Where numbers and images are logged: the group logger=."""
