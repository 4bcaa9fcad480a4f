"""Cross-validated sweeps of the models of `mtvae`: grids, folds, placement, results and tables."""
