"""Cross-validated sweeps of the models of `mtvae`: grids, folds, placement, results and tables."""

from mtvae import __version__

__all__ = ["__version__"]
