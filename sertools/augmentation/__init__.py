"""Copies of labelled speech as other voices, rooms and channels would have it: more for a small corpus to learn from.

Ko et al. 2015, "Audio augmentation for speech recognition"; Ko et al. 2017, "A study on data augmentation of
reverberant speech for robust speech recognition"; Snyder et al. 2018, "X-vectors".
"""
