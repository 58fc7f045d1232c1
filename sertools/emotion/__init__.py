"""SER systems: where features, folds, networks and the training loop are put together."""
