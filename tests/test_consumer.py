# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The installed C++ library, as a second CMake project finds, links and runs it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PREFIX = Path(sys.prefix)
CONFIGS = list(PREFIX.glob("lib*/cmake/gnuradio-radiofm/gnuradio-radiofmConfig.cmake"))
SOURCE = Path(__file__).parent / "consumer"

pytestmark = [
    pytest.mark.skipif(not shutil.which("cmake") or not (shutil.which("c++") or shutil.which("g++")),
                       reason="needs cmake and a C++ compiler"),
    pytest.mark.skipif(not CONFIGS, reason=f"the module is not installed in {PREFIX}: cmake --install build"),
]


def cmake(*arguments, **options) -> subprocess.CompletedProcess:
    return subprocess.run(["cmake", *map(str, arguments)], capture_output=True, text=True, **options)


def configure(build: Path, version: str) -> subprocess.CompletedProcess:
    return cmake("-S", SOURCE, "-B", build, f"-DCMAKE_PREFIX_PATH={PREFIX}", f"-DWANTED_VERSION={version}")


def test_a_second_project_links_and_runs_the_block(tmp_path):
    configured = configure(tmp_path, "0.1")
    assert configured.returncode == 0, configured.stderr
    built = cmake("--build", tmp_path)
    assert built.returncode == 0, built.stdout + built.stderr
    # Without LD_LIBRARY_PATH: the library is found by the path that linking left.
    out = subprocess.run([tmp_path / "consumer"], capture_output=True, text=True, env={"HOME": str(tmp_path)})
    assert out.returncode == 0, out.stderr
    rows, peak, db = out.stdout.split()[-3:]
    assert (int(rows), int(peak)) == ((1000 - 100) // 40 + 1, 50 + 7)
    assert abs(float(db)) < 1e-4


def test_another_version_is_not_taken(tmp_path):
    configured = configure(tmp_path, "99.0")
    assert configured.returncode != 0
    assert "99.0" in configured.stderr
