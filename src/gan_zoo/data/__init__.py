"""Datasets as functions that return a `Source`, and the loader of its batches.

`dataset` has the `Source`, `datasets` a file for each dataset, `datamodule` what a trainer takes.

A new dataset is a file in `datasets` and a YAML in conf/data, see docs/adding.md.
"""
