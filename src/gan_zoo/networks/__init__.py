"""Generators and critics: plain `torch.nn.Module` classes that know shapes and nothing else."""
