"""A failed unit's reason is another program's text. Every format of a report shows it as plain text."""

import pytest

from sweeps.backends.base import train_unit
from sweeps.ledger.ledger import open_ledger
from sweeps.report.contents import ReportRequest, report
from sweeps.run.command import command
from sweeps.run.options import Options
from sweeps.run.train import Components

HOSTILE = ["<script>alert(1)</script>", "=cmd|' /C calc'!A0", r"\input{/etc/passwd}", "\x1b[2J[red]gone[/red]", "a\nb"]
FORBIDDEN = {  # format -> what would be markup, a formula or a command in it
    "text": ["\x1b"],
    "markdown": ["\x1b", "<script"],
    "latex": ["\x1b", r"\input"],
    "html": ["\x1b", "<script"],
    "csv": ["\x1b", '"=cmd'],
    "json": ["\x1b"],
}


@pytest.mark.parametrize("hostile", HOSTILE, ids=ascii)
def test_a_failures_reason_is_plain_text(tiny_file, tmp_path, capsys, hostile):
    """A unit fails with a hostile reason, which the terminal and every format show without its effect."""
    results = str(tmp_path / "results")

    def fail_one(unit, loaded, context, on_progress, should_stop):
        def fail(images, losses):
            if unit.settings.family == "gaussian_vae" and unit.fold == 0:
                raise ValueError(hostile)

        return train_unit(unit, loaded, context, fail, should_stop)

    assert command(str(tiny_file), [], Options(results, inline=True), Components(run_unit=fail_one)) == 1
    (row,), _ = open_ledger(results, "tiny").read("failed")
    assert row["reason"].startswith("ValueError: ")
    assert "\n" not in row["reason"]
    captured = capsys.readouterr()
    assert "\x1b" not in captured.out + captured.err
    assert "failed: gaussian_vae" in captured.out
    for format, marks in FORBIDDEN.items():
        page = report(results, "tiny", ReportRequest(("table",), format)).replace(r"\<", "")  # Markdown's escape
        assert [mark for mark in marks if mark in page] == []
