"""Regularizers: penalties on a term, projections of a discriminator, penalties on generators.

A new one is a file here and a YAML in conf/regularizer, see docs/adding.md; `base` is the
contract.
"""
