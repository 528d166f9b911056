"""What happens around training: images, scores, checkpoints, the terminal."""
