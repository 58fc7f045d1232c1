"""Acoustic features behind lhotse's interface, and the store that keeps them."""
