"""Invented experiments."""

from invented_experiments import experiment, folds, make_experiment

__all__ = ["experiment", "folds", "make_experiment"]
