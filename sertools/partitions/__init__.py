"""Partitions: who trains, who chooses (dev), who is tested, and the proof that they differ."""
