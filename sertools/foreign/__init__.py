"""Checkpoints of other programs: PyTorch files read without running what they ask for."""
