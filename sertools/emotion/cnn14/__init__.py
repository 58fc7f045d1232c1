"""S5's systems: Cnn14 on log-mel spectra, from a random start or another task's weights."""
