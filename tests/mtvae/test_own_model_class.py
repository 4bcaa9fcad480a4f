"""Own models by themselves: every fault has one line that names the plug-in, and a training repeats its digits."""

import itertools
import sys
import types

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mtvae.config import FAMILIES, METHODS, Architecture, Loss, SoftAdapt, Training, own_sizes, resolve_sizes
from mtvae.config.own_model import RESERVED, local_modules, source_hash
from mtvae.config.sizes import Sizes
from mtvae.cost import cost
from mtvae.loop import Diverged
from mtvae.model import build
from mtvae.own_model import Field, Metric, OwnModel, OwnModelError, Section, check
from mtvae.training import TrainingSet
from sweeps.data import seeds
from sweeps.ledger.schema import BUILT_IN, UNIT_SCHEMA

NUMBERS = itertools.count()


def plugged(made):
    """Return the name of a class in a module of its own."""
    module = types.ModuleType(f"made_{next(NUMBERS)}")
    module.Model = made
    sys.modules[module.__name__] = module
    return f"{module.__name__}:Model"


class Small(OwnModel):
    """A model with dropout and noise, which draws from torch's generators."""

    terms = ("loss",)
    metrics = ("brightness",)

    class Sizes(Section):
        width: int = Field(4, ge=1, description="units")

    def build(self, shape):
        n = shape.channels * shape.side**2
        return nn.Sequential(
            nn.Flatten(), nn.Dropout(0.5), nn.Linear(n, self.sizes.width), nn.Linear(self.sizes.width, n)
        )

    def measure(self, module, batch):
        x = batch.images.flatten(1)
        return {"loss": (module(x + torch.randn_like(x)) - x).square().mean(), "brightness": x.mean()}


def architecture(family, classes=0):
    sizes = resolve_sizes(family, 1, Sizes())
    return Architecture(family=family, method="none", channels=1, side=8, sizes=sizes, classes=classes)


def fit_of(family, epochs=2, soft_adapt=None):
    model = build(architecture(family), torch.Generator().manual_seed(1))
    images = torch.randint(256, (40, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    data = TrainingSet(images, torch.arange(30), torch.arange(30, 40))
    training = Training(epochs=epochs, batch_size=8)
    return FAMILIES[family].load_fit()(
        model, data, Loss(), training, None, seeds.of_fold(0, 0), soft_adapt=soft_adapt or SoftAdapt()
    )


class Stop(Exception):
    """Ends a training between two steps."""


@pytest.mark.parametrize("variant", [None, "normalised"])
def test_a_resumed_training_repeats_its_digits(variant):
    """Dropout and noise of the plug-in are drawn anew from the step's seed, whatever else was drawn before."""
    family = plugged(Small)
    soft_adapt = SoftAdapt() if variant is None else SoftAdapt(variant=variant, beta=0.1, every=3, accuracy_order=1)
    whole, begun, resumed = (fit_of(family, soft_adapt=soft_adapt) for _ in range(3))
    while not whole.finished:
        whole.epoch()
    steps = itertools.count(1)

    def stop():
        if next(steps) == 6:
            raise Stop

    with pytest.raises(Stop):
        while not begun.finished:
            begun.epoch(stop)
    torch.manual_seed(99)
    resumed.resume(begun.state())
    while not resumed.finished:
        resumed.epoch()
    assert resumed.history == whole.history
    for name, value in whole.module.state_dict().items():
        assert torch.equal(value, resumed.module.state_dict()[name])


def test_own_draws_leave_torch_alone():
    """A unit in this process must not change what the process draws next."""
    fit = fit_of(plugged(Small), epochs=1)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fit.epoch()
    assert torch.equal(torch.rand(3), expected)


def test_a_plug_in_is_counted():
    family = plugged(Small)
    n = 64 * 4 + 4 + 4 * 64 + 64
    assert cost(architecture(family)).parameters == n == sum(p.numel() for p in fit_of(family).model.parameters())
    assert cost(architecture(family)).flops == 2 * 2 * 64 * 4
    assert cost(architecture(family)).activations == 64 + 64 + 4 + 64
    assert check(architecture(family)) == ""


def declared(**body):
    return type("Model", (Small,), body)


def returning(**found):
    return declared(measure=lambda self, module, batch: found)


class WithoutDefault(Section):
    width: int


class WithoutHelp(Section):
    width: int = 3


class OtherType(Section):
    latent: float = Field(1.0, description="not an integer, unlike model.latent")


class Mixed(Section):
    width: dict[str, int] = Field({}, description="no kind of setting")


@pytest.mark.parametrize(
    ("made", "fault"),
    [
        (type("Model", (OwnModel,), {"terms": ("loss",), "build": Small.build}), "has no method measure"),
        (type("Model", (), {}), "is a class that does not derive from mtvae.own_model.OwnModel"),
        (declared(terms=()), "has no terms"),
        (declared(terms="loss"), "has terms that are no tuple of names or metrics"),
        (declared(metrics=("loss",)), "declares loss twice in terms and metrics"),
        (declared(metrics=("not a name",)), "has 'not a name' in metrics; a name must be letters, digits and _"),
        (
            declared(metrics=(Metric("unconditioned"),)),
            "has unconditioned in metrics, which is the error of reconstruct",
        ),
        (declared(metrics=("seconds",)), "has seconds in metrics, which is the name of another column"),
        (declared(version="2"), "has the version '2'; it must be a whole number"),
        (declared(Sizes=WithoutDefault), "has the size width without a default"),
        (declared(Sizes=WithoutHelp), "has the size width without a description"),
        (declared(Sizes=OtherType), "has the size latent with another type than model.latent of built-in families"),
        (declared(Sizes=Mixed), "has the size width, whose type is none of int, float, bool, str, tuple[int, ...]"),
    ],
)
def test_a_wrong_declaration_is_one_line(made, fault):
    name = plugged(made)
    with pytest.raises(KeyError) as error:
        FAMILIES[name]
    assert error.value.args[0] == f"{name} {fault}"


ONE = torch.ones((), requires_grad=True)


@pytest.mark.parametrize(
    ("made", "fault"),
    [
        (returning(loss=ONE, kl=ONE), "measure returned 'kl', which is not in terms or metrics"),
        (returning(brightness=ONE), "measure lacks the term loss"),
        (returning(loss=torch.ones(3)), "measure returned loss of shape (3,), not a scalar tensor"),
        (returning(loss=1.0), "measure returned loss a float, not a scalar tensor"),
        (returning(loss=ONE * float("nan")), "measure returned loss nan for a batch of noise"),
        (returning(loss=torch.ones(())), "the backward pass of measure raised RuntimeError: element 0 of tensors"),
        (declared(measure=lambda self, module, batch: None), "measure returned a NoneType, not a dictionary"),
        (declared(build=lambda self, shape: 3), "build returned a int, not an nn.Module"),
        (declared(build=lambda self, shape: nn.ReLU()), "build returned a module without trainable parameters"),
        (declared(build=lambda self, shape: nn.Linear(3, 3)), "measure raised RuntimeError: mat1 and mat2 shapes"),
        (declared(weights=lambda self: {"kl": 2}), "weights has 'kl', which is not in terms"),
        (declared(reconstruct=lambda self, m, batch: batch.images[:, :, 1:]), "reconstruct returned (4, 1, 7, 8), not"),
    ],
)
def test_a_fault_is_found_before_training(made, fault):
    family = plugged(made)
    assert check(architecture(family)).startswith(f"{family}: {fault}")


def test_a_nan_in_training_names_the_plug_in():
    """A metric that is no term fails the unit too, although no loss of the training is NaN."""
    seen = itertools.count()

    def measure(self, module, batch):
        good = Small.measure(self, module, batch)
        return good | {"brightness": good["brightness"] * (float("nan") if next(seen) > 3 else 1)}

    family = plugged(declared(measure=measure))
    with pytest.raises(Diverged, match=rf"^{family}: brightness is nan in epoch 1 on the validation set$"):
        fit_of(family).epoch()


def test_an_error_in_training_names_the_plug_in():
    def measure(self, module, batch):
        if len(batch.images) == 6:  # the last batch of an epoch
            raise IndexError("of\nthe plug-in")
        return Small.measure(self, module, batch)

    family = plugged(declared(measure=measure))
    with pytest.raises(OwnModelError, match=rf"^{family}: measure raised IndexError: of the plug-in$"):
        fit_of(family).epoch()


NAMES = st.sampled_from(["a", "b", "c", "latent", "two words", "", "weight", "conditioned"])
VALUES = st.sampled_from([1.0, float("nan"), float("inf"), "text", None])


@settings(max_examples=60, deadline=None)
@given(terms=st.lists(NAMES, max_size=3), metrics=st.lists(NAMES, max_size=3), found=st.dictionaries(NAMES, VALUES))
def test_any_plug_in_works_or_is_named(terms, metrics, found):
    """A made plug-in trains, or one line names it and its fault: nothing else is raised."""
    values = {name: ONE * value if isinstance(value, float) else value for name, value in found.items()}
    family = plugged(declared(terms=tuple(terms), metrics=tuple(metrics), measure=lambda self, module, batch: values))
    try:
        FAMILIES[family]
    except KeyError as error:
        assert error.args[0].startswith(f"{family} ") and "\n" not in error.args[0]
        return
    fault = check(architecture(family))
    sound = set(terms) <= set(found) <= {*terms, *metrics} and all(value == 1.0 for value in found.values())
    assert (fault == "") == sound
    assert sound or (fault.startswith(f"{family}: ") and "\n" not in fault)


def test_sizes_with_a_known_name_are_the_known_setting():
    class Both(Section):
        latent: int = Field(3, le=9, description="dimensions of z")
        beta: float = Field(1.0, description="a weight")

    family = plugged(declared(Sizes=Both))
    assert list(own_sizes(FAMILIES[family])) == ["beta"]
    assert resolve_sizes(family, 1, Sizes(latent=5)).latent == 5
    with pytest.raises(ValueError, match="less than or equal to 9"):
        resolve_sizes(family, 1, Sizes(latent=10))
    assert not METHODS["none"].conditioned


def test_all_other_columns_are_reserved():
    """A metric of such a name would overwrite a number of the ledger."""
    metrics = {metric.name for metric in BUILT_IN if not metric.scaled}
    assert {name for name in UNIT_SCHEMA.names if name.isidentifier()} - metrics <= RESERVED


def test_the_hash_is_of_the_code(tmp_path, monkeypatch):
    """Comments and layout do not count; a module beside it that it imports does, and travels with it."""
    monkeypatch.syspath_prepend(tmp_path)
    hashes = []
    for code, helper in (
        ("X = 1", "Y = 1"),
        ("X = 1  # a\n\n", "Y = 1"),
        ("X = 2", "Y = 1"),
        ("X = 1", "Y = 2"),
    ):
        (tmp_path / "hash_helper.py").write_text(helper)
        (tmp_path / "hash_unused.py").write_text("")
        (tmp_path / "hash_model.py").write_text(f"import hash_helper\n{code}\n")
        for name in ("hash_model", "hash_helper"):
            sys.modules.pop(name, None)
        __import__("hash_model")
        hashes.append(source_hash("hash_model:X"))
        assert local_modules("hash_model:X") == [str(tmp_path / "hash_helper.py"), str(tmp_path / "hash_model.py")]
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 3
    assert local_modules("torch:nn") == []
