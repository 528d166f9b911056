"""Adversarial losses: one small file a family, every one a `Loss`.

A new loss is a file here and a YAML in conf/loss, see docs/adding.md; `base` is the contract.
"""
