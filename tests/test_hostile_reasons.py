"""What a failed unit says of itself is another program's text: it stays in its row and its log."""

import pytest

from sweeps import run, trial
from sweeps.ledger import open_ledger
from sweeps.report import report
from sweeps.sheets import Asked

HOSTILE = ["<script>alert(1)</script>", "=cmd|' /C calc'!A0", r"\input{/etc/passwd}", "\x1b[2J[red]gone[/red]", "a\nb"]
MARKS = ["<script", "=cmd", r"\input", "\x1b", "[red]"]


@pytest.mark.parametrize("hostile", HOSTILE, ids=ascii)
def test_a_failures_reason_reaches_neither_screen_nor_report(tiny_file, tmp_path, capsys, monkeypatch, hostile):
    prepare, results = trial._prepare, str(tmp_path / "results")

    def fail(unit, *rest):
        if unit.settings.family == "gaussian_vae" and unit.fold == 0:
            raise ValueError(hostile)
        return prepare(unit, *rest)

    monkeypatch.setattr(trial, "_prepare", fail)
    assert run.command(str(tiny_file), [], run.Options(results, inline=True)) == 1
    (row,), _ = open_ledger(results, "tiny").read("failed")
    assert row["reason"].startswith("ValueError: ")
    assert "\n" not in row["reason"]
    captured = capsys.readouterr()
    pages = [captured.out, captured.err]
    for format in ("text", "markdown", "latex", "html", "csv", "json"):
        pages.append(report(results, "tiny", Asked(("table",), format)))
    assert [mark for mark in MARKS for page in pages if mark in page] == []
