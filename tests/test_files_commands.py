# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""radiofm import, plot, convert; the table of annotate; and raw files as every command takes them."""

import builtins
import csv
import json
import math
import re

import numpy as np
import pytest
from command import radiofm
from PIL import Image
from radiofm_ml.embeddings import Embeddings
from radiofm_ml.plots.recording import boxes_of, draw_recording
from radiofm_ml.plots.waterfall import Box
from radiofm_ml.sigmf.recording import open_recording
from radiofm_ml.sigmf.sample_types import SampleType
from radiofm_ml.sigmf.tables import counted
from sigmf_files import ramp, write_recording
from tiny_bundle import SPEC, make_bundle

RATE, FREQUENCY, AT = 250e3, 433.92e6, 0.1237


def tone(n, at=AT, seed=1):
    rng = np.random.default_rng(seed)
    noise = 0.01 * rng.standard_normal(2 * n).astype(np.float32).view(np.complex64)
    return noise + 0.3 * np.exp(2j * np.pi * at * np.arange(n)).astype(np.complex64)


def raw(path, kind="cu8", n=6 * SPEC.stride + 32, **how):
    path.write_bytes(SampleType.parse(kind).from_complex(tone(n, **how)).tobytes())
    return path


@pytest.fixture
def files(tmp_path):
    make_bundle(tmp_path / "model", signals=True)
    raw(tmp_path / "a_433.92M_250k.cu8")
    raw(tmp_path / "b.bin", "ci8", seed=2)
    return tmp_path


def annotated(path):
    """A recording with annotations of every sort."""
    notes = [
        {"core:sample_start": 0, "core:sample_count": 1000, "core:label": "lora",
         "core:freq_lower_edge": 433.9e6, "core:freq_upper_edge": 433.95e6, "radiofm:confidence": 0.75,
         "radiofm:snr_db": 12.5},
        {"core:sample_start": 500, "core:sample_count": 500, "core:label": "=x,\"y\"",
         "core:comment": "two\nlines"},
        {"core:sample_start": 2000, "core:sample_count": 100, "core:label": "unknown 3",
         "core:comment": "SNR -1.5 dB", "radiofm:unknown": True},
        {"core:sample_start": 3000, "core:sample_count": 10}]
    return write_recording(path, tone(5000), sample_rate=RATE, annotations=notes, captures=[
        {"core:sample_start": 0, "core:frequency": FREQUENCY, "core:datetime": "2026-01-01T12:00:00Z"}])


# -- every command ------------------------------------------------------------------------------------
def test_commands_take_raw_files(files):
    stated = ("--rate", "250k", "--frequency", "433.92M", "--type", "cs8")
    model = ("-m", "model")
    radiofm("embed", "b.bin", "b.npz", *model, *stated, folder=files)
    assert Embeddings.load(files / "b.npz").sample_rate[0] == RATE
    radiofm("detect", "b.bin", "-o", "out/b.sigmf-meta", *stated, folder=files)
    with open_recording(files / "out/b.sigmf-meta") as found:
        assert found.datatype == "ci8" and found.sample_rate == RATE and found.annotations
        middle = [(a.freq_lower + a.freq_upper) / 2 for a in found.annotations]
        assert min(abs(m - FREQUENCY - AT * RATE) for m in middle) < 2000
    radiofm("enroll", "tiles.safetensors", "tone", "a_433.92M_250k.cu8", *model, "--tiles", folder=files)
    text = radiofm("annotate", "b.bin", "-o", "ann.sigmf-meta", "-p", "tiles.safetensors", *model, *stated,
                   folder=files)
    assert re.search(r"label\s.*annotations\s.*seconds\s.*confidence", text)
    radiofm("survey", "b.bin", "-o", "found", "-m", "model", *stated, folder=files)
    assert (files / "found/b.sigmf-meta").is_file() and (files / "found/b.npz").is_file()
    radiofm("enroll", "sig.safetensors", "tone", "b.bin", *model, "--signals", *stated, folder=files)


def test_what_was_assumed_is_said_once_and_refusals_name_the_option(files, capsys):
    import subprocess
    import sys

    def run(*arguments):
        return subprocess.run([sys.executable, "-m", "radiofm_ml.cli", *arguments], cwd=files, text=True,
                              capture_output=True, timeout=300)

    done = run("import", "b.bin", "--rate", "250k")
    said = [line for line in done.stderr.splitlines() if "read as" in line]
    assert len(said) == 1 and "ci8 (guessed by its levels" in said[0] and "250 kS/s (--rate)" in said[0]
    assert sum("|" in line and "full scale" in line for line in done.stderr.splitlines()) >= 2
    refused = run("embed", "b2.bin", "x.npz")
    assert refused.returncode == 1
    (files / "b.sigmf-meta").unlink()
    refused = run("embed", "b.bin", "x.npz")
    assert refused.returncode == 1 and "give it, such as --rate 2.4M" in refused.stderr
    assert run("embed", "b.bin", "x.npz", "--rate", "fast").returncode == 2


def test_a_folder_of_raw_and_sigmf(files):
    (files / "in").mkdir()
    raw(files / "in/x_433.92M_250k.cu8")
    write_recording(files / "in/y", tone(6 * SPEC.stride), sample_rate=RATE)
    (files / "in/firmware.bin").write_bytes(bytes(1000))
    radiofm("embed", "in", "out", "-m", "model", folder=files)
    assert sorted(path.name for path in (files / "out").iterdir()) == ["x_433.92M_250k.npz", "y.npz"]


# -- import -------------------------------------------------------------------------------------------
def test_import_writes_metadata_beside_the_samples(files):
    before = (files / "a_433.92M_250k.cu8").read_bytes()
    assert radiofm("import", "a_433.92M_250k.cu8", folder=files).strip() == "a_433.92M_250k.sigmf-meta"
    meta = json.loads((files / "a_433.92M_250k.sigmf-meta").read_text())
    assert meta["global"]["core:datatype"] == "cu8" and meta["global"]["core:sample_rate"] == RATE
    assert meta["captures"] == [{"core:sample_start": 0, "core:frequency": FREQUENCY}]
    assert (files / "a_433.92M_250k.cu8").read_bytes() == before
    text = radiofm("import", "a_433.92M_250k.cu8", code=1, folder=files)
    assert "has metadata already, such as a_433.92M_250k.sigmf-meta" in text
    (files / "sub").mkdir()
    assert "sub" in radiofm("import", "b.bin", "--rate", "1M", "--data", "copy", "-o", "sub", folder=files)
    assert (files / "sub/b.sigmf-data").read_bytes() == (files / "b.bin").read_bytes()


def test_import_of_a_folder(files):
    write_recording(files / "y", ramp(100))
    mine = (files / "y.sigmf-meta").read_bytes()
    made = radiofm("import", ".", "--rate", "1M", folder=files).split()
    assert sorted(made) == ["a_433.92M_250k.sigmf-meta", "b.sigmf-meta"]
    assert (files / "y.sigmf-meta").read_bytes() == mine


# -- plot ---------------------------------------------------------------------------------------------
def test_plot(tmp_path):
    annotated(tmp_path / "x")
    assert radiofm("plot", "x.sigmf-meta", folder=tmp_path).strip() == "x.png"
    first = (tmp_path / "x.png").read_bytes()
    assert Image.open(tmp_path / "x.png").size == (1600, 960)
    radiofm("plot", "x.sigmf-meta", "--start", "0.004", "--seconds", "0.004", folder=tmp_path)
    assert (tmp_path / "x.png").read_bytes() != first
    (tmp_path / "y.png").write_bytes(b"mine")
    assert "nothing that would be written here" in radiofm("plot", "x.sigmf-meta", "-o", "y.png", code=1,
                                                           folder=tmp_path)
    assert (tmp_path / "y.png").read_bytes() == b"mine"
    assert "lasts 0.02 s" in radiofm("plot", "x.sigmf-meta", "--start", "1", code=1, folder=tmp_path)
    write_recording(tmp_path / "z", ramp(100))
    assert "give --rate" in radiofm("plot", "z", code=1, folder=tmp_path)
    radiofm("plot", "z", "--rate", "1M", folder=tmp_path)
    (tmp_path / "all").mkdir()
    radiofm("plot", ".", "-o", "all", "--rate", "1M", folder=tmp_path)
    assert sorted(path.name for path in (tmp_path / "all").iterdir()) == ["x.png", "z.png"]


def test_plot_opens_the_picture(tmp_path, monkeypatch):
    import typer

    annotated(tmp_path / "x")
    opened = []
    monkeypatch.setattr(typer, "launch", lambda path: opened.append(path) or 0)
    radiofm("plot", "x.sigmf-meta", "--open", folder=tmp_path)
    assert opened == ["x.png"]
    monkeypatch.setattr(typer, "launch", lambda path: 1)
    text = radiofm("plot", "x.sigmf-meta", "--open", code=1, folder=tmp_path)
    assert "no program here opens pictures" in text


def test_boxes_lie_where_the_annotations_are(tmp_path):
    with open_recording(annotated(tmp_path / "x")) as recording:
        assert boxes_of(recording) == [
            Box(0, 1000, "lora", 433.9e6, 433.95e6), Box(500, 1000, "=x,\"y\""),
            Box(2000, 2100, "unknown 3", unknown=True), Box(3000, 3010, "unknown", unknown=True)]


def test_a_box_and_its_signal_are_drawn_at_one_place(tmp_path):
    """The tone of the recording is brightest in the middle of a box around it."""
    path = write_recording(tmp_path / "x", tone(20000), sample_rate=RATE,
                           captures=[{"core:sample_start": 0, "core:frequency": FREQUENCY}])
    with open_recording(path) as recording:
        draw_recording(tmp_path / "a.png", recording, [])
        box = Box(5000, 15000, "t", FREQUENCY + AT * RATE - 5e3, FREQUENCY + AT * RATE + 5e3)
        draw_recording(tmp_path / "b.png", recording, [box])
    plain, boxed = (np.asarray(Image.open(tmp_path / f"{name}.png").convert("RGB")).astype(int)[:, :1280]
                    for name in "ab")
    rows, columns = np.nonzero(np.abs(boxed - plain).sum(axis=2) > 150)
    bright = np.nonzero(plain[:, 600].sum(axis=1) > 500)[0]
    box_rows = rows[(columns > 500) & (columns < 800)]
    assert box_rows.min() < bright.min() <= bright.max() < box_rows.max()
    assert abs(bright.mean() - (box_rows.min() + box_rows.max()) / 2) < 15


# -- convert ------------------------------------------------------------------------------------------
def test_annotations_as_csv(tmp_path):
    annotated(tmp_path / "x")
    radiofm("convert", "x.sigmf-meta", "found.csv", folder=tmp_path)
    rows = list(csv.DictReader(open(tmp_path / "found.csv", newline="")))
    assert [row["label"] for row in rows] == ["lora", "=x,\"y\"", "unknown 3", ""]
    first = rows[0]
    assert (first["start"], first["duration"]) == ("0.0", "0.004")
    assert first["time"] == "2026-01-01T12:00:00.000000000Z"
    assert (first["freq_lower_edge"], first["confidence"], first["snr"]) == ("433900000.0", "0.75", "12.5")
    assert rows[1]["comment"] == "two\nlines" and rows[1]["freq_upper_edge"] == ""
    assert rows[2]["snr"] == "-1.5" and rows[2]["unknown"] == "True"
    radiofm("convert", "x.sigmf-meta", "found.csv", folder=tmp_path)  # its own is replaced
    (tmp_path / "mine.csv").write_text("a,b\n")
    assert "choose another" in radiofm("convert", "x.sigmf-meta", "mine.csv", code=1, folder=tmp_path)
    assert (tmp_path / "mine.csv").read_text() == "a,b\n"
    assert "must end in .csv" in radiofm("convert", "x.sigmf-meta", "found.xls", code=1, folder=tmp_path)


def test_annotations_as_json_lines(tmp_path):
    annotated(tmp_path / "x")
    write_recording(tmp_path / "y", tone(5000), sample_rate=RATE, annotations=[
        {"core:sample_start": 250, "core:sample_count": 250, "core:label": "b"}])
    for _ in range(2):
        radiofm("convert", ".", "found.jsonl", folder=tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "found.jsonl").read_text().splitlines()]
    assert len(lines) == 5
    assert lines[0]["model"] == "lora" and lines[0]["snr"] == 12.5
    assert lines[0]["freq"] == pytest.approx(433.925)
    assert lines[0]["time"] == "2026-01-01T12:00:00.000000000Z"
    assert lines[3]["model"] == "unknown" and "freq" not in lines[3]
    assert lines[4]["time"] == "@0.001000s" and lines[4]["duration"] == 0.001


def embeddings(n=5):
    rng = np.random.default_rng(1)
    numbers = [np.arange(n) * 1.5e6 for _ in range(4)]
    numbers[0][2] = math.nan
    vectors = rng.standard_normal((n, 7)).astype(np.float32)
    return Embeddings(vectors, np.arange(n), np.arange(n) + 9, *numbers, "m@1")


def test_embeddings_as_csv(tmp_path):
    made = embeddings()
    made.save(tmp_path / "e.npz")
    radiofm("convert", "e.npz", "e.csv", folder=tmp_path)
    radiofm("convert", "e.npz", "e.csv", folder=tmp_path)
    rows = list(csv.DictReader(open(tmp_path / "e.csv", newline="")))
    assert len(rows) == 5 and rows[2]["sample_rate"] == "" and rows[3]["rx_freq"] == "4500000"
    read = np.array([[float(row[f"e{i}"]) for i in range(7)] for row in rows], np.float32)
    np.testing.assert_array_equal(read, made.embedding)


def test_embeddings_as_parquet(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    made = embeddings()
    made.save(tmp_path / "e.npz")
    for _ in range(2):
        radiofm("convert", "e.npz", "e.parquet", folder=tmp_path)
    table = parquet.read_table(tmp_path / "e.parquet")
    np.testing.assert_array_equal(np.array(table["embedding"].to_pylist(), np.float32), made.embedding)
    np.testing.assert_array_equal(table["rx_freq"].to_numpy(), made.rx_freq)
    assert table.schema.metadata[b"radiofm:model"] == b"m@1"
    (tmp_path / "other.parquet").write_bytes(b"PAR1")
    assert "choose another" in radiofm("convert", "e.npz", "other.parquet", code=1, folder=tmp_path)


def test_parquet_without_pyarrow_says_so(tmp_path, monkeypatch):
    embeddings().save(tmp_path / "e.npz")
    found = builtins.__import__

    def without(name, *rest):
        if name.startswith("pyarrow"):
            raise ImportError("No module named 'pyarrow'")
        return found(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    text = radiofm("convert", "e.npz", "e.parquet", code=1, folder=tmp_path)
    assert "needs the package pyarrow; install it by" in text and not (tmp_path / "e.parquet").exists()


# -- the table ----------------------------------------------------------------------------------------
def test_counted_by_label():
    def note(label, count, confidence=None, generator="us"):
        more = {} if confidence is None else {"radiofm:confidence": confidence}
        return {"core:sample_count": count, "core:label": label, "core:generator": generator, **more}

    first = {"global": {"core:sample_rate": 100.0}, "annotations": [
        note("unknown", 900), note("a", 100, 0.5), note("a", 300, 0.9), note("x", 5, generator="them")]}
    second = {"global": {"core:sample_rate": 50.0}, "annotations": [note("b", 500)]}
    assert [(c.label, c.count, c.seconds, c.confidence) for c in counted([first, second], "us")] == [
        ("b", 1, 10.0, None), ("a", 2, 4.0, pytest.approx(0.8)), ("unknown", 1, 9.0, None)]
    (unknown,) = counted([{"global": {}, "annotations": [note("a", 1, 0.5)]}], "us")
    assert unknown.seconds is None and unknown.count == 1
