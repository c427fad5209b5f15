# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The examples compile with grcc, run to completion, and give what they promise.

As examples/README.md says it: ``grcc`` is the one in front where the environment is activated.
"""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import sigmf
from activated import GRCC, run
from radiofm_ml import bundle

radiofm = pytest.importorskip("gnuradio.radiofm", reason="the blocks are not installed for this Python")

ROOT = Path(__file__).resolve().parents[1]
STRIDE = 16384  # samples from tile to tile of radiofm-small
TAUGHT, STRANGERS = ["gfsk", "ofdm", "wbfm", "ook"], ["chirp", "am"]

pytestmark = pytest.mark.skipif(GRCC is None, reason="grcc is not installed")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """Folder with the Python program of every example."""
    folder = tmp_path_factory.mktemp("examples")
    examples = sorted((ROOT / "examples").glob("*.grc"))
    run("grcc", "-o", folder, *examples, folder=folder)
    assert [e.name for e in examples if not (folder / f"{e.stem}.py").is_file()] == []
    return folder


def annotations(meta: Path) -> list[dict]:
    handle = sigmf.sigmffile.fromfile(str(meta))
    handle.validate()
    return handle.get_annotations()


def decided(meta: Path, tiles: int) -> list[str]:
    """Label of each tile; tiles overlap by the FFT's excess over the hop, which the next one owns."""
    labels = [""] * tiles
    for a in annotations(meta):
        first, last = a["core:sample_start"], a["core:sample_start"] + a["core:sample_count"]
        assert first % STRIDE == 0
        for k in range(first // STRIDE, min(tiles, (last - 128) // STRIDE)):
            labels[k] = a["core:label"]
    return labels


@pytest.fixture(scope="module")
def taught_live(compiled):
    """What it wrote, and what it printed."""
    printed = run("python", "teach_live.py", folder=compiled)
    return compiled / "teach_live.sigmf-meta", printed


def test_teach_live(taught_live):
    """At first nothing is known; then four signals are recognised, and two strangers are called unknown."""
    teaching = [label for label in TAUGHT for _ in range(5)]
    truth = [label for _ in range(2) for label in TAUGHT + STRANGERS for _ in range(5)]
    labels = decided(taught_live[0], len(teaching) + len(truth))
    assert labels[:4] == ["unknown"] * 4  # decided before the fifth shot was in
    after = np.array(labels[len(teaching) :])
    known = np.isin(truth, TAUGHT)
    assert (after == truth)[known].mean() >= 0.9
    assert (after == "unknown")[~known].mean() >= 0.8
    assert (after == "unknown")[known].mean() <= 0.1


def test_teach_live_says_what_took_effect_where(taught_live):
    answers = [line for line in taught_live[1].splitlines() if "enroll" in line]
    assert len(answers) == len(TAUGHT)
    for i, (label, line) in enumerate(zip(TAUGHT, answers, strict=True)):
        assert f"(label . {label})" in line and "(ok . #t)" in line and "(shots . 5)" in line
        assert f"(sample_start . {(5 * i + 4) * STRIDE})" in line  # the tile of the fifth shot


def test_recording_to_annotations(compiled, taught_live):
    """On the recording that teach_live made: the same tiles and edges as the command line gives."""
    out = compiled / "out"
    out.mkdir()
    recording = taught_live[0]
    run("python", "recording_to_annotations.py", "-i", recording, "-o", out / "flowgraph.sigmf-meta",
        folder=compiled)
    run("radiofm", "annotate", recording, "-o", out / "command.sigmf-meta", folder=compiled)

    def tiles(name):
        """Label, edges and model of each tile; earlier annotations of ours are replaced, so these are all."""
        found = {}
        for a in annotations(out / name):
            about = tuple(a[f] for f in ("core:freq_lower_edge", "core:freq_upper_edge", "radiofm:model"))
            first, end = a["core:sample_start"], a["core:sample_start"] + a["core:sample_count"]
            for tile in range(first // STRIDE, -(-(end - 128) // STRIDE)):
                found[tile] = a["core:label"], about
        return found

    flowgraph, command = tiles("flowgraph.sigmf-meta"), tiles("command.sigmf-meta")
    assert len(flowgraph) > 20 and flowgraph.keys() == command.keys()
    assert all(flowgraph[tile][1] == command[tile][1] for tile in flowgraph)
    # Batches of other sizes differ in the last bits of bfloat16: a tile between two labels goes either way.
    same = sum(flowgraph[tile] == command[tile] for tile in flowgraph)
    assert same >= 0.9 * len(flowgraph) and len({label for label, _ in flowgraph.values()}) > 2


def test_embed_stream(compiled):
    run("python", "embed_stream.py", "-n", "7", folder=compiled)
    with np.load(compiled / "embeddings.npz", allow_pickle=False) as arrays:
        size = bundle.load("radiofm-small").embedding_size
        assert arrays["embedding"].shape == (7, size) and np.isfinite(arrays["embedding"]).all()
        np.testing.assert_array_equal(arrays["sample_start"], np.arange(7) * STRIDE)
        np.testing.assert_array_equal(arrays["sample_rate"], np.full(7, 1e6))
        np.testing.assert_array_equal(arrays["rx_freq"], np.full(7, 433.92e6))


@pytest.mark.parametrize(("name", "written", "times"), [
    ("recording_to_annotations", "annotated.sigmf-meta", 2), ("identify_with_boxes", "boxes.sigmf-meta", 1)])
def test_run_in_the_companion(compiled, tmp_path, name, written, times):
    """F6, with nothing prepared: GRC runs the program in the folder that it wrote it to, which is another one
    where the flowgraph's own is read-only. The simulated recording is made, and labelled rightly."""
    program = shutil.copy(compiled / f"{name}.py", tmp_path)
    for _ in range(times):
        run("python", "-u", program, folder=tmp_path)
        made = annotations(tmp_path / written)
        ours = [a for a in made if a.get("core:generator", "").startswith("gr-radiofm")]
        decisions = {"ads-b": 0, "noise": 0}
        for a in ours:
            decisions[a["core:label"]] = decisions.get(a["core:label"], 0) + a["radiofm:decisions"]
        assert decisions["ads-b"] >= 20 and len(ours) < len(made)  # the truth is kept


def test_watch_a_band(compiled, tmp_path):
    """With nothing prepared: of the simulated beacons the one that begins and the one that ends are said."""
    program = shutil.copy(compiled / "watch_a_band.py", tmp_path)
    printed = run("python", "-u", program, "-o", "kept.json", folder=tmp_path)
    said = [line for line in printed.splitlines() if "(kind . " in line]
    assert [kind for line in said for kind in ("new", "moved", "silent") if f"(kind . {kind})" in line] == [
        "moved", "silent"]
    edges = [float(re.search(r"freq_lower_edge \. ([0-9.e+]+)", line)[1]) for line in said]
    assert edges == pytest.approx([433.986e6, 433.875e6], abs=2e3)  # a bin is 2 kHz
    assert "never in 8 s of learning" in said[0] and "(rx_time . {1767268814" in said[1]
    assert json.loads((tmp_path / "kept.json").read_text())["learned"] == 8.0


def test_signals_of_a_recording(compiled, tmp_path):
    """With nothing prepared: every burst of the simulated recording that is strong enough is annotated, and
    what was cut out is a recording whose power is the burst's."""
    program = shutil.copy(compiled / "signals_of_a_recording.py", tmp_path)
    shutil.copy(compiled / "signals_of_a_recording_save.py", tmp_path)
    run("python", "-u", program, folder=tmp_path)
    made = annotations(tmp_path / "signals.sigmf-meta")
    ours = [a for a in made if a["core:label"] == "signal"]
    truth = [a for a in made if a["core:label"] == "ads-b"]

    def within(mine, other):
        middle = mine["core:sample_start"] + mine["core:sample_count"] / 2
        return 0 <= middle - other["core:sample_start"] + 512 < other["core:sample_count"] + 1024

    assert len(truth) > 10
    assert np.mean([any(within(a, b) for a in ours) for b in truth]) > 0.8
    saved = sorted((tmp_path / "cut-outs").glob("*.sigmf-meta"))
    assert len(saved) == len(ours)
    for path in saved:
        handle = sigmf.sigmffile.fromfile(str(path))
        samples, (lead,) = handle.read_samples(), [a["core:sample_start"] for a in handle.get_annotations()]
        assert 0 < np.mean(np.abs(samples) ** 2) < np.inf and lead < len(samples)


HEADS = ROOT / "python" / "radiofm_ml" / "pretrained" / "radiofm-small" / "heads"


@pytest.mark.skipif(not (HEADS / "identification").is_dir() or not (HEADS / "segmentation").is_dir(),
                    reason="the bundle comes without its heads")
def test_identify_with_boxes(compiled):
    """On recordings with annotations of every emission: boxes lie where they are on, tiles get labels."""
    run("radiofm", "synth", "signals", "signals", "--labels", "lora,pocsag", "--count", "1",
        "--samples", str(8 * STRIDE + 128), "--snr", "15:20", "--neighbours", "0", folder=compiled)
    task = json.loads((HEADS / "segmentation" / "head.json").read_text())["task"]
    found, covered, total = 0, 0, 0
    for recording in sorted((compiled / "signals").rglob("*.sigmf-meta")):
        truth = [a for a in annotations(recording) if "core:freq_lower_edge" in a]
        out = compiled / f"boxes-{recording.stem}.sigmf-meta"
        run("python", "identify_with_boxes.py", "-i", recording, "-o", out, folder=compiled)
        ours = [a for a in annotations(out) if a.get("core:generator", "").startswith("gr-radiofm")]
        boxes = [a for a in ours if a["radiofm:task"] == task]
        assert len({a["radiofm:task"] for a in ours}) == 2
        handle = sigmf.sigmffile.fromfile(str(out)).get_global_info()
        rate = handle["core:sample_rate"]
        found += len(boxes)
        for a in truth:
            covered += any(overlap(a, b, rate) for b in boxes)
            total += 1
    assert found > 0 and covered / total > 0.8


def overlap(a: dict, b: dict, rate: float) -> bool:
    """Do two annotations share samples, and come within a bin of each other in frequency?"""
    in_time = (a["core:sample_start"] < b["core:sample_start"] + b["core:sample_count"]
               and b["core:sample_start"] < a["core:sample_start"] + a["core:sample_count"])
    return in_time and (a["core:freq_lower_edge"] - rate / 256 <= b["core:freq_upper_edge"]
                        and b["core:freq_lower_edge"] - rate / 256 <= a["core:freq_upper_edge"])
