"""Networks that turn images into features: the group extractor=."""
