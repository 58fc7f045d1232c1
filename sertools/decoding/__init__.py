"""From network outputs to words, and how many of them are wrong."""
