"""Generators and discriminators: plain `torch.nn.Module` classes that know shapes and nothing else."""
