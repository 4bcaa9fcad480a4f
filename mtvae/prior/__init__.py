"""Priors over a latent space: densities of codes (2.2.2, 2.5.1) and of vectors, and samples of them."""
