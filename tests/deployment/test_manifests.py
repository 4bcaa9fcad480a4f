"""The compose file and the Kubernetes manifest obey their schemas.

Packages provide the schemas of Compose and of Kubernetes' pods, and none provides KubeRay's. Its fields below are those
of the API reference and of the Go types of `ray.io/v1` in KubeRay's repository, as read in November 2026 (later than
release 1.5.1, which brought `authOptions`). An API server drops or refuses unknown fields.
"""

import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

DOCKER = Path(__file__).parents[2] / "docker"
KUBERNETES = "1.33"


def closed(required=(), **properties):
    """Return the schema of an object that has these fields and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def one_of(*words):
    return {"enum": list(words)}


TEXT, TRUTH, COUNT, ANY = {"type": "string"}, {"type": "boolean"}, {"type": "integer", "minimum": 0}, {}
TEXTS = {"type": "object", "additionalProperties": TEXT}
GROUP = {"template": {"type": "object"}, "rayStartParams": TEXTS, "resources": TEXTS, "labels": TEXTS}
HEAD = closed(["template"], **GROUP, serviceType=TEXT, headService=ANY, enableIngress=TRUTH, ingressOptions=ANY)
WORKERS = closed(
    ["groupName", "template"],
    **GROUP,
    groupName=TEXT,
    replicas=COUNT,
    minReplicas=COUNT,
    maxReplicas=COUNT,
    numOfHosts=COUNT,
    idleTimeoutSeconds=COUNT,
    priority=COUNT,
    scaleStrategy=ANY,
    suspend=TRUTH,
)
CLUSTER = closed(
    ["headGroupSpec"],
    headGroupSpec=HEAD,
    workerGroupSpecs={"type": "array", "items": WORKERS},
    rayVersion=TEXT,
    authOptions=closed(mode=one_of("token", "disabled"), secretName=TEXT),
    enableInTreeAutoscaling=TRUTH,
    autoscalerOptions=ANY,
    gcsFaultToleranceOptions=ANY,
    headServiceAnnotations=TEXTS,
    historyServerOptions=ANY,
    managedBy=TEXT,
    networkPolicy=ANY,
    suspend=TRUTH,
    tlsOptions=ANY,
    upgradeStrategy=ANY,
)
JOB = closed(
    entrypoint=TEXT,
    entrypointNumCpus={"type": "number"},
    entrypointNumGpus={"type": "number"},
    entrypointResources=TEXT,
    runtimeEnvYAML=TEXT,
    submissionMode=one_of("K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"),
    submitterPodTemplate={"type": "object"},
    submitterConfig=closed(backoffLimit=COUNT),
    shutdownAfterJobFinishes=TRUTH,
    ttlSecondsAfterFinished=COUNT,
    activeDeadlineSeconds=COUNT,
    preRunningDeadlineSeconds=COUNT,
    backoffLimit=COUNT,
    deletionStrategy=ANY,
    jobId=TEXT,
    clusterSelector=TEXTS,
    metadata=TEXTS,
    managedBy=TEXT,
    suspend=TRUTH,
    rayClusterSpec=CLUSTER,
)
RAYJOB = closed(
    ["apiVersion", "kind", "metadata", "spec"],
    apiVersion=one_of("ray.io/v1"),
    kind=one_of("RayJob"),
    metadata={"type": "object"},
    spec=JOB,
)


def errors_in_compose(path):
    """Return the errors that Compose's own schema finds."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", path]
    done = subprocess.run(command, capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def errors_in_rayjob(job):
    """Return the errors that KubeRay's fields and Kubernetes' schema of a pod find."""
    import kubernetes_validate

    found = [error.message for error in jsonschema.Draft202012Validator(RAYJOB).iter_errors(job)]
    cluster = job["spec"]["rayClusterSpec"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}} | group["template"]
        try:
            kubernetes_validate.validate(pod, KUBERNETES, strict=True)
        except kubernetes_validate.ValidationError as error:
            found.append(error.message)
    return found


@pytest.fixture
def rayjob():
    return yaml.safe_load((DOCKER / "rayjob.yaml").read_text())


def test_the_compose_file_is_valid():
    assert errors_in_compose(DOCKER / "compose.yaml") == ""


def test_an_invalid_compose_file_is_noticed(tmp_path):
    text = (DOCKER / "compose.yaml").read_text()
    (tmp_path / "compose.yaml").write_text(text.replace("depends_on:", "depend_on:"))
    assert "depend_on" in errors_in_compose(tmp_path / "compose.yaml")


def test_the_rayjob_is_valid(rayjob):
    assert errors_in_rayjob(rayjob) == []


@pytest.mark.parametrize(
    ("where", "name", "value"),
    [
        (("spec",), "entryPoint", "x"),
        (("spec",), "backoffLimit", "0"),
        (("spec", "rayClusterSpec"), "authOptions", {"mode": "yes"}),
        (("spec", "rayClusterSpec", "headGroupSpec", "rayStartParams"), "num-cpus", 0),
        (("spec", "rayClusterSpec", "workerGroupSpecs", 0), "minReplica", 1),
        (("spec", "rayClusterSpec", "workerGroupSpecs", 0, "template", "spec"), "containers", [{"image": "x"}]),
        (("spec", "rayClusterSpec", "headGroupSpec", "template", "spec"), "volume", []),
    ],
)
def test_an_invalid_rayjob_is_noticed(rayjob, where, name, value):
    """Each wrong field or value is exactly one error."""
    place = rayjob
    for step in where:
        place = place[step]
    place[name] = value
    assert len(errors_in_rayjob(rayjob)) == 1
