"""The mathematics of metrics, on features."""
