# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What CMake installs, and that nothing of it is left when it is uninstalled."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BUILD = Path(__file__).resolve().parents[1] / "build"

pytestmark = [
    pytest.mark.skipif(not shutil.which("cmake"), reason="needs cmake"),
    pytest.mark.skipif(not (BUILD / "cmake_install.cmake").is_file(), reason=f"nothing is built in {BUILD}"),
]


def run(*command, **environment) -> subprocess.CompletedProcess:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True,
                          env={**os.environ, **environment})
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_nothing_is_left(tmp_path):
    run("cmake", "--install", BUILD, DESTDIR=str(tmp_path))
    library = next(tmp_path.rglob("libgnuradio-radiofm.so")).parent
    package = next(tmp_path.rglob("radiofm/__init__.py")).parent
    # Python writes __pycache__ beside what it imports.
    where = run(sys.executable, "-c", "from gnuradio import radiofm; print(radiofm.__file__)",
                PYTHONPATH=str(package.parents[1]), LD_LIBRARY_PATH=str(library),
                PYTHONDONTWRITEBYTECODE="", PYTHONPYCACHEPREFIX="").stdout
    assert where.strip() == str(package / "__init__.py")
    assert list(package.glob("__pycache__/*.pyc"))

    other = package.parent / "other" / "__init__.py"  # another module's, which stays
    other.parent.mkdir()
    other.touch()
    run("cmake", "-P", BUILD / "cmake_uninstall.cmake", DESTDIR=str(tmp_path))
    assert [file for file in tmp_path.rglob("*") if not file.is_dir()] == [other]
    assert not package.exists()
    assert not list(tmp_path.rglob("gnuradio-radiofm")) and not list(tmp_path.rglob("include/gnuradio"))

    shutil.rmtree(other.parent)
    run("cmake", "-P", BUILD / "cmake_uninstall.cmake", DESTDIR=str(tmp_path))  # says what is not there
    assert not package.parent.exists()
