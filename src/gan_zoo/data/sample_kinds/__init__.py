"""What samples are: images, vectors, tensors, sounds."""
