"""Synthetic miniatures of corpora that cannot be given away, so that every recipe runs for everybody.

The speech is espeak-ng's.  A file SYNTHETIC at the root says so; results on it mean nothing
beyond "the recipe works".
"""
