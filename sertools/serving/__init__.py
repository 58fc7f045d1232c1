"""A page on this machine: speech in, probabilities over its waveform out; and labelling what systems are unsure of."""
