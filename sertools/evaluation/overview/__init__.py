"""All experiments of a folder on one page."""
