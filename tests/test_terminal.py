# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What is printed is printed as it is, and no text commands the terminal."""

import io
import logging

import pytest
from radiofm_ml.cli import progress
from radiofm_ml.evaluate.reports import print_results, result_rows
from radiofm_ml.terminal import VerbatimConsole, echo, say, visible
from rich.table import Table

LABELS = ["[/red]", "[bold]x", ":smile:", "a\x1b[31mb", "[link=http://x]", "back\\[slash]", "{task.x}",
          "a\x07b", "right\u202eleft", "half\udcff", "c1\x9b31m", "line\u2028end", "ok ü 中 ✓"]


def shown(label):
    return visible(label)


@pytest.fixture
def screen(monkeypatch):
    """What a terminal would get, colours and all."""
    file = io.StringIO()

    def console(**_):
        return VerbatimConsole(file=file, force_terminal=True, width=200)

    monkeypatch.setattr("radiofm_ml.terminal.console", console)
    monkeypatch.setattr(progress, "stderr", console())
    return file


@pytest.mark.parametrize("label", LABELS)
def test_visible(label):
    text = visible(label)
    assert text.isprintable() and (text == label) == label.isprintable()
    text.encode()


def test_what_is_written_out():
    assert visible("a\x1b[31mb\n\t\x00\x9b\u202e") == "a\\x1b[31mb\\n\\t\\x00\\x9b\\u202e"
    assert visible("a\nb\r", keep="\n") == "a\nb\\r"


@pytest.mark.parametrize("label", LABELS)
def test_tables_and_lines(screen, label):
    from radiofm_ml import terminal

    table = Table(title=label, caption=label)
    table.add_column(label)
    table.add_row(label)
    console = terminal.console()
    console.print(table)
    console.print(label)
    text = screen.getvalue()
    assert text.count(shown(label)) == 5
    assert "\x1b[31m" not in text and "\x1b]8" not in text and "\x07" not in text and "\u202e" not in text


@pytest.mark.parametrize("label", LABELS)
def test_progress(screen, label):
    assert list(progress.track([1, 2], label)) == [1, 2]
    with progress.bar() as bar:
        task = bar.add_task(label, total=1, note=label)
        bar.update(task, note=label, description=label)
    text = screen.getvalue()
    assert text.count(shown(label)) >= 3 and "a\x1b[31mb" not in text and "\x07" not in text


@pytest.mark.parametrize("label", LABELS)
def test_reports(screen, label):
    rows = result_rows(label, [{"accuracy": 0.5}, {"accuracy": None}])
    print_results({"title": label, "results": rows})
    assert screen.getvalue().count(shown(label)) == 2


def test_warnings_of_the_library(screen):
    log = logging.getLogger("radiofm_ml.test_terminal")
    handler = progress.Warnings()
    log.addHandler(handler)
    try:
        log.warning("%s: [bold]odd\x1b[31m\nline", "file[/red]")
    finally:
        log.removeHandler(handler)
    assert screen.getvalue() == "warning: file[/red]: [bold]odd\\x1b[31m\\nline\n"


def test_echo_and_errors(capsys):
    echo("a\x1b[31mb\n[/red]")
    say("bad\nname\x1b[0m")
    out, error = capsys.readouterr()
    assert out == "a\\x1b[31mb\n[/red]\n" and error == "radiofm: bad\\nname\\x1b[0m\n"


def test_a_terminal_that_has_not_the_letters(monkeypatch):
    file = io.TextIOWrapper(io.BytesIO(), "ascii")
    monkeypatch.setattr("sys.stdout", file)
    echo("ü \udcff")
    file.flush()
    assert file.buffer.getvalue() == b"\\xfc \\udcff\n"
