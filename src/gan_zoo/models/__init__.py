"""Models: which networks there are and what each learns from; the group model=.

A new model is a file here and a YAML in conf/model, see docs/adding.md; `base` is the contract.
"""
