"""Penalties on a duel and projections of a critic: one small file each, every one a `Regularizer`."""
