"""Figures of a sweep: curves, exponents, losses, and pictures of reconstructions."""
