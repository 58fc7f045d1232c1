"""One experiment: its tables, plots and page."""
