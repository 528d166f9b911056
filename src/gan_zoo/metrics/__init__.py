"""Metrics of generated samples, each carrying its protocol.

`base` is the contract, `image_quality` evaluates FID and its kin, `functional` has the formulas.

A new metric is a file here and a YAML in conf/metric, see docs/adding.md.
"""
