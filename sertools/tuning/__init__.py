"""Searching for settings on dev parts only."""
