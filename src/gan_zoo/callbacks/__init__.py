"""What happens around training: pictures, scores, checkpoints, the terminal."""
