"""Data sets: the group data=, one file each."""
