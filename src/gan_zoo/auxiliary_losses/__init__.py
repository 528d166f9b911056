"""Losses in addition to the adversarial one: reconstruction=, classification=."""
