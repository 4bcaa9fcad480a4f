"""The image, the compose file and the Kubernetes manifest: linted and read. No engine and no cluster ran them here."""

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


def pinned(package):
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return next(line.split("==")[1] for line in lines if line.startswith(f"{package}=="))


def arguments_of_the_command():
    """The options that `python -m sweeps.run` knows."""
    from sweeps.run.__main__ import main

    declared = [p.annotation.__metadata__[0] for p in inspect.signature(main).parameters.values()]
    names = {name.replace("_", "-") for name in inspect.signature(main).parameters}
    given = {word for option in declared for word in (option.default, *(option.param_decls or ()))}
    return {f"--{name}" for name in names} | {word for word in given if isinstance(word, str)}


def test_the_dockerfile_is_linted():
    if shutil.which("hadolint") is None:
        pytest.skip("no hadolint on this machine")
    done = subprocess.run(["hadolint", DOCKER / "Dockerfile"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_image_is_pinned_and_not_roots():
    text = (DOCKER / "Dockerfile").read_text()
    assert "USER 1000" in text
    installs = [line for line in text.splitlines() if "pip install" in line]
    assert installs and all("-c constraints.txt" in line or "--no-deps" in line for line in installs)


def test_the_image_has_what_kuberay_asks_of_it():
    """Its probes are `wget`s of Ray's job server, which `ray[tune]` alone does not have."""
    text = (DOCKER / "Dockerfile").read_text()
    assert "apt-get install -y --no-install-recommends wget" in text
    assert "pip install -c constraints.txt '.[cluster]'" in text
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert extras["cluster"] == ["ray[default]"]


def test_the_sweep_is_stopped_before_the_workers_that_save_its_units():
    """Compose stops a service before those that it depends on, and kills it after the grace period."""
    sweep = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]["sweep"]
    assert {"head", "worker1", "worker2"} <= sweep["depends_on"].keys()
    assert sweep["stop_grace_period"] == "30s"


def test_the_readme_has_the_lines_of_the_recipes_headers():
    readme = {line.strip() for line in (DOCKER / "README.md").read_text().splitlines()}
    for name in ("compose.yaml", "rayjob.yaml", "slurm.sh"):
        header = (DOCKER / name).read_text().splitlines()
        commands = {line[1:].strip() for line in header if line.startswith("#   ")}
        assert commands and commands <= readme


@pytest.mark.parametrize("package", ["mtvae", "sweeps"])
def test_all_data_of_a_package_is_installed(package):
    """An image installs the package for good: what lies beside the modules must be named as theirs."""
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"][package]
    named = {path for pattern in patterns for path in (ROOT / package).glob(pattern)}
    there = {p for p in (ROOT / package).rglob("*") if p.is_file() and p.suffix not in (".py", ".pyc")}
    assert there == named


def test_compose_has_a_head_two_workers_a_store_and_a_token():
    file = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    services = file["services"]
    assert services.keys() == {"head", "worker1", "worker2", "store", "bucket", "sweep"}
    assert not any("ports" in service for service in services.values())
    for name in ("head", "worker1", "worker2", "sweep"):
        assert services[name]["environment"]["RAY_AUTH_MODE"] == "token"
        assert ":?" in services[name]["environment"]["RAY_AUTH_TOKEN"]  # refused where it is not set
    command = services["sweep"]["command"]
    assert {word for word in command if word.startswith("--")} <= arguments_of_the_command()
    waited_for = {name for service in services.values() for name in service.get("depends_on", {})}
    assert waited_for <= services.keys()


def test_compose_is_valid():
    known = shutil.which("docker") and subprocess.run(["docker", "compose", "version"], capture_output=True)
    if not known or known.returncode:
        pytest.skip("no docker compose on this machine")
    environment = os.environ | {"SWEEP_TOKEN": "t", "STORE_PASSWORD": "p"}
    command = ["docker", "compose", "-f", DOCKER / "compose.yaml", "config", "--quiet"]
    assert subprocess.run(command, env=environment).returncode == 0


def test_the_rayjob_is_of_our_ray_and_runs_our_command():
    job = yaml.safe_load((DOCKER / "rayjob.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    assert cluster["rayVersion"] == pinned("ray")
    assert cluster["authOptions"] == {"mode": "token"}
    words = job["spec"]["entrypoint"].split()
    assert words[:3] == ["python", "-m", "sweeps.run"]
    assert {word for word in words if word.startswith("--")} <= arguments_of_the_command()
    assert (ROOT / "sweeps" / "grids" / words[3]).is_file()
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for group in groups:
        (container,) = group["template"]["spec"]["containers"]
        assert container["securityContext"]["runAsNonRoot"]
        assert container["resources"]["limits"].keys() == {"cpu", "memory"}
        mounts = {mount["name"] for mount in container["volumeMounts"]}
        assert mounts == {volume["name"] for volume in group["template"]["spec"]["volumes"]}
