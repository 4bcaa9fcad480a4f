"""The image, the compose file and the Kubernetes manifest are linted and read. No engine and no cluster runs them."""

import inspect
import os
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"


def pinned_version(package):
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return next(line.split("==")[1] for line in lines if line.startswith(f"{package}=="))


def options_of_the_command():
    """Return the options that `python -m sweeps.run` accepts."""
    from sweeps.run.__main__ import main

    annotations = [p.annotation for p in inspect.signature(main).parameters.values()]
    declared = [known.__metadata__[0] for known in annotations if hasattr(known, "__metadata__")]
    names = {name.replace("_", "-") for name in inspect.signature(main).parameters}
    given = {word for option in declared for word in (option.default, *(option.param_decls or ()))}
    return {f"--{name}" for name in names} | {word for word in given if isinstance(word, str)}


def test_the_dockerfile_is_linted():
    if shutil.which("hadolint") is None:
        pytest.skip("no hadolint on this machine")
    done = subprocess.run(["hadolint", DOCKER / "Dockerfile"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_image_is_pinned_and_not_roots():
    """The image runs as a user of its own, and every installation obeys constraints.txt."""
    text = (DOCKER / "Dockerfile").read_text()
    assert "USER 1000" in text
    installs = [line for line in text.splitlines() if "pip install" in line]
    assert installs and all("-c constraints.txt" in line or "--no-deps" in line for line in installs)


def test_the_image_has_what_kuberay_asks_of_it():
    """KubeRay probes Ray's job server, which `ray[tune]` lacks, with `wget`."""
    text = (DOCKER / "Dockerfile").read_text()
    assert "apt-get install -y --no-install-recommends wget" in text
    assert "pip install -c constraints.txt '.[cluster]'" in text
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert extras["cluster"] == ["ray[default]"]


def test_compose_stops_the_sweep_before_workers():
    """The sweep depends on the workers that save its units, because Compose stops a service before its dependencies.

    Compose kills a service after the grace period.
    """
    sweep = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]["sweep"]
    assert {"head", "worker1", "worker2"} <= sweep["depends_on"].keys()
    assert sweep["stop_grace_period"] == "30s"


def test_the_readme_has_the_recipes_commands():
    """Every command in the header of a recipe stands in docker/README.md."""
    readme = {line.strip() for line in (DOCKER / "README.md").read_text().splitlines()}
    for name in ("compose.yaml", "rayjob.yaml", "slurm.sh"):
        header = (DOCKER / name).read_text().splitlines()
        commands = {line[1:].strip() for line in header if line.startswith("#   ")}
        assert commands and commands <= readme


@pytest.mark.parametrize("package", ["mtvae", "sweeps"])
def test_all_data_of_a_package_is_installed(package):
    """Every file beside the modules is named as package data; the image installs nothing else."""
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"][package]
    declared = {path for pattern in patterns for path in (ROOT / package).glob(pattern)}
    files = {p for p in (ROOT / package).rglob("*") if p.is_file() and p.suffix not in (".py", ".pyc")}
    assert files == declared


def test_the_services_of_compose():
    """Compose starts a head, two workers, a store, its bucket and the sweep, guarded by a token, without open ports."""
    file = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    services = file["services"]
    assert services.keys() == {"head", "worker1", "worker2", "store", "bucket", "sweep"}
    assert not any("ports" in service for service in services.values())
    for name in ("head", "worker1", "worker2", "sweep"):
        assert services[name]["environment"]["RAY_AUTH_MODE"] == "token"
        assert ":?" in services[name]["environment"]["RAY_AUTH_TOKEN"]  # refused where it is not set
    command = services["sweep"]["command"]
    assert {word for word in command if word.startswith("--")} <= options_of_the_command()
    waited_for = {name for service in services.values() for name in service.get("depends_on", {})}
    assert waited_for <= services.keys()


def test_compose_is_valid():
    version = shutil.which("docker") and subprocess.run(["docker", "compose", "version"], capture_output=True)
    if not version or version.returncode:
        pytest.skip("no docker compose on this machine")
    environment = os.environ | {"SWEEP_TOKEN": "t", "STORE_PASSWORD": "p"}
    command = ["docker", "compose", "-f", DOCKER / "compose.yaml", "config", "--quiet"]
    assert subprocess.run(command, env=environment).returncode == 0


def test_the_rayjob_runs_our_command():
    """The RayJob names our version of Ray, a shipped grid and known options, and its pods are restricted."""
    job = yaml.safe_load((DOCKER / "rayjob.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    assert cluster["rayVersion"] == pinned_version("ray")
    assert cluster["authOptions"] == {"mode": "token"}
    words = job["spec"]["entrypoint"].split()
    assert words[:3] == ["python", "-m", "sweeps.run"]
    assert {word for word in words if word.startswith("--")} <= options_of_the_command()
    assert (ROOT / "sweeps" / "grids" / words[3]).is_file()
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for group in groups:
        (container,) = group["template"]["spec"]["containers"]
        assert container["securityContext"]["runAsNonRoot"]
        assert container["resources"]["limits"].keys() == {"cpu", "memory"}
        mounts = {mount["name"] for mount in container["volumeMounts"]}
        assert mounts == {volume["name"] for volume in group["template"]["spec"]["volumes"]}
