"""Figures of a sweep: curves, exponents, losses, and pictures of what its models make of images."""
