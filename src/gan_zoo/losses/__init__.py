"""Adversarial losses: one small file a family, every one a `Loss`."""
