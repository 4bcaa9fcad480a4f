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

TWINS = """
name: twins
data: {{dataset: digits, limit: {limit}}}
folds: {{n_splits: 2}}
training: {{epochs: 1, batch_size: 256}}
grid: [{{family: autoencoder, model.hidden: [4, 4]}}]
"""
"""A small grid on all digits; `limit` says so by their number, 1797, or by null, which give different keys."""
