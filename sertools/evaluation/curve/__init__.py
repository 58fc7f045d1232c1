"""Learning curves: systems over the amount of training data, and how much of it one saves."""
