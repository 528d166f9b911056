"""Datasets as functions that return a `Source`, and the loader of its batches."""
