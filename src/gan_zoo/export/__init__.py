"""Models to give away."""
