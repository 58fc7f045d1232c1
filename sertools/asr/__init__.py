"""Acoustic models of transcribed speech: data, graphs, training and application."""
