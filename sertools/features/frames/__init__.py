"""Features a frame: MFCC, filter banks, and perturbation of what they are made of."""
