"""The systems of S4: emotion from speech, words, or the states of an acoustic-to-word recogniser."""
