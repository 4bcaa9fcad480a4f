"""Declarations of families, methods and metrics hold everything that other rooms derive from them."""

import pytest
from pydantic import TypeAdapter, ValidationError

from mtvae.config import FAMILIES, METHODS, SCALES, Family, Method, MethodName, Metric, Registry
from sweeps.ledger.schema import BUILT_IN, TERMS, UNIT_SCHEMA

METRICS = {metric.name: metric for family in FAMILIES for metric in family.metrics} | {m.name: m for m in BUILT_IN}


@pytest.mark.parametrize("metric", list(METRICS.values()), ids=lambda metric: metric.name)
class TestMetric:
    def test_its_columns_are_in_the_schema(self, metric):
        assert set(metric.columns) <= set(UNIT_SCHEMA.names)
        assert len(metric.columns) == (len(SCALES) if metric.scaled else 1)

    def test_its_term_is_in_the_history(self, metric):
        history = UNIT_SCHEMA.field("history").type.value_type
        names = {history.field(i).name for i in range(history.num_fields)}
        if metric.term:
            assert metric.term in TERMS
            assert {f"{part}_{metric.term}" for part in ("train", "selection", "weight")} <= names

    def test_it_is_read_back_from_its_description(self, metric):
        assert Metric(**metric.describe()) == metric


@pytest.mark.parametrize("family", list(FAMILIES), ids=lambda family: family.name)
def test_a_family_is_described_for_a_report(family):
    found = Family.from_description(**family.describe())
    assert (found.name, found.scale, found.metrics) == (family.name, family.scale, family.metrics)
    assert found.terms == family.terms


@pytest.mark.parametrize("method", list(METHODS), ids=lambda method: method.name)
def test_a_method_is_described_for_a_report(method):
    found = Method.from_description(**method.describe())
    assert (found.baseline, found.outputs, found.power_law) == (method.baseline, method.outputs, method.power_law)
    assert found.footnote == method.footnote


def test_a_registry_holds_a_declaration_for_a_while():
    """Inside `temporarily` a declaration takes the place of another of its name; afterwards the first one is back."""
    registry = Registry(Method)
    first = registry.register(Method("a", plain=True))
    with registry.temporarily(Method("a", plain=False, samplers=("uniform",))) as other:
        assert registry["a"] == other
    assert registry["a"] == first and registry.names() == ["a"] and "b" not in registry


def test_a_registry_says_what_it_knows():
    """An unknown name is refused with the known ones, and an imported object must have the registry's type."""
    with pytest.raises(KeyError, match="no method multi, only none, head_only, conditioned"):
        METHODS["multi"]
    with pytest.raises(KeyError, match=r"mtvae\.config:FAMILIES is a Registry, not a Method"):
        METHODS["mtvae.config:FAMILIES"]
    assert METHODS.get("mtvae.config:FAMILIES") is None


def test_a_plug_in_is_named_by_its_import():
    """A plug-in's name is `module:NAME`, so that a worker, which is given only the name, can import it too."""
    with METHODS.temporarily(METHODS["none"]):
        shy = METHODS["toy_method:SHY"]
        assert shy.name == "toy_method:SHY" and METHODS["toy_method:SHY"] is shy
    assert METHODS.get("toy_method:SHY") is None


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("no_such_module:X", "ModuleNotFoundError"),
        ("toy_method:GONE", "AttributeError"),
        ("toy_data:BARS", "Published"),
    ],
)
def test_a_missing_plug_in_is_refused(name, why):
    """The error of the registry and of pydantic's validation names the cause."""
    with pytest.raises(KeyError, match=why):
        METHODS[name]
    with pytest.raises(ValidationError, match=why):
        TypeAdapter(MethodName).validate_python(name)
