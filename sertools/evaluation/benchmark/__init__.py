"""Many systems on many tasks as one table: which are better than the best simple one, and what they cost."""
