"""Metrics, intervals, tests and calibration: numbers from numbers."""
