# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The house: each floor imports only what is below it, nothing goes round in a circle, and GNU Radio stays
in the blocks. CONTRIBUTING.md draws it, as it is."""

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PYTHON = ROOT / "python"

# From the ground up. A package or module stands on one floor; those of one floor do not know each other.
FLOORS = [
    {"arguments", "atomic", "files", "outputs", "pictures", "spectrogram", "terminal"},
    {"models", "watch"},
    {"bundle", "embeddings"},
    {"engines", "fewshot", "data", "detect", "embeddings_tables"},
    {"sigmf", "heads", "signals"},
    {"synth"},
    {"tasks"},
    {"train"},
    {"plots"},
    {"interop", "pipeline"},
    {"survey"},
    {"evaluate"},
    {"cli"},
]
# That anyone on their own floor may use, too.
GROUND = {"arguments", "atomic", "files", "outputs", "terminal"}


def imports(file: Path, package: str, known: set[str]) -> set[str]:
    """Modules of ``known`` that a file imports anywhere in it, also in functions and for types only."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[:len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base]).strip(".")
            found |= {name if (name := f"{base}.{alias.name}") in known else base for alias in node.names}
    return found & known


def modules(top: Path, name: str) -> dict[str, Path]:
    found = {}
    for file in top.rglob("*.py"):
        parts = (name, *file.relative_to(top).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def graph(top: Path, name: str) -> dict[str, set[str]]:
    found = modules(top, name)
    return {module: imports(file, module if file.name == "__init__.py" else module.rpartition(".")[0],
                            set(found)) - {module}
            for module, file in found.items()}


LIBRARY = graph(PYTHON / "radiofm_ml", "radiofm_ml")
BLOCKS = {module: found for module, found in graph(PYTHON / "radiofm", "radiofm").items()
          if not module.startswith("radiofm.qa_")}


def circle(arrows: dict[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def upward(arrows: dict[str, set[str]]) -> list[str]:
    floor = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
    wrong = []
    for module, found in arrows.items():
        here = (module.split(".") + [""])[1]
        for other in found:
            there = (other.split(".") + [""])[1]
            if not here or not there or here == there or there in GROUND:
                continue  # the package itself (its version), a room's own modules, what stands below all
            if here not in floor or there not in floor or floor[there] >= floor[here]:
                wrong.append(f"{module} -> {other}")
    return sorted(wrong)


def test_no_circle():
    assert circle(LIBRARY) == [] and circle(BLOCKS) == []


def test_no_arrow_upward():
    assert upward(LIBRARY) == []


def test_every_room_has_a_floor():
    rooms = {module.split(".")[1] for module in LIBRARY if "." in module}
    assert rooms == set().union(*FLOORS)


def drawn_floors(text: str) -> list[set[str]]:
    """The floors in CONTRIBUTING's picture, from the ground up: numbered lines, two blanks before the words
    that explain them."""
    lines = re.findall(r"^ +(\d+) {2,}(\S+(?: {3}\S+)*)(?: {2,}|$)", text, re.MULTILINE)
    floors = {int(number): set(rooms.split()) for number, rooms in lines}
    assert len(floors) == len(lines)
    return [floors.get(number, set()) for number in range(max(floors, default=-1) + 1)]


def test_contributing_draws_these_floors():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert drawn_floors(text) == FLOORS
    assert drawn_floors(text.replace("   pipeline ", "            ")) != FLOORS


@pytest.mark.parametrize("path", sorted(set(re.findall(
    r"`((?:lib|python|grc|tests|bench|examples|radiofm_ml)/[^`]*)`",
    (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")))))
def test_contributing_names_places_that_are_there(path):
    pattern = path.replace("radiofm_ml/", "python/radiofm_ml/") if path.startswith("radiofm_ml/") else path
    pattern = re.sub(r"NAME|<block>", "*", pattern)
    assert list(ROOT.glob(pattern.rstrip("/"))), f"{path}: CONTRIBUTING names it, and it is not there"


def test_the_test_sees_circles_and_arrows_upward():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}})
    assert upward({"radiofm_ml.models.vit": {"radiofm_ml.train.pretrain"}}) == [
        "radiofm_ml.models.vit -> radiofm_ml.train.pretrain"]
    assert upward({"radiofm_ml.sigmf.tiles": {"radiofm_ml.heads"}})  # neighbours
    assert upward({"radiofm_ml.new": {"radiofm_ml.models"}})  # without a floor
    assert "radiofm_ml.heads.tuned" in LIBRARY["radiofm_ml.heads.files"]  # imported in a function


def test_library_knows_no_gnuradio():
    for file in (PYTHON / "radiofm_ml").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else (
                [node.module or ""] if isinstance(node, ast.ImportFrom) else [])
            assert not {name.split(".")[0] for name in names} & {"gnuradio", "pmt"}, file


def test_a_block_knows_no_other_block():
    """Those with windows share the modules of qt/, but not each other. The receiver is made of the others."""
    described = {file.name.removesuffix(".block.yml").removeprefix("radiofm_")
                 for file in (ROOT / "grc").glob("*.block.yml")}
    for module, found in BLOCKS.items():
        if module in ("radiofm", "radiofm.receiver"):
            continue
        shared = ("radiofm.common", "radiofm.qt") if module.startswith("radiofm.qt") else ("radiofm.common",)
        others = {other for other in found if not other.startswith(shared)
                  or other.rpartition(".")[2] in described} - {"radiofm"}
        assert not others, f"{module} imports {', '.join(others)}: what they share belongs into common/"


def test_only_windows_import_qt():
    """And a block loads its window when it is made: GNU Radio works without PyQt5 and pyqtgraph."""
    graphical = {f"radiofm.qt.{file.stem}" for file in (PYTHON / "radiofm" / "qt").glob("*.py")
                 if re.search(r"^(from|import) (PyQt5|pyqtgraph)", file.read_text("utf-8"), re.MULTILINE)}
    assert "radiofm.qt.waterfall_plot" in graphical
    known = set(graphical)
    while more := {module for module, found in BLOCKS.items() if found & known} - known:
        known |= more
    assert "radiofm" not in known and not {m for m in known if not m.startswith("radiofm.qt.")}


@pytest.mark.parametrize("file", sorted(p.name for p in (ROOT / "lib").glob("*")
                                        if p.suffix in (".h", ".cc") and "_impl" not in p.name
                                        and not p.name.startswith("qa_")))
def test_algorithms_know_no_gnuradio(file):
    what = "gnuradio" if file.startswith("tags.") else "(gnuradio|pmt)"  # tags are PMT
    assert not re.search(rf"#include\s*<{what}/", (ROOT / "lib" / file).read_text(encoding="utf-8"))
