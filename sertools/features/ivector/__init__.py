"""I-vectors as Kaldi computes them: a diagonal UBM, a full-covariance extractor, online extraction.

Dehak et al. 2011 for the idea; the equations are those of Kaldi's ivector and online2 folders,
whose numbers these modules reproduce (tests/features/ivector/test_equals_kaldi.py).
"""
