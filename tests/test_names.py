# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What documents, docstrings and GRC entries call by its dotted name is there."""

import importlib
import importlib.util
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = ROOT / "python" / "radiofm_ml"
DOTTED = re.compile(r"\bradiofm_ml(?:\.[A-Za-z_]\w*)+")
SHORT = re.compile(r"``([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+)(?:\([^`]*\))?``")
FILES = sorted(path for pattern in ("README.md", "CONTRIBUTING.md", "docs/**/*.md", "python/**/*.py",
                                    "python/**/*.md", "grc/*.yml", "examples/*", "bench/*.py", "apps/*",
                                    "pyproject.toml", "run")
               for path in ROOT.glob(pattern) if path.is_file())
ENDINGS = {"json", "py", "pyi", "yml", "toml", "safetensors", "md"}  # of files, in 'config.json'


@cache
def there(name: str) -> bool:
    """Is it a module, or an attribute of one, of attributes of one?"""
    try:
        if importlib.util.find_spec(name):
            return True
    except ModuleNotFoundError:
        pass
    owner, _, last = name.rpartition(".")
    return bool(owner) and there(owner) and has(owner, last)


def has(owner: str, name: str) -> bool:
    found, rest = None, []
    while found is None:
        try:
            found = importlib.import_module(owner)
        except ModuleNotFoundError as error:
            if not error.name or not error.name.startswith("radiofm_ml"):
                pytest.skip(f"{owner} needs {error.name}")
            owner, _, part = owner.rpartition(".")
            rest.insert(0, part)
    for part in rest:
        found = getattr(found, part)
    return hasattr(found, name) or name in getattr(found, "__dataclass_fields__", {}) \
        or name in getattr(found, "__annotations__", {})


def modules(folder: Path) -> set[str]:
    return {path.stem for path in folder.iterdir()
            if path.suffix == ".py" or path.is_dir() and (path / "__init__.py").is_file()}


@pytest.mark.parametrize("file", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_full_names_resolve(file):
    text = file.read_text(encoding="utf-8")
    names = {name for name in DOTTED.findall(text) if name.rpartition(".")[2] not in ENDINGS}
    assert [name for name in sorted(names) if not there(name)] == []


@pytest.mark.parametrize("file", [path for path in FILES if LIBRARY in path.parents and path.suffix == ".py"],
                         ids=lambda path: str(path.relative_to(LIBRARY)))
def test_short_names_resolve(file):
    """Names such as ``heads.tuned.TunedHead``, that begin with a module beside the file or with a room."""
    package = ".".join(("radiofm_ml", *file.parent.relative_to(LIBRARY).parts))
    beside, rooms = modules(file.parent), modules(LIBRARY)
    missing = []
    for name in sorted(set(SHORT.findall(file.read_text(encoding="utf-8")))):
        first, last = name.partition(".")[0], name.rpartition(".")[2]
        places = [f"{package}.{name}"] * (first in beside) + [f"radiofm_ml.{name}"] * (first in rooms)
        if places and last not in ENDINGS and not any(map(there, places)):
            missing.append(name)
    assert missing == []


def test_the_test_sees_what_is_gone():
    assert there("radiofm_ml.heads.running.open_head") and there("radiofm_ml.fewshot.FewShot.predict")
    assert not there("radiofm_ml.heads.running.gone") and not there("radiofm_ml.head_engine.open_head")
    assert not there("radiofm_ml.fewshot.FewShot.gone")
