"""A local run with Ray opens no port to the network."""

import ipaddress
import subprocess
import sys
import time

import psutil

GRID = """
name: ports
data: {dataset: digits}
folds: {n_splits: 2}
training: {epochs: 1000}
grid: [{family: gaussian_vae}]
"""


def listening(process):
    """Return the addresses at which a process and its descendants wait for connections."""
    found = set()
    for member in [process, *process.children(recursive=True)]:
        try:
            connections = member.net_connections(kind="inet")
        except psutil.NoSuchProcess:
            continue
        found |= {c.laddr.ip for c in connections if c.status == psutil.CONN_LISTEN}
    return found


def is_loopback(address):
    parsed = ipaddress.ip_address(address)
    return (getattr(parsed, "ipv4_mapped", None) or parsed).is_loopback


def test_a_local_run_listens_on_loopback_alone(tmp_path):
    (tmp_path / "ports.yaml").write_text(GRID)
    command = [sys.executable, "-m", "sweeps.run", str(tmp_path / "ports.yaml"), "--workers", "1"]
    run = subprocess.Popen([*command, "--results", str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        process, deadline = psutil.Process(run.pid), time.monotonic() + 120
        # All of Ray's servers are up before the first worker starts.
        while not any("ray::" in " ".join(child.cmdline()[:1]) for child in process.children(recursive=True)):
            assert run.poll() is None and time.monotonic() < deadline
            time.sleep(0.5)
        time.sleep(2)
        addresses = listening(process)
    finally:
        run.terminate()
        run.communicate(timeout=60)
    assert len(addresses) > 0
    assert {address for address in addresses if not is_loopback(address)} == set()
