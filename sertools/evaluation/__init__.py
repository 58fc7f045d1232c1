"""From folds to a page of results: who is tested on what, predictions, metrics, error bars, plots."""
