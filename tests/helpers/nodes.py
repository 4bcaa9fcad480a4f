"""Start a Ray cluster on this machine in a process of its own, because Ray reads RAY_AUTH_MODE once, when imported.

The script `nodes.py FOLDER N CPUS GPUS` starts a head that trains nothing and N nodes of CPUS processors and GPUS
made-up GPUs each, and prints the head's address. Then it obeys the lines of its input until the input ends: `kill`
(kills the first node's raylet by SIGKILL), `remove` (lets the first node leave in order) and `add` (adds a node).
"""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator

NODE = {"object_store_memory": 100 * 2**20, "include_dashboard": False}


class Nodes:
    """The running script, as seen by the process that started it."""

    def __init__(self, process: subprocess.Popen[str], address: str):
        self.process, self.address = process, address

    def obey(self, order: str) -> str:
        """Send an order, wait until it is carried out, and return the answer."""
        assert self.process.stdin and self.process.stdout
        print(order, file=self.process.stdin, flush=True)
        return self.process.stdout.readline().strip()

    def kill(self) -> None:
        assert self.obey("kill") == "killed"

    def remove(self) -> None:
        assert self.obey("remove") == "removed"

    def add(self) -> None:
        assert self.obey("add") == "added"


@contextlib.contextmanager
def cluster_of_nodes(count: int, cpus: int = 1, gpus: int = 0) -> Iterator[Nodes]:
    # The path must be short, because the folder holds sockets. Leaving the context removes what Ray left there.
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        process = subprocess.Popen(
            [sys.executable, __file__, folder, str(count), str(cpus), str(gpus)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | {"RAY_AUTH_MODE": "token"},
        )
        try:
            assert process.stdout
            yield Nodes(process, process.stdout.readline().strip())
        finally:
            process.communicate(timeout=60)


def main(folder: str, count: str, cpus: str, gpus: str) -> None:
    from ray.cluster_utils import Cluster

    cluster = Cluster(True, head_node_args={"num_cpus": 0, "temp_dir": folder, **NODE})
    node = NODE | {"num_cpus": int(cpus), "num_gpus": int(gpus)}
    nodes = [cluster.add_node(**node) for _ in range(int(count))]
    print(cluster.address, flush=True)
    for order in sys.stdin:
        if order == "add\n":
            nodes.append(cluster.add_node(**node))
            print("added", flush=True)
        elif order == "remove\n":
            cluster.remove_node(nodes.pop(0), allow_graceful=True)
            print("removed", flush=True)
        else:
            first = nodes.pop(0)
            raylet = first.all_processes["raylet"][0].process
            raylet.kill()
            raylet.wait()  # a node's workers end when its raylet is gone, and a zombie is not gone
            cluster.remove_node(first, allow_graceful=False)
            print("killed", flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
