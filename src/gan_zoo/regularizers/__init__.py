"""Penalties on a term and projections of a discriminator: one small file each, every one a
`Regularizer`.
"""
