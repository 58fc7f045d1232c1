"""sertools: transfer learning for speech emotion recognition, the Kaldi way."""

__version__ = "0.1.0"
