"""A grid that trains in seconds."""

TINY = """
name: tiny
seed: 3
data: {dataset: digits, limit: 60}
folds: {n_splits: 2}
training: {epochs: 2, batch_size: 16}
grid:
  - {family: vqvae, method: [none, single_decoder]}
  - {family: gaussian_vae, method: multi_decoder}
"""
