"""A sweep with priors whose driver or worker is killed at random moments, in process and with Ray.

The driver is the real command. Commit nothing meanwhile, because records name the commit that made them.
"""

import signal

import pytest
from disturbance import adopting, temporary_files
from hunting import Hunt
from records import rows_of
from safetensors.torch import load

GRID = """
name: hunted
seed: 3
data: {dataset: digits, limit: 60}
folds: {n_splits: 2}
training: {epochs: 2, batch_size: 16, checkpoint_seconds: 0}
prior: {layers: 2, width: 8, epochs: 60, batch_size: 16, dropout: 0.1}
generation: {samples: 10, images: 4, draws: 3}
grid:
  - {family: vqvae, method: [none, multi_decoder], prior.kind: [markov, pixelcnn]}
"""
INLINE, ONE_WORKER, TWO_WORKERS = ["--inline"], ["--workers", "1"], ["--workers", "2"]


@pytest.fixture(autouse=True)
def adopted():
    """Adopt the processes that a killed driver leaves, so that none escapes notice."""
    with adopting():
        yield


def weights_of(hunt):
    """Return the numbers of the kept models and priors, by file and name, as bytes."""
    storage = hunt.ledger.storage
    files = {file: load(storage.read(f"models/{file}")) for file in storage.names("models")}
    return {(file, name): value.numpy().tobytes() for file, found in files.items() for name, value in found.items()}


@pytest.mark.slow
def test_a_killed_prior_resumes_to_the_same_digits(tmp_path):
    """Records, models and priors are those of an undisturbed run; several priors went on from a checkpoint."""
    whole, hunt = (Hunt(tmp_path / name, 5, GRID) for name in ("whole", "hunted"))
    assert whole.run(None, *INLINE) == 0
    for how in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
        hunt.strike(hunt.start(None, *INLINE), how)
    driver = hunt.start(None, *ONE_WORKER)
    hunt.strike(driver, "worker")
    hunt.strike(driver, signal.SIGKILL)
    hunt.strike(hunt.start(None, *TWO_WORKERS), signal.SIGTERM)
    hunt.strike(hunt.start(None, *INLINE), signal.SIGKILL)
    assert hunt.run(None, *INLINE) == 0
    assert rows_of(hunt.ledger) == rows_of(whole.ledger)
    assert weights_of(hunt) == weights_of(whole)
    assert temporary_files(hunt.ledger) == []
    resumed = {record["stage"] for record in hunt.ledger.read()[0] if record["resumed"]}
    assert "prior" in resumed
