"""Multitask variational autoencoders: the model core.

Knows images as tensors and nothing of data sets, folds, grid files, Ray or result files. Equation and section
numbers in this package are those of E. Zakovskis, *Multitask variational autoencoders*, University of Bergen, 2024
("the thesis").
"""

__version__ = "0.1.0"
