"""How near a source's task and acoustics are to the target's, and whether that goes with what the source gains (S5)."""
