"""Pretrained models of speech and of text, from a folder on disk: hidden states of utterances and of words."""
