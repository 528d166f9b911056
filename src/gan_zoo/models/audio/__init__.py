"""Models of sounds whose networks do not see waveforms alone."""
