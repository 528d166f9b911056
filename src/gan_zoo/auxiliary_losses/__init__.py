"""Losses beside the adversarial one: reconstruction=, classification=."""
