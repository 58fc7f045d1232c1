"""The systems of S1: a TDNN-F and a head for emotion."""
