"""Scores of generated samples, each carrying its protocol."""
