"""A sweep in parts: each unit is in exactly one part, and no part is much larger than another."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeps.config import grid
from sweeps.ledger.ledger import open_ledger
from sweeps.plan.patterns import ChoiceError
from sweeps.plan.plan import Plan
from sweeps.plan.sharding import flops, parse, shard
from sweeps.run.command import command
from sweeps.run.options import Options

UNITS = Plan(grid.load("grid_vqvae.yaml"), frozenset(), frozenset()).units


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 300))
def test_every_unit_is_in_exactly_one_part(n):
    parts = [shard(UNITS, i, n) for i in range(1, n + 1)]
    assert sorted(unit.name for part in parts for unit in part) == sorted(unit.name for unit in UNITS)


@pytest.mark.parametrize("n", [2, 3, 8, 20])
def test_no_part_costs_much_more_than_another(n):
    costs = [sum(map(flops, shard(UNITS, i, n))) for i in range(1, n + 1)]
    assert max(costs) <= sum(costs) / n + max(map(flops, UNITS))


@given(st.text(max_size=12))
def test_whatever_is_no_part_is_refused(text):
    try:
        i, n = parse(text)
    except ChoiceError as error:
        assert str(error).startswith("--shard ")
    else:
        assert 1 <= i <= n
        assert text == f"{text.split('/')[0]}/{text.split('/')[1]}"


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "1/0", "-1/3", "1/3/5", "a/b", ""])
def test_bad_parts(text):
    with pytest.raises(ChoiceError, match="it must be i/n"):
        parse(text)


def test_parts_one_after_another_make_the_whole(tiny_file, tmp_path, capsys):
    """Each part ends with exit code 0 when its own units are done, whether or not the others' are."""
    for i in (1, 2, 3):
        options = Options(results=str(tmp_path), inline=True, shard=f"{i}/3")
        assert command(str(tiny_file), [], options) == 0
        assert len(open_ledger(tmp_path, "tiny").units()) == 2 * i
    assert command(str(tiny_file), [], Options(results=str(tmp_path), dry_run=True, shard="9/9")) == 0
    assert command(str(tiny_file), [], Options(results=str(tmp_path), inline=True)) == 0
    assert "2/2" in capsys.readouterr().out
