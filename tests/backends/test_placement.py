"""Checks of a cluster before the first trial."""

import socket
import time

import pytest
from stand_ins import SeenByItsMakerAlone

from sweeps.backends.ray_tune import nodes
from sweeps.ledger.ledger import Ledger
from sweeps.plan.plan import Plan
from sweeps.plan.unit import PlacementError


@pytest.fixture
def units(read_grid):
    """Return a function that makes units which ask for these resources."""

    def asking(**resources):
        text = "name: a\ngrid: [{}]\n" + "".join(f"resources.{name}: {value}\n" for name, value in resources.items())
        return Plan(read_grid(text), frozenset(), frozenset()).units

    return asking


@pytest.fixture
def two_nodes(monkeypatch):
    """Make up a node with a GPU and few CPUs, one with many CPUs and no GPU, and a dead one."""
    made = [
        {"Alive": True, "Resources": {"CPU": 2.0, "GPU": 1.0, "memory": 8e9}},
        {"Alive": True, "Resources": {"CPU": 16.0, "memory": 64e9}},
        {"Alive": False, "Resources": {"CPU": 99.0, "GPU": 99.0}},
    ]
    monkeypatch.setattr(nodes.ray, "nodes", lambda: made)
    return made


def test_nobody_at_the_address_is_said_at_once():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    began = time.monotonic()
    for address in (f"127.0.0.1:{port}", "ray://127.0.0.1:10001", "nobody.invalid:6379", "127.0.0.1:99999", "x"):
        with pytest.raises(PlacementError, match="no Ray cluster at"):
            nodes.connect(address)
    assert time.monotonic() - began < 20


def test_a_cluster_of_another_version_is_one_line(monkeypatch):
    def refuse(**options):
        raise RuntimeError("Version mismatch: The cluster was started with:\n    Ray: 2.50\n    Python: 3.10")

    monkeypatch.setattr(nodes.ray, "init", refuse)
    with pytest.raises(PlacementError, match=r"cannot use a Ray cluster at auto: Version mismatch: .*Ray: 2.50 Python"):
        nodes.connect("auto")


def test_what_fits_on_some_node_is_fine(units, two_nodes):
    nodes.check_resources(units(cpus=2, gpus=0.5), 0)
    nodes.check_resources(units(cpus=16, memory=60_000_000_000), 0)


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ({"gpus": 2}, "resources.gpus is 2, but the largest node has 1"),
        ({"cpus": 17}, "resources.cpus is 17, but the largest node has 16"),
        ({"memory": 10**12}, "resources.memory is 1e[+]12, but the largest node has 6.4e[+]10"),
        ({"cpus": 8, "gpus": 1}, "no node has .* together"),
    ],
)
def test_what_fits_nowhere_is_said(units, two_nodes, resources, message):
    with pytest.raises(PlacementError, match=message):
        nodes.check_resources(units(**resources), 0)


def test_an_autoscaler_is_asked_and_given_its_time(units, two_nodes, monkeypatch):
    from ray.autoscaler import sdk

    requested = []

    def request(bundles):
        requested.extend(bundles)
        two_nodes.append({"Alive": True, "Resources": {"CPU": 8.0, "GPU": 4.0}})

    monkeypatch.setattr(sdk, "request_resources", request)
    nodes.check_resources(units(gpus=4), 30)
    assert requested == [{"CPU": 1.0, "GPU": 4.0}]


def test_waiting_ends(units, two_nodes, monkeypatch):
    from ray.autoscaler import sdk

    monkeypatch.setattr(sdk, "request_resources", lambda bundles: None)
    with pytest.raises(PlacementError, match="after 1 s"):
        nodes.check_resources(units(gpus=4), 1)


def test_a_node_must_see_the_results(ray_session, ledger, tmp_path):
    nodes.check_storage(ledger)
    assert ledger.storage.names("") == []
    hidden = Ledger(SeenByItsMakerAlone(tmp_path / "hidden"))
    with pytest.raises(PlacementError, match="results need a folder that every node has, or S3"):
        nodes.check_storage(hidden)
    assert hidden.storage.names("") == []


def test_a_cluster_is_described(ray_session):
    assert nodes.describe_cluster() == "1 node, 2 CPUs, 0 GPUs"
