"""Using trained emotion systems: any audio in, probabilities, courses and exported networks out."""

from sertools.prediction.apply import load_emotion

__all__ = ["load_emotion"]
