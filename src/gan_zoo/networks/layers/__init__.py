"""Layers of several networks."""
