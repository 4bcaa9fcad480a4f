"""A step that is recorded once and replayed gives the same digits as one that is run, for every kind of training.

The tests need no GPU: `tape` stands in for the CUDA graph. tests/gpu shows that CUDA records every operation.
"""

import copy
import gc
import weakref
from contextlib import nullcontext

import pytest
import torch
from committed_losses import double_precision, fit, kinds, settings_of
from tape import Tape, Waited, name_of, tape

from mtvae.evaluation import evaluate
from mtvae.loop import adamw
from mtvae.runtime.cuda_graph import WARM_STEPS, Recorded, cuda_graph
from mtvae.runtime.determinism import reproducible

KINDS = dict(kinds())
LONGER = {"training.epochs": 3, "training.batch_size": 5}  # 32 images: six batches of 5 and one of 2, three times
EVERY = {
    **KINDS,
    "exact positions": {"family": "vqvae", "method": "multi_decoder", "sampler": "exact"},
    "gaussian positions": {"family": "vqvae", "method": "single_decoder", "sampler": "gaussian"},
    "drawn with replacement": {"family": "vqvae", "method": "conditioned", "conditioning.replacement": True},
    "bf16": {"family": "gaussian_vae", "method": "multi_decoder", "training.precision": "bf16"},
}


def trained(given, record=None, pause=None):
    """Return a finished training. After `pause` steps it is saved, and a new training resumes from there."""
    s = settings_of(given | LONGER)
    f = fit(s, record=record)
    steps = 0

    class Pause(Exception):
        pass

    def after_step():
        nonlocal steps
        steps += 1
        if steps == pause:
            raise Pause

    with reproducible():
        while not f.finished:
            try:
                f.epoch(after_step)
            except Pause:
                f, state = fit(s, record=record), f.state()
                f.resume(state)
    return f


def assert_same(f, g):
    """Assert that two trainings agree in history, weights and generators."""
    assert f.history == g.history
    for name, value in f.model.state_dict().items():
        assert torch.equal(value, g.model.state_dict()[name]), name
    for a, b in zip(f.generators.values(), g.generators.values(), strict=True):
        assert torch.equal(a.get_state(), b.get_state())


@pytest.mark.parametrize("name", EVERY)
def test_replayed_steps_give_the_same_digits(name):
    """A training whose steps are replayed ends as one whose steps are run."""
    replayed = trained(EVERY[name], record=tape)
    assert replayed.recorded.replay is not None
    assert_same(trained(EVERY[name]), replayed)


@pytest.mark.parametrize("pause", [1, WARM_STEPS + 1, 9])
def test_a_resumed_training_records_again(pause):
    """An interrupted training records its step again when it resumes, and ends with the same digits."""
    given = KINDS["vqvae multi_decoder soft_adapt"]
    assert_same(trained(given), trained(given, record=tape, pause=pause))


def test_a_training_resumed_in_place_records_again():
    """The state that it resumes from is in other memory than the recorded one."""
    f = fit(settings_of(KINDS["vqvae none"] | LONGER), record=tape)
    with reproducible():
        f.epoch()
        first, state = f.recorded.replay, copy.deepcopy(f.state())
        f.epoch()
        f.resume(state)
        while not f.finished:
            f.epoch()
    assert first is not None and f.recorded.replay not in (None, first)
    assert_same(trained(KINDS["vqvae none"]), f)


def test_in_double_precision_too():
    """A replay gives the same digits in double precision, in which `committed_losses` are computed."""
    with double_precision():
        assert_same(trained(KINDS["vqvae multi_decoder"]), trained(KINDS["vqvae multi_decoder"], record=tape))


def test_only_whole_batches_are_recorded():
    """Whole batches are recorded after WARM_STEPS of them were run; short batches are always run."""
    run, recorded, replayed = [], [], []

    def record(step, generators):
        recorded.append(len(run))
        step()
        return lambda: replayed.append(recorder.batch.tolist())

    recorder = Recorded(2, [], record)
    for i in range(6):
        for batch in ([i, i], [i]):
            recorder(lambda batch: run.append(batch.tolist()), torch.tensor(batch))
    assert recorded == [2 * WARM_STEPS]
    assert replayed == [[i, i] for i in range(WARM_STEPS + 1, 6)]
    assert run == [batch for i in range(6) for batch in ([i, i], [i]) if batch not in replayed]


# Errors that a tape notices, which show that the tests above can fail.


def trained_wrongly(given, wrong):
    """Return a replayed training whose `train_on` also calls `wrong(fit)`."""
    f = fit(settings_of(given | LONGER), record=tape)
    right = f.train_on
    f.train_on = lambda batch: (right(batch), wrong(f))
    with reproducible():
        while not f.finished:
            f.epoch()
    return f


def test_waiting_for_a_number_is_noticed():
    with pytest.raises(Waited, match="_local_scalar_dense"):
        trained_wrongly(KINDS["vqvae none"], lambda f: f.sums["latent"].item())


def test_memory_that_moves_is_noticed():
    """A sum that gets a new tensor each step is not updated by the replayed steps."""

    def wrong(f):
        f.sums["latent"] = f.sums["latent"] + 1

    right, broken = trained(KINDS["vqvae none"]), trained_wrongly(KINDS["vqvae none"], wrong)
    added = [b["train_latent"] - a["train_latent"] for a, b in zip(right.history, broken.history, strict=True)]
    assert all(value < 6.9 / 32 for value in added[1:])  # seven steps that are run would add 7 / 32


def test_another_generator_is_noticed():
    other = torch.Generator()
    with pytest.raises(AssertionError, match="it does not name"):
        trained_wrongly(KINDS["vqvae none"], lambda f: torch.rand(1, generator=other))


# Between its start and its scores a training never asks for a number.


class WaitCounter(Tape):
    """Counts the operations that wait, instead of refusing them."""

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        self.operations.append(name_of(operation))
        return operation(*args, **(kwargs or {}))

    def waits(self):
        """Return the sorted names of the operations that wait."""
        from tape import WAIT

        return sorted(name for name in self.operations if name in WAIT)


def waits_of_an_epoch(given, batch_size):
    """Return the operations of an epoch that wait, and the number of all operations."""
    f = fit(settings_of(given | {"training.batch_size": batch_size}))
    with reproducible(), WaitCounter() as counter:
        f.epoch()
    return counter.waits(), len(counter.operations)


@pytest.mark.parametrize("name", KINDS)
def test_the_steps_of_an_epoch_never_wait(name):
    """An epoch of 8 steps waits as often as one of 2, with SoftAdapt's renewals (every second step) too."""
    (few, shorter), (many, longer) = (waits_of_an_epoch(KINDS[name], size) for size in (16, 4))
    assert few == many
    assert longer > 2 * shorter  # four times the steps, and the same scores


def waits_of_scores(given, images):
    """Return the operations that wait while `images` images are scored."""
    f = fit(settings_of(given))
    with reproducible(), WaitCounter() as counter:
        evaluate(f.model, f.data.images[:images], f.loss, f.sampler, {"evaluation": 0}, f.latent)
    return counter.waits()


@pytest.mark.parametrize("name", KINDS)
def test_batches_of_scores_never_wait(name, monkeypatch):
    """Scores over four batches wait as often as over one: only at the end."""
    monkeypatch.setattr("mtvae.evaluation.BATCH_SIZE", 8)
    one, four = (waits_of_scores(KINDS[name], n) for n in (8, 32))
    assert one == four
    assert set(one) == {"_local_scalar_dense"}


@pytest.mark.parametrize("record", [None, tape], ids=["run", "recorded"])
def test_an_unused_training_is_freed_at_once(record):
    """Its weights and moments are freed without the garbage collector, before the worker's next unit needs memory."""
    f = trained(KINDS["vqvae none"], record=record)
    reference = weakref.ref(f)
    gc.disable()
    try:
        del f
        assert reference() is None
    finally:
        gc.enable()


class Recording:
    """A GPU's stream that is recording."""

    def is_capturing(self):
        return True


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_torch_records_only_a_capturable_optimizer(device, monkeypatch):
    """`adamw` makes one for a GPU; torch refuses to record the step of another."""
    s = settings_of(KINDS["vqvae none"])
    module = torch.nn.Linear(2, 1)
    optimizer = adamw(module, s.training, torch.device(device))
    module(torch.ones(1, 2)).sum().backward()
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: torch.device("cuda"))
    monkeypatch.setattr(torch.accelerator, "current_stream", Recording)
    with nullcontext() if device == "cuda" else pytest.raises(RuntimeError, match="capturable is False"):
        optimizer.step()


def test_torch_has_the_cuda_functions():
    """The installed torch has the names that `cuda_graph` uses; tests/gpu calls them."""
    assert callable(torch.cuda.CUDAGraph.register_generator_state)
    assert callable(torch.cuda.CUDAGraph.replay)
    if not torch.cuda.is_available():
        with pytest.raises((RuntimeError, AssertionError)):
            cuda_graph(lambda: None, [])
