"""Pretrained networks whose weights are installed as packages."""
