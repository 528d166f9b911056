"""Generators and discriminators: plain `torch.nn.Module` classes."""
