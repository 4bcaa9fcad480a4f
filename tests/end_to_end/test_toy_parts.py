"""A plugged-in work source and back end run through the function that the command calls."""

from sweeps.backends.inline import Inline
from sweeps.ledger.ledger import open_ledger
from sweeps.plan.work_source import Done, Envelope
from sweeps.run.command import command
from sweeps.run.options import Options
from sweeps.run.train import Components


class LastFirst:
    """A work source that hands out the last unit first, and no more than three."""

    def __init__(self, missing, done):
        self.left, self.ended = list(missing)[-3:], []

    def next(self):
        return self.left.pop() if self.left else Done()

    def finished(self, unit, outcome, record):
        self.ended.append((unit.name, outcome, record["fold"]))

    def envelope(self):
        return Envelope(tuple(self.left), len(self.left), columns=("fold",))


class TwiceChecked:
    """A back end that looks at each unit before it lets another back end run it."""

    def __init__(self):
        self.seen = []

    def run(self, source, context, progress, stop):
        self.seen += source.envelope().units
        Inline().run(source, context, progress, stop)


def test_a_toy_source_and_back_end_train(tiny_file, tmp_path, capsys):
    """Units that the source does not hand out stay missing, and the command says how to resume."""
    made = []

    def make(missing, done):
        made.append(LastFirst(missing, done))
        return made[0]

    backend = TwiceChecked()
    options = Options(str(tmp_path), inline=True)
    assert command(str(tiny_file), [], options, Components(backend, make_source=make)) == 75
    (source,) = made
    assert [outcome for _, outcome, _ in source.ended] == ["done"] * 3
    assert [unit.name for unit in reversed(backend.seen)] == [name for name, _, _ in source.ended]
    assert len(open_ledger(tmp_path, "tiny").units()) == 3
    assert "3 of 6 units done" in capsys.readouterr().err
    assert command(str(tiny_file), [], options) == 0
