"""A look at a corpus before anything is trained on it: ``sertools inspect``."""
