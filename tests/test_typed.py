# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The library says its types: every public function does, and the marker for type checkers is packaged."""

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = ROOT / "python" / "radiofm_ml"


def untyped(node: ast.Module | ast.ClassDef, prefix: str = "") -> list[str]:
    """Public functions and methods that leave out an annotation, and which."""
    found = []
    for item in node.body:
        if isinstance(item, ast.ClassDef) and not item.name.startswith("_"):
            found += untyped(item, f"{item.name}.")
        elif isinstance(item, ast.FunctionDef) and (
                not item.name.startswith("_") or item.name in ("__init__", "__call__")):
            taken = item.args
            arguments = [*taken.posonlyargs, *taken.args, *taken.kwonlyargs]
            bare = [a.arg for a in arguments if a.annotation is None and a.arg not in ("self", "cls")]
            if item.name != "__init__" and item.returns is None:
                bare.append("its result")
            found += [f"{prefix}{item.name}: {name}" for name in bare]
    return found


@pytest.mark.parametrize("file", sorted(str(path.relative_to(LIBRARY)) for path in LIBRARY.rglob("*.py")))
def test_public_functions_are_typed(file):
    assert untyped(ast.parse((LIBRARY / file).read_text(encoding="utf-8"))) == []


def test_what_is_untyped_is_seen():
    code = "class A:\n def f(self, a, b: int): pass\n def _g(self, a): pass\ndef h(*, c) -> int: pass"
    assert untyped(ast.parse(code)) == ["A.f: a", "A.f: its result", "h: c"]


def test_the_marker_is_packaged():
    assert (LIBRARY / "py.typed").is_file()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "py.typed" in project["tool"]["setuptools"]["package-data"]["radiofm_ml"]
