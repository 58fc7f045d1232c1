"""A head on stored features of any kind: frames, hidden layers, or one row an utterance."""
