"""Images are read in a worker of Ray: its errors are one line in the driver, and so is a long wait for it."""

from functools import partial

import pytest
from stand_ins import die_while_loading, load_slowly, raise_this

from sweeps.backends.base import RunContext
from sweeps.backends.progress import Progress
from sweeps.backends.stop import Stop
from sweeps.data.datasets import DataError
from sweeps.plan.work_source import GridSource


@pytest.fixture
def read(ray_session, plan, ledger):
    """Return a function that starts a sweep on Ray with this loader of images."""
    from sweeps.backends.ray_tune.driver import RayTune

    def run(load, units):
        with Progress(plan, units, terminal=False) as progress:
            RayTune(1).run(GridSource(units), RunContext(ledger, {}, load=load), progress, Stop())

    return lambda load: run(load, plan.units[:1])


def test_too_little_memory_is_one_line(read):
    with pytest.raises(DataError, match="digits: not enough memory to read the images"):
        read(partial(raise_this, MemoryError()))


def test_a_reader_that_dies_is_one_line(read):
    """As when the kernel kills it because memory ran out."""
    with pytest.raises(DataError, match="digits: the images cannot be read: the process that read them died") as caught:
        read(die_while_loading)
    assert "\n" not in str(caught.value)


def test_a_long_reading_is_told(read, monkeypatch, capsys):
    monkeypatch.setattr("sweeps.backends.ray_tune.driver.LOG_SECONDS", 0.3)
    read(load_slowly)
    assert "data: 60 images of digits: reading for " in capsys.readouterr().out
