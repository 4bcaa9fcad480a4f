"""Shared fixtures. Tests that need real files look for them in ../shared/data and skip with a reason where absent."""

import os
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
    if not SHARED.is_dir():
        pytest.skip(f"no real image files in {SHARED}")
    return SHARED


@pytest.fixture
def read_grid() -> Callable[..., grid.Grid]:
    """YAML text -> grid."""
    return lambda text, overrides=(): grid.read(yaml_reader.parse(text), "test.yaml", overrides)


@pytest.fixture
def tiny(read_grid: Callable[..., grid.Grid]) -> grid.Grid:
    return read_grid(TINY)


@pytest.fixture
def tiny_file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return path


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(Storage(tmp_path / "results" / "tiny"))


@pytest.fixture
def plan(tiny: grid.Grid, ledger: Ledger) -> Plan:
    return Plan(tiny, ledger.units(), ledger.units("failed"))


@pytest.fixture
def digits() -> np.ndarray:
    from sweeps.data.datasets import Data, Source, load

    return load(Source(Data(limit=60), False)).images


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """A real S3 server on loopback, as host:port."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield "{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def bucket(s3_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """A path inside a new bucket of that server -> its URI. The credentials are in the environment."""
    from pyarrow import fs

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    where = f"endpoint_override={s3_server}&scheme=http"
    name = f"bucket-{abs(hash(str(tmp_path)))}"
    fs.FileSystem.from_uri(f"s3://{name}?allow_bucket_creation=true&{where}")[0].create_dir(name)
    return lambda path: f"s3://{name}/{path}?{where}"


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    """One real Ray for all tests that need one: starting it costs seconds."""
    from sweeps.backends.ray_tune.session import ray

    with pytest.MonkeyPatch.context() as patch:
        found = [str(Path(__file__).parent / "helpers"), os.environ.get("PYTHONPATH", "")]  # by workers
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, found)))
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
