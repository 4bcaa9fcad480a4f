"""What a run does with the ledger before it trains."""

from grids import TWINS

from sweeps.config import grid, yaml_reader
from sweeps.ledger.ledger import Ledger, open_ledger
from sweeps.run import train
from sweeps.run.command import command
from sweeps.run.options import Options


def run(folder, limit, **options):
    """Run the grid with this limit of images, which may be all 1,797 digits by number or by null."""
    (folder / "twins.yaml").write_text(TWINS.format(limit=limit))
    return command(str(folder / "twins.yaml"), [], Options(str(folder), inline=True, **options))


def test_only_adopts_the_unit_it_names(tmp_path, capsys):
    """Both folds are done under another key; `--only` names one of them, and leaves the other as it is."""
    assert run(tmp_path, "1797") == 0
    before = open_ledger(tmp_path, "twins").units()
    capsys.readouterr()
    assert run(tmp_path, "null", only="*fold 1") == 0
    assert "counted here too: 1 unit done under another data.limit" in capsys.readouterr().out
    (adopted,) = open_ledger(tmp_path, "twins").units() - before
    assert adopted[1] == 1


def test_twins_are_found_once_a_look(tmp_path, capsys, monkeypatch):
    """A run reads which units are done twice: before it adopts any, and for the units that it trains."""
    assert run(tmp_path, "1797") == 0
    ledger, looks, searches = open_ledger(tmp_path, "twins"), [], []
    units, find = Ledger.units, train.done_under_other_keys
    monkeypatch.setattr(Ledger, "units", lambda self, *folder: looks.append(folder) or units(self, *folder))
    monkeypatch.setattr(train, "done_under_other_keys", lambda *args: searches.append(args) or find(*args))
    sweep = grid.read(yaml_reader.parse(TWINS.format(limit="null")), "twins.yaml")
    assert not train.train(ledger, sweep, Options(str(tmp_path), inline=True)).stopped
    assert len(searches) == looks.count(()) == looks.count(("failed",)) == 2
    assert len(ledger.units()) == 4
