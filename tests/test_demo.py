# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The demonstration: what it teaches is recognised, what it does not teach is called unknown."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import sigmf
from PIL import Image

radiofm = pytest.importorskip("gnuradio.radiofm", reason="the blocks are not installed for this Python")

ROOT = Path(__file__).resolve().parents[1]
STRIDE, SHOTS = 16384, 5  # samples from tile to tile of radiofm-small; shots of each label


def demo(*arguments, folder) -> subprocess.CompletedProcess:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200",
                   "PYTHONPATH": os.pathsep.join([str(ROOT / "python"), os.environ.get("PYTHONPATH", "")])}
    start = [ROOT / "run", "demo"]  # as the README has it
    if Path(sys.prefix) != ROOT / ".venv":
        start = [sys.executable, ROOT / "apps" / "radiofm_demo.py"]
    return subprocess.run([*map(str, [*start, *arguments])], cwd=folder, env=environment, text=True,
                          capture_output=True, timeout=280)  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Folder with what the demonstration wrote, and what it printed."""
    folder = tmp_path_factory.mktemp("demo")
    done = demo("--seed", 3, folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "radiofm-demo", done.stdout


def test_taught_signals_are_recognised_and_strangers_refused(made):
    results = json.loads((made[0] / "results.json").read_text())
    assert results["model"].startswith("radiofm-small@") and results["tiles"] == 120
    assert results["recall"] >= 0.9
    assert results["unknown_of_taught"] <= results["false_alarm_rate"]
    assert results["unknown_of_strangers"] >= 0.8
    taught = {label: row for label, row in results["labels"].items() if "recall" in row}
    assert len(taught) == 6 and len(results["labels"]) == 10
    assert min(row["precision"] for row in taught.values()) >= 0.8


def test_it_says_what_it_taught_and_found(made):
    results = json.loads((made[0] / "results.json").read_text())
    for label, row in results["labels"].items():
        (line,) = [line for line in made[1].splitlines() if line.startswith(f"│ {label} ")]
        assert f"{row['unknown']:.0%}" in line
        assert ("never" in line) == ("recall" not in row)
        assert ("recall" not in row) or f"taught {label} with {SHOTS} shots" in made[1]


def test_recording_carries_the_annotations(made):
    recording = sigmf.sigmffile.fromfile(str(made[0] / "demo.sigmf-meta"))
    recording.validate()
    tiles = 6 * SHOTS + 120
    assert recording.sample_count == tiles * STRIDE + 128
    info = recording.get_global_info()
    assert (info["core:sample_rate"], info["core:datatype"]) == (1e6, "cf32_le")
    assert recording.get_captures()[0]["core:frequency"] == 433.92e6
    decided = [None] * tiles
    for annotation in recording.get_annotations():
        start, count = annotation["core:sample_start"], annotation["core:sample_count"]
        assert start % STRIDE == 0 and (count - 128) % STRIDE == 0
        assert 433.42e6 <= annotation["core:freq_lower_edge"] < annotation["core:freq_upper_edge"] <= 434.42e6
        for k in range(start // STRIDE, (start + count) // STRIDE):
            decided[k] = annotation["core:label"]
    assert decided[: SHOTS - 1] == ["unknown"] * (SHOTS - 1)  # nothing was taught yet
    assert decided[SHOTS - 1] == "gfsk"  # decided with the prototype that its own shot completed
    results = json.loads((made[0] / "results.json").read_text())
    unknown = sum(row["unknown"] * row["tiles"] for row in results["labels"].values())
    assert decided[6 * SHOTS :].count("unknown") == pytest.approx(unknown)


def test_pictures(made):
    for name, size in (("waterfall.png", (1400, 660)), ("embedding.png", (1000, 720))):
        with Image.open(made[0] / name) as picture:
            assert picture.size == size
            assert len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 40
        assert (made[0] / name).stat().st_size < 300_000  # they are shown in the readme


def test_a_wrong_model_is_one_clear_line(tmp_path):
    done = demo("--model", "no-such-model", folder=tmp_path)
    assert done.returncode == 1
    assert "no-such-model: no such bundle" in done.stdout and "Traceback" not in done.stdout + done.stderr
