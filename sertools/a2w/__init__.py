"""Acoustic-to-word recognition by attention (S4): loss, training, decoding, rescoring."""
