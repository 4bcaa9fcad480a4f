"""A Ray cluster on this machine, in a process of its own: Ray reads how its nodes are guarded once, when imported.

As a script, `nodes.py FOLDER N CPUS GPUS`: prints the address of a head that trains nothing and of N nodes of so many
processors and made-up GPUs, then obeys the lines of its input, `kill` (the first node's raylet, by SIGKILL), `remove`
(the first node, which may say farewell) and `add`, until the input ends.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator

NODE = {"object_store_memory": 100 * 2**20, "include_dashboard": False}


class Nodes:
    """The script, as seen by whoever started it."""

    def __init__(self, process: subprocess.Popen[str], address: str):
        self.process, self.address = process, address

    def obey(self, order: str) -> str:
        """Returns when it is done."""
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
    # Short, since it holds sockets; and so that what Ray leaves there goes.
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
            raylet.wait()  # workers of a node end when it is gone, which one that nobody waited for is not
            cluster.remove_node(first, allow_graceful=False)
            print("killed", flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
