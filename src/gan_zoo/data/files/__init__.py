"""Image files, and the cache of decoded images."""
