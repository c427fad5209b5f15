# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""CMake installs and tests what its lists name: nothing may be missing from them."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "python" / "radiofm"
LISTS = (PACKAGE / "CMakeLists.txt").read_text(encoding="utf-8")


def test_every_module_is_installed():
    modules = sorted(str(file.relative_to(PACKAGE)) for file in PACKAGE.rglob("*.py")
                     if not file.name.startswith("qa_") and "bindings" not in file.parts)
    assert "qt/rows.py" in modules
    assert [name for name in modules if f"    {name}\n" not in LISTS] == []


def test_every_qa_file_is_run():
    tests = sorted(file.name for file in PACKAGE.glob("qa_*.py"))
    assert [name for name in tests if f"/{name})" not in LISTS] == []
