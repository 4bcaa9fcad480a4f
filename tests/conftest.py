"""Shared fixtures. Tests that need real images look for them in ../shared/data, and are skipped if there are none."""

import os

# Before torch is imported. Its threads wait for each other by spinning: beside other work the same tests with two
# threads took ten times as long. Units compute with one thread anyhow.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from grids import TINY

from sweeps.config import grid, yaml_reader
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.storage import Storage
from sweeps.plan.plan import Plan

SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture
def shared_data() -> Path:
    """Return the folder of real images, or skip the test if there is none."""
    if not SHARED.is_dir():
        pytest.skip(f"no real image files in {SHARED}")
    return SHARED


@pytest.fixture
def read_grid() -> Callable[..., grid.Grid]:
    """Return a function that reads a grid from YAML text, with overrides as of `--set`."""
    return lambda text, overrides=(): grid.read(yaml_reader.parse(text), "test.yaml", overrides)


@pytest.fixture
def tiny(read_grid: Callable[..., grid.Grid]) -> grid.Grid:
    return read_grid(TINY)


@pytest.fixture
def tiny_file(tmp_path: Path) -> Path:
    """Write the grid `tiny` to a file, and return its path."""
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return path


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """Return an empty ledger for the grid `tiny`."""
    return Ledger(Storage(tmp_path / "results" / "tiny"))


@pytest.fixture
def plan(tiny: grid.Grid, ledger: Ledger) -> Plan:
    """Return the plan of the grid `tiny`."""
    return Plan(tiny, ledger.units(), ledger.units("failed"))


@pytest.fixture
def digits() -> np.ndarray:
    """Return the first 60 images of digits, uint8 (60, 1, 16, 16)."""
    from sweeps.data.datasets import Data, Source, load

    return load(Source(Data(limit=60), False)).images


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """Run an S3 server (moto) on the loopback interface, and return its host:port."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield "{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def bucket(s3_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Return a function from a path in a new bucket of that server to its URI. Credentials are in the environment."""
    from pyarrow import fs

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    options = f"endpoint_override={s3_server}&scheme=http"
    name = f"bucket-{abs(hash(str(tmp_path)))}"
    fs.FileSystem.from_uri(f"s3://{name}?allow_bucket_creation=true&{options}")[0].create_dir(name)
    return lambda path: f"s3://{name}/{path}?{options}"


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    """Run one real Ray for all tests that need one, because starting it costs seconds."""
    from sweeps.backends.ray_tune.session import ray

    with pytest.MonkeyPatch.context() as patch:
        folders = [str(Path(__file__).parent / "helpers"), os.environ.get("PYTHONPATH", "")]  # workers import from here
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, folders)))
        ray.init(
            address="local",
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
            object_store_memory=100 * 2**20,
        )
    yield
    ray.shutdown()
