"""Plans that would mix work are refused: one key for two folders, and done units of an older default."""

import pytest
from PIL import Image

from sweeps.config.settings import flatten, unflatten
from sweeps.data.datasets import declared
from sweeps.data.image_folder import listing
from sweeps.plan.identity import key_of
from sweeps.plan.patterns import ChoiceError
from sweeps.plan.plan import Plan
from sweeps.plan.same_work import check_same_work

FOLDS = "folds: {n_splits: 2, selection: fold}"


@pytest.fixture(autouse=True)
def _forget_folders():
    yield
    listing.cache_clear()
    declared.cache_clear()


@pytest.fixture
def root(tmp_path):
    for folder in ("ant", "bee"):
        (tmp_path / "images" / folder).mkdir(parents=True)
        for i in range(6):
            Image.new("L", (8, 8)).save(tmp_path / "images" / folder / f"{i}.png")
    return tmp_path / "images"


@pytest.fixture
def sampled(read_grid, root):
    """Return a function from overrides to a grid with a limit, and to the key that an earlier version gave its row."""

    def read(*overrides):
        text = f"name: a\ndata: {{dataset: folder, root: {root}, limit: 8}}\n{FOLDS}\ngrid: [{{}}]"
        grid = read_grid(text, overrides)
        return grid, key_of(unflatten(flatten(grid.rows[0]) | {"data.sample": None}))

    return read


def plan_of(grid, *keys):
    return Plan(grid, frozenset((key, 0) for key in keys), frozenset())


def test_done_units_of_the_older_default_stop(sampled):
    """The line says both ways out, and each of them is taken without a question."""
    grid, older = sampled()
    check_same_work(plan_of(grid, "f" * 12))
    with pytest.raises(ChoiceError) as caught:
        check_same_work(plan_of(grid, older))
    assert str(caught.value) == (
        "data.sample is not given, and is stratified now; 1 unit of vqvae 1 none were done with first: "
        "--set data.sample=first continues them, --set data.sample=stratified starts anew"
    )
    continued, key = sampled("data.sample=first")
    assert key_of(continued.rows[0]) == key == older
    check_same_work(plan_of(continued, older))
    anew, _ = sampled("data.sample=stratified")
    assert key_of(anew.rows[0]) == key_of(grid.rows[0]) != older
    check_same_work(plan_of(anew, older))


def test_other_done_units_do_not_stop(sampled, read_grid):
    """Units of the same row under its own key, and rows that keep their default, are no question."""
    grid, _ = sampled()
    check_same_work(plan_of(grid, key_of(grid.rows[0])))
    digits = read_grid("name: a\ndata: {limit: 60}\ngrid: [{folds.n_splits: 2, sampler: uniform, method: conditioned}]")
    check_same_work(plan_of(digits, key_of(digits.rows[0]), "f" * 12))


def test_two_folders_with_one_key_stop(read_grid, root):
    """Their names and sizes are the same, so that one would count as done by the other's units."""
    copy = root.with_name("copy")
    for path in root.rglob("*.png"):
        (copy / path.relative_to(root)).parent.mkdir(parents=True, exist_ok=True)
        (copy / path.relative_to(root)).write_bytes(path.read_bytes())

    def plan(*roots):
        rows = ", ".join(map(str, roots))
        return plan_of(read_grid(f"name: a\ndata: {{dataset: folder}}\n{FOLDS}\ngrid: [{{data.root: [{rows}]}}]"))

    with pytest.raises(ChoiceError, match="so their units cannot be told apart; give each a sweep of its own"):
        check_same_work(plan(root, copy))
    check_same_work(plan(root, f"{root}/"))
    (copy / "ant" / "more.png").write_bytes((copy / "ant" / "1.png").read_bytes())
    listing.cache_clear()
    declared.cache_clear()
    check_same_work(plan(root, copy))
