"""Configs: composed, checked, built. The package that imports Hydra."""
