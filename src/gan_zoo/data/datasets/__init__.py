"""Datasets, one file each (config group data=)."""
