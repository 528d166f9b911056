"""gan_zoo: a research framework for GAN variants."""

__version__ = "0.1.0"
