"""Lexicons, units and n-gram language models of words."""
