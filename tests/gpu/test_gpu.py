"""Tests that need a GPU. They import only torch, pytest and the project, which a bare GPU machine has:

python -m pytest --noconftest tests/gpu
"""

import copy

import numpy as np
import pytest
import torch

from mtvae.conditioning import ConditionSampler
from mtvae.config import FAMILIES, METHODS, terms
from mtvae.evaluation import to_pixels
from mtvae.losses import loss_terms
from mtvae.runtime.cuda_graph import WARM_STEPS
from mtvae.runtime.determinism import reproducible
from mtvae.runtime.precision import forward_pass, tf32_allowed
from sweeps.config import grid, yaml_reader
from sweeps.data.datasets import Loaded
from sweeps.ledger import kept_models
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.storage import Storage
from sweeps.plan.plan import Plan
from sweeps.stages.base import Inputs
from sweeps.stages.training import prepare
from sweeps.worker import run_unit

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")

PAIRS = [
    (family, method)
    for family in FAMILIES.names()
    for method in METHODS.names()
    if family == "vqvae" or method != "head_only"  # in the other families it is the same as none
]
KINDS = [
    (family, method, soft_adapt)
    for family, method in PAIRS
    for soft_adapt in (False, True)
    if not soft_adapt or len(terms(family, method)) > 1
]
SOFT_ADAPT = "soft_adapt: {variant: loss_weighted, beta: 0.1, every: 2, accuracy_order: 1}"


@pytest.fixture
def images():
    """Return as many images as `unit_of` asks for: uint8 noise (300, 1, 16, 16) with a bright rectangle."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(0, 120, (300, 1, 16, 16), generator=generator, dtype=torch.uint8)
    noise[:, :, 4:10, 3:12] += 130
    return noise.numpy()


@pytest.fixture
def ledger(tmp_path):
    return Ledger(Storage(tmp_path / "results" / "gpu"))


def unit_of(family="vqvae", method="none", soft_adapt=False, gpus=1.0, switch=None, **training):
    """Return the first fold of a small grid: 2 epochs of 135 images in batches of 16, the last of which is short."""
    options = {"epochs": 2, "batch_size": 16, "deterministic": True} | training
    written = ", ".join(f"{name}: {str(value).lower()}" for name, value in options.items())
    row = [f"family: {family}", f"method: {method}"]
    row += [SOFT_ADAPT] * soft_adapt
    row += [f"schedule.switch_epoch: {switch}"] * (switch is not None)
    row += ["exponent: 4.0"] * (method == "single_decoder")  # with it most images show some pixels
    text = (
        f"name: gpu\nseed: 3\ndata: {{dataset: digits, limit: 300}}\nfolds: {{n_splits: 2}}\ntraining: {{{written}}}\n"
        f"resources: {{gpus: {gpus}}}\nkeep_models: all\ngrid:\n  - {{{', '.join(row)}}}\n"
    )
    return Plan(grid.read(yaml_reader.parse(text), "gpu.yaml"), frozenset(), frozenset()).units[0]


def trained(unit, images):
    """Return the unit's training after its last epoch."""
    with reproducible(unit.settings.training.deterministic):
        fit = prepare(Inputs(unit, images, "cuda"))
        while not fit.finished:
            fit.epoch()
    return fit


def assert_equal_to_the_bit(first, second):
    assert first.history == second.history
    weights = second.model.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in first.model.state_dict().items())


@pytest.mark.parametrize(("family", "method", "soft_adapt"), KINDS)
def test_two_deterministic_runs_are_equal_to_the_bit(family, method, soft_adapt, images):
    unit = unit_of(family, method, soft_adapt)
    assert_equal_to_the_bit(trained(unit, images), trained(unit, images))


@pytest.mark.parametrize(("family", "method", "soft_adapt"), KINDS)
def test_a_cuda_graph_gives_the_eager_losses(family, method, soft_adapt, images):
    """Losses of replayed steps equal those of eager steps within 1e-5."""
    eager = trained(unit_of(family, method, soft_adapt), images)
    graph = trained(unit_of(family, method, soft_adapt, cuda_graph=True), images)
    assert graph.recorded.replay is not None
    for expected, found in zip(eager.history, graph.history, strict=True):
        assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("family", FAMILIES.names())
def test_a_switch_records_another_graph(family, images):
    """A training that goes on as the plain model replays its steps on both sides of the switch."""
    units = [unit_of(family, "multi_decoder", True, switch=1, cuda_graph=graph) for graph in (False, True)]
    eager, graph = (trained(unit, images) for unit in units)
    assert graph.recorded.replay is not None
    for expected, found in zip(eager.history, graph.history, strict=True):
        assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("precision", ["tf32", "bf16"])
@pytest.mark.parametrize(("family", "method"), PAIRS)
def test_a_cuda_graph_in_lower_precision(family, method, precision, images):
    """In tf32 and bf16 too, losses of replayed steps equal those of eager steps within 1e-5."""
    eager = trained(unit_of(family, method, precision=precision), images)
    graph = trained(unit_of(family, method, precision=precision, cuda_graph=True), images)
    for expected, found in zip(eager.history, graph.history, strict=True):
        assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("cuda_graph", [False, True])
@pytest.mark.parametrize("stop_after", [2, 7, 13])
def test_a_resumed_unit_equals_an_undisturbed_one(stop_after, cuda_graph, images, tmp_path):
    """A unit that was stopped and resumed has the same history, scores and weights as one that was not."""
    unit = unit_of("gaussian_vae", "multi_decoder", soft_adapt=True, cuda_graph=cuda_graph)
    records, weights = [], []
    for name, stops in [("undisturbed", False), ("resumed", True)]:
        ledger = Ledger(Storage(tmp_path / name))
        asked = 0

        def should_stop():
            nonlocal asked
            asked += 1
            return asked == stop_after + 1  # the unit asks once before the first step

        if stops:
            assert run_unit.run_unit(unit, Loaded(images), ledger, "cuda", {}, should_stop=should_stop) == "stopped"
        assert run_unit.run_unit(unit, Loaded(images), ledger, "cuda", {}) == "done"
        (record,), _ = ledger.read()
        assert record["resumed"] == int(stops)
        records.append({k: record[k] for k in ("history", "unconditioned_per_image", "conditioned_per_image")})
        weights.append(kept_models.load(ledger.storage, unit.name)[1].state_dict())
    assert records[0] == records[1]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


def first_losses(unit, images, precision):
    """Return the loss terms of one pass over 128 images, without draws of z: in float64 on the CPU, and on the GPU."""
    s = unit.settings
    fit = prepare(Inputs(unit, images, "cuda"))
    x = to_pixels(fit.data.images[:128]).cpu()
    sampler = None if s.condition_sampler is None else ConditionSampler(s.condition_sampler, 16)
    condition = None if sampler is None else sampler(x, torch.Generator().manual_seed(0))
    exact = copy.deepcopy(fit.model).cpu().double().train()
    outputs = exact(x.double(), None if condition is None else condition.double(), None)
    expected = {name: value.item() for name, value in loss_terms(outputs, x.double(), s.architecture, s.loss).items()}
    x, condition = x.cuda(), None if condition is None else condition.cuda()
    with reproducible(), tf32_allowed(tf32=precision == "tf32"):
        with forward_pass(precision, x.device):
            outputs = fit.model.train()(x, condition, None)
        found = {name: value.item() for name, value in loss_terms(outputs, x, s.architecture, s.loss).items()}
    return expected, found


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-5), ("tf32", 5e-3), ("bf16", 5e-2)])
@pytest.mark.parametrize("family", FAMILIES.names())
def test_each_precision_is_close_to_float64(family, precision, tolerance, images):
    """Loss terms are within the precision's tolerance of float64; lower precisions differ from it noticeably."""
    expected, found = first_losses(unit_of(family, "multi_decoder"), images, precision)
    print(precision, {name: abs(found[name] / value - 1) for name, value in expected.items()})
    assert found == pytest.approx(expected, rel=tolerance)
    if precision != "fp32":  # otherwise the arithmetic would be fp32 under another name
        assert max(abs(found[name] / value - 1) for name, value in expected.items()) > 1e-6


@pytest.mark.parametrize(("gpus", "outcome"), [(1.0, "failed"), (0.5, "crowded")])
def test_running_out_of_memory_ends_the_unit(gpus, outcome, images, ledger):
    """The unit fails with a whole GPU and is crowded out with a share, and the process trains the next unit."""
    unit = unit_of("gaussian_vae", "multi_decoder", gpus=gpus)
    limit_memory(4 * 2**20)
    try:
        assert run_unit.run_unit(unit, Loaded(images), ledger, "cuda", {}) == outcome
    finally:
        limit_memory(None)
    if outcome == "failed":
        (record,), _ = ledger.read("failed")
        assert record["reason"].startswith("out of memory: CUDA out of memory")
    assert run_unit.run_unit(unit_of(), Loaded(images), ledger, "cuda", {}) == "done"


def test_running_out_of_memory_while_recording(images, ledger):
    """Memory that ends while a step is recorded counts as out of memory, and the unit can be trained afterwards."""
    unit = unit_of("gaussian_vae", "multi_decoder", gpus=0.5, cuda_graph=True)
    asked = 0

    def should_stop():
        nonlocal asked
        asked += 1
        if asked == WARM_STEPS + 1:  # the next step is recorded, which takes memory of its own
            limit_memory(torch.cuda.memory_reserved())
        return False

    try:
        assert run_unit.run_unit(unit, Loaded(images), ledger, "cuda", {}, should_stop=should_stop) == "crowded"
    finally:
        limit_memory(None)
    assert run_unit.run_unit(unit, Loaded(images), ledger, "cuda", {}) == "done"


def limit_memory(size):
    """Limit the bytes that torch may hold on the GPU; None removes the limit."""
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(1.0 if size is None else size / total)


def test_a_cpu_repeats_the_scores(images, ledger):
    """The kept model of a unit that was trained on a GPU gives the recorded scores on a CPU."""
    unit = unit_of()
    assert run_unit.run_unit(unit, Loaded(images), ledger, "cuda", {}) == "done"
    (record,), _ = ledger.read()
    assert record["device"] == torch.cuda.get_device_name()
    assert record["peak_memory"] > 0
    settings, model = kept_models.load(ledger.storage, unit.name)
    parts = Inputs(unit, images, "cpu").split
    from mtvae.evaluation import evaluate

    scores = evaluate(
        model, torch.from_numpy(np.ascontiguousarray(images[parts.test])), settings.loss, None, {"evaluation": 0}
    )
    assert scores["unconditioned_per_pixel"] == pytest.approx(record["unconditioned_per_pixel"], rel=1e-4)


@pytest.mark.parametrize("prior", ["family: vqvae, prior.kind: markov", "family: gaussian_vae, prior.kind: mixture",
                                   "family: vqvae, prior.kind: pixelcnn, prior.layers: 2, prior.width: 8"])  # fmt: skip
def test_a_prior_and_its_samples_are_those_of_a_cpu(prior, images, tmp_path):
    """On one model, counted codes give the same bits. A PixelCNN and draws of z differ there, so theirs are close."""
    text = (
        "name: gpu\nseed: 3\ndata: {dataset: digits, limit: 300}\nfolds: {n_splits: 2}\n"
        "training: {epochs: 2, batch_size: 16}\nprior.batch_size: 16\ngeneration: {samples: 20, images: 6, draws: 4}\n"
        f"grid:\n  - {{method: multi_decoder, {prior}}}\n"
    )
    text = text if "pixelcnn" in prior else text.replace("prior.batch_size: 16\n", "")
    plan = Plan(grid.read(yaml_reader.parse(text), "gpu.yaml"), frozenset(), frozenset())
    first_fold = [unit for unit in plan.units if unit.fold == 0]
    cpu, gpu = (Ledger(Storage(tmp_path / device)) for device in ("cpu", "cuda"))
    for unit in first_fold:
        assert run_unit.run_unit(unit, Loaded(images), cpu, "cpu", {}) == "done"
    training, *later = first_fold
    model = f"models/{training.name}.safetensors"
    gpu.storage.write(model, cpu.storage.read(model))
    for unit in later:
        assert run_unit.run_unit(unit, Loaded(images), gpu, "cuda", {}) == "done"
    expected, found = ({r["stage"]: r for r in ledger.read()[0]} for ledger in (cpu, gpu))
    close = {"rel": 1e-3 if "markov" in prior else 0.05}
    assert found["prior"]["bits_per_image"] == pytest.approx(expected["prior"]["bits_per_image"], **close)
    assert found["samples"]["test_distance"] == pytest.approx(expected["samples"]["test_distance"], rel=1e-4)
    assert found["samples"]["sample_distance"] == pytest.approx(expected["samples"]["sample_distance"], rel=0.1)
    assert len(found["samples"]["given_pixels"]) == len(expected["samples"]["given_pixels"]) > 0
