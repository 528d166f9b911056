"""Configs: composed, checked, built. The room that knows Hydra."""
