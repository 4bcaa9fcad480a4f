"""A step that is recorded once and replayed gives the digits of one that is run, for every kind of training.

Without a GPU: `tape` stands in for the CUDA graph. That CUDA records every operation is shown by tests/gpu.
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
from mtvae.runtime.determinism import repeatable

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
    """A whole training; `pause`: after so many steps it is saved, and a new one goes on from there."""
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

    with repeatable():
        while not f.finished:
            try:
                f.epoch(after_step)
            except Pause:
                f, state = fit(s, record=record), f.state()
                f.resume(state)
    return f


def same(f, g):
    assert f.history == g.history
    for name, value in f.model.state_dict().items():
        assert torch.equal(value, g.model.state_dict()[name]), name
    for a, b in zip(f.generators.values(), g.generators.values(), strict=True):
        assert torch.equal(a.get_state(), b.get_state())


@pytest.mark.parametrize("name", EVERY)
def test_replayed_steps_give_the_digits_of_steps_that_are_run(name):
    replayed = trained(EVERY[name], record=tape)
    assert replayed.recorded.replay is not None
    same(trained(EVERY[name]), replayed)


@pytest.mark.parametrize("pause", [1, WARM_STEPS + 1, 9])
def test_a_training_that_was_interrupted_records_anew_and_ends_with_the_same_digits(pause):
    given = KINDS["vqvae multi_decoder soft_adapt"]
    same(trained(given), trained(given, record=tape, pause=pause))


def test_a_recorded_training_that_resumes_in_place_records_anew():
    """What it resumes from is in other memory than what was recorded."""
    f = fit(settings_of(KINDS["vqvae none"] | LONGER), record=tape)
    with repeatable():
        f.epoch()
        first, state = f.recorded.replay, copy.deepcopy(f.state())
        f.epoch()
        f.resume(state)
        while not f.finished:
            f.epoch()
    assert first is not None and f.recorded.replay not in (None, first)
    same(trained(KINDS["vqvae none"]), f)


def test_in_double_precision_too():
    """What `committed_losses` are computed in, so that a tape is held against them as well."""
    with double_precision():
        same(trained(KINDS["vqvae multi_decoder"]), trained(KINDS["vqvae multi_decoder"], record=tape))


def test_only_whole_batches_are_recorded_and_only_after_some_were_run():
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


# What a tape would not forgive, so that the tests above can fail.


def made_wrong(given, wrong):
    """A replayed training whose `train_on` also does `wrong(fit)`."""
    f = fit(settings_of(given | LONGER), record=tape)
    right = f.train_on
    f.train_on = lambda batch: (right(batch), wrong(f))
    with repeatable():
        while not f.finished:
            f.epoch()
    return f


def test_a_number_that_the_host_waits_for_is_noticed():
    with pytest.raises(Waited, match="_local_scalar_dense"):
        made_wrong(KINDS["vqvae none"], lambda f: f.sums["latent"].item())


def test_memory_that_moves_is_noticed():
    def wrong(f):
        f.sums["latent"] = f.sums["latent"] + 1

    right, broken = trained(KINDS["vqvae none"]), made_wrong(KINDS["vqvae none"], wrong)
    added = [b["train_latent"] - a["train_latent"] for a, b in zip(right.history, broken.history, strict=True)]
    assert all(value < 6.9 / 32 for value in added[1:])  # of seven steps that each added one


def test_another_generator_is_noticed():
    other = torch.Generator()
    with pytest.raises(AssertionError, match="it does not name"):
        made_wrong(KINDS["vqvae none"], lambda f: torch.rand(1, generator=other))


# Between its start and its scores a training never asks for a number.


class Asked(Tape):
    """Counts what waits, instead of refusing it."""

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        self.operations.append(name_of(operation))
        return operation(*args, **(kwargs or {}))

    def counted(self):
        from tape import WAIT

        return sorted(name for name in self.operations if name in WAIT)


def asked_of_an_epoch(given, batch_size):
    f = fit(settings_of(given | {"training.batch_size": batch_size}))
    with repeatable(), Asked() as asked:
        f.epoch()
    return asked.counted(), len(asked.operations)


@pytest.mark.parametrize("name", KINDS)
def test_an_epoch_asks_for_numbers_at_its_end_however_many_steps_it_has(name):
    """SoftAdapt's renewals (every second step here) are among them."""
    (few, shorter), (many, longer) = (asked_of_an_epoch(KINDS[name], size) for size in (16, 4))
    assert few == many
    assert longer > 2 * shorter  # 8 steps and 2, and the same scores


def asked_of_scores(given, images):
    f = fit(settings_of(given))
    with repeatable(), Asked() as asked:
        evaluate(f.model, f.data.images[:images], f.loss, f.sampler, {"evaluation": 0}, f.latent)
    return asked.counted()


@pytest.mark.parametrize("name", KINDS)
def test_scores_are_asked_for_at_the_end_however_many_batches_there_are(name, monkeypatch):
    monkeypatch.setattr("mtvae.evaluation.BATCH_SIZE", 8)
    one, four = (asked_of_scores(KINDS[name], n) for n in (8, 32))
    assert one == four
    assert set(one) == {"_local_scalar_dense"}


@pytest.mark.parametrize("record", [None, tape], ids=["run", "recorded"])
def test_a_training_that_nobody_holds_is_gone_at_once(record):
    """Its weights and moments, before the worker's next unit takes its own."""
    f = trained(KINDS["vqvae none"], record=record)
    gone = weakref.ref(f)
    gc.disable()
    try:
        del f
        assert gone() is None
    finally:
        gc.enable()


class Recording:
    """A GPU's stream under recording."""

    def is_capturing(self):
        return True


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_torch_records_the_step_of_a_gpus_optimizer(device, monkeypatch):
    """It refuses that of an optimizer which was not made for it."""
    s = settings_of(KINDS["vqvae none"])
    module = torch.nn.Linear(2, 1)
    optimizer = adamw(module, s.training, torch.device(device))
    module(torch.ones(1, 2)).sum().backward()
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: torch.device("cuda"))
    monkeypatch.setattr(torch.accelerator, "current_stream", Recording)
    with nullcontext() if device == "cuda" else pytest.raises(RuntimeError, match="capturable is False"):
        optimizer.step()


def test_what_cuda_is_asked_for_is_there():
    """The names that `cuda_graph` uses, in the torch that is installed; tests/gpu calls them."""
    assert callable(torch.cuda.CUDAGraph.register_generator_state)
    assert callable(torch.cuda.CUDAGraph.replay)
    if not torch.cuda.is_available():
        with pytest.raises((RuntimeError, AssertionError)):
            cuda_graph(lambda: None, [])
