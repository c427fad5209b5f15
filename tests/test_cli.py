# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The command radiofm, as a user runs it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import sigmf
from command import radiofm
from radiofm_ml import bundle as bundles
from radiofm_ml.cli.app import app
from radiofm_ml.engines import open_engine
from radiofm_ml.fewshot import FewShot
from radiofm_ml.pipeline import embed_recording
from radiofm_ml.sigmf.annotations import AnnotationWriter
from radiofm_ml.sigmf.recording import find_recordings, open_recording
from radiofm_ml.train import shards
from sigmf_files import write_recording
from tiny_bundle import SPEC, make_bundle
from typer.testing import CliRunner

RATE, FREQUENCY = 1e6, 433.92e6


def run_here(*arguments):
    """The same in this process."""
    return CliRunner().invoke(app, [str(a) for a in arguments])


def samples(kind: str, tiles: float, seed: int) -> np.ndarray:
    """Noise with a tone or short pulses, the tone at +RATE/8."""
    n, rng = int(tiles * SPEC.stride) + 32, np.random.default_rng(seed)
    noise = 0.01 * rng.standard_normal(2 * n).astype(np.float32).view(np.complex64)
    if kind == "tone":
        return noise + np.exp(2j * np.pi * (np.arange(n) / 8 + rng.random())).astype(np.complex64)
    return noise + (np.arange(n) % 256 < 16)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A random encoder, which tells a tone from pulses well enough, and recordings of both."""
    folder = tmp_path_factory.mktemp("cli")
    make_bundle(folder / "model")
    for kind in ("tone", "pulses", "short"):
        (folder / kind).mkdir()
    for kind in ("tone", "pulses"):
        for i in range(3):
            write_recording(
                folder / kind / f"{kind}{i}",
                samples(kind, 6, i),
                captures=[{"core:sample_start": 0, "core:frequency": FREQUENCY}],
                sample_rate=RATE,
            )
    write_recording(folder / "short" / "short", samples("tone", 0.3, 9), sample_rate=RATE)
    return folder


def test_a_process_of_its_own():
    """Installed as ``radiofm``, and as a module; what is wrong is one line on stderr, and the exit status."""
    def run(*command):
        return subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=300)

    installed = run(Path(sys.executable).with_name("radiofm"), "--help")
    assert installed.returncode == 0 and "Usage: radiofm" in installed.stdout
    wrong = run(sys.executable, "-m", "radiofm_ml.cli", "info", "no-such-model")
    assert wrong.returncode == 1 and not wrong.stdout
    assert wrong.stderr.startswith("radiofm: no-such-model") and len(wrong.stderr.splitlines()) == 1


def test_help_names_every_command():
    text = radiofm("--help")
    for command in ("embed", "annotate", "enroll", "info", "pretrain", "evaluate"):
        assert command in text
        assert "Usage" in radiofm(command, "--help")


def test_embed_is_the_pipeline(world, tmp_path):
    radiofm("embed", world / "tone" / "tone0.sigmf-meta", tmp_path / "tone0.npz", "-m", world / "model")
    with np.load(tmp_path / "tone0.npz", allow_pickle=False) as arrays:
        assert arrays["embedding"].dtype == np.float32 and arrays["embedding"].shape == (6, 64)
        assert arrays["sample_start"].dtype == arrays["sample_count"].dtype == np.int64
        np.testing.assert_array_equal(arrays["sample_start"], np.arange(6) * SPEC.stride)
        np.testing.assert_array_equal(arrays["sample_count"], np.full(6, SPEC.samples_per_tile))
        with open_recording(world / "tone" / "tone0.sigmf-meta") as recording:
            direct = embed_recording(recording, open_engine(world / "model"))
        np.testing.assert_allclose(arrays["embedding"], direct.embedding, atol=1e-6)


def test_embed_a_folder_keeps_the_relative_paths(world, tmp_path):
    radiofm("embed", world, tmp_path / "out", "-m", world / "model")
    made = {str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.npz")}
    assert made == {f"{k}/{k}{i}.npz" for k in ("tone", "pulses") for i in range(3)} | {"short/short.npz"}
    with np.load(
        tmp_path / "out" / "short" / "short.npz"
    ) as short:  # shorter than a tile: completed, not refused
        assert len(short["embedding"]) == 1 and short["sample_count"][0] == int(0.3 * SPEC.stride) + 32


def test_one_bad_recording_does_not_stop_the_others(world, tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    for i in (0, 2):
        write_recording(source / f"good{i}", samples("tone", 2, i), sample_rate=RATE)
    (source / "good1.sigmf-meta").write_text("{not json")
    error = radiofm("embed", source, tmp_path / "out", "-m", world / "model", code=1)
    assert "good1.sigmf-meta" in error and "1 of 3 recordings failed" in error and "Traceback" not in error
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"good0.npz", "good2.npz"}


def test_teach_and_annotate(world, tmp_path):
    taught = tmp_path / "taught.safetensors"
    for kind in ("tone", "pulses"):
        radiofm(
            "enroll",
            taught,
            kind,
            world / kind / f"{kind}0.sigmf-meta",
            world / kind / f"{kind}1.sigmf-meta",
            "-m",
            world / "model",
            "--shots",
            "5",
        )
    few = FewShot(64)
    few.prototypes.load(taught)
    assert {p.label: p.shots for p in few.prototypes} == {"tone": 5, "pulses": 5}

    for kind in ("tone", "pulses"):
        out = tmp_path / "out" / f"{kind}2.sigmf-meta"
        radiofm(
            "annotate", world / kind / f"{kind}2.sigmf-meta", "-o", out, "-p", taught, "-m", world / "model"
        )
        handle = sigmf.sigmffile.fromfile(str(out))
        handle.validate()
        (annotation,) = handle.get_annotations()  # six equal tiles, merged
        assert annotation["core:label"] == kind
        assert (annotation["core:sample_start"], annotation["core:sample_count"]) == (0, 6 * SPEC.stride + 32)
        if kind == "tone":
            low, high = annotation["core:freq_lower_edge"], annotation["core:freq_upper_edge"]
            assert low < FREQUENCY + RATE / 8 < high and high - low < RATE / 8


def test_enroll_from_annotations(world, tmp_path):
    iq = np.concatenate([samples("tone", 4, 1)[: 4 * SPEC.stride], samples("pulses", 4, 2)])
    half = 4 * SPEC.stride
    write_recording(
        tmp_path / "both",
        iq,
        annotations=[
            {"core:sample_start": 0, "core:sample_count": half, "core:label": "tone"},
            {"core:sample_start": half, "core:sample_count": half, "core:label": "pulses"},
        ],
        sample_rate=RATE,
    )
    text = radiofm(
        "enroll",
        tmp_path / "t.safetensors",
        "",
        tmp_path / "both.sigmf-meta",
        "--shots",
        "3",
        "-m",
        world / "model",
    )
    assert "tone" in text and "pulses" in text
    few = FewShot(64)
    few.prototypes.load(tmp_path / "t.safetensors")
    assert {p.label: p.shots for p in few.prototypes} == {"tone": 3, "pulses": 3}


def test_labels_of_annotations_that_cannot_be_taught_are_named_and_passed_over(world, tmp_path):
    count = 2 * SPEC.stride
    names = ("Wi\xa0Fi", "a\tb", "x" * 129, "\ud800", "👩\u200d🚀", "unknown")
    write_recording(tmp_path / "odd", samples("tone", 12, 1), sample_rate=RATE, annotations=[
        {"core:sample_start": i * count, "core:sample_count": count, "core:label": name}
        for i, name in enumerate(names)])
    done = run_here("enroll", tmp_path / "t.safetensors", "", tmp_path / "odd.sigmf-meta",
                    "-m", world / "model")
    assert done.exit_code == 0
    assert "odd.sigmf-meta: " in done.output and "cannot be taught: label 'a\\tb'" in done.output
    few = FewShot(64)
    few.prototypes.load(tmp_path / "t.safetensors")
    assert {p.label for p in few.prototypes} == {"Wi\xa0Fi", "👩\u200d🚀"}


def test_what_is_taught_meanwhile_stays(world, tmp_path, monkeypatch):
    """Two programs that teach into one file at the same time."""
    from radiofm_ml import pipeline

    path, shots_of = tmp_path / "T.SAFETENSORS", pipeline.shots_of

    def meanwhile(*arguments, **options):
        other = FewShot(64, model=bundles.load(world / "model").id)
        other.prototypes.enroll("other", np.ones((2, 64), np.float32))
        other.save(path)
        return shots_of(*arguments, **options)

    monkeypatch.setattr(pipeline, "shots_of", meanwhile)
    assert run_here("enroll", path, "mine", world / "tone" / "tone0.sigmf-meta", "-m",
                    world / "model").exit_code == 0
    few = FewShot(64)
    few.prototypes.load(path)
    assert {p.label for p in few.prototypes} == {"other", "mine"}


def test_a_label_that_cannot_be_taught_is_refused_before_the_work(world, tmp_path, monkeypatch):
    monkeypatch.setattr("radiofm_ml.pipeline.shots_of", None)
    for label in ("unknown", "a\nb", "x" * 129):
        done = run_here("enroll", tmp_path / "t.safetensors", label, world / "tone" / "tone0.sigmf-meta",
                        "-m", world / "model")
        assert "label" in str(done.exception)


def test_info(world):
    config = json.loads(radiofm("info", world / "model", "--json"))
    assert config["id"].startswith("random@") and config["embedding_size"] == 64
    assert "32 x 64" in radiofm("info", world / "model")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("embed", "nowhere.sigmf-meta", "out.npz", "-m", "MODEL"), "nowhere.sigmf-meta"),
        (("embed", "TONE", "no/folder/x.npz", "-m", "nothing-like-it"), "nothing-like-it: no such bundle"),
        (("info", "TONE"), "no such bundle"),
        (("annotate", "TONE", "-o", "OUT", "-m", "MODEL"), "brings no labels"),
        (
            ("annotate", "TONE", "-o", "OUT", "-m", "MODEL", "-p", "missing.safetensors"),
            "missing.safetensors",
        ),
        (("enroll", "OUT.txt", "x", "TONE", "-m", "MODEL"), "safetensors"),
        (("enroll", "OUT.safetensors", "", "TONE", "-m", "MODEL"), "no annotation"),
    ],
)
def test_errors_are_one_line_that_says_what_to_do(world, tmp_path, arguments, words):
    names = {
        "TONE": world / "tone" / "tone0.sigmf-meta",
        "MODEL": world / "model",
        "OUT": tmp_path / "o.sigmf-meta",
        "OUT.txt": tmp_path / "o.txt",
        "OUT.safetensors": tmp_path / "o.safetensors",
    }
    error = radiofm(*(names.get(a, a) for a in arguments), code=1)
    assert words in error and "Traceback" not in error
    assert len([line for line in error.splitlines() if line.startswith("radiofm:")]) == 1


def test_pretrain_makes_a_bundle_and_resumes(tmp_path, monkeypatch):
    """In this process, where a shard can be made smaller than the real 1024 tiles."""
    monkeypatch.setattr(shards, "SHARD_TILES", 16)
    options = (
        "--preset tiny --steps 2 --batch-size 4 --tiles 16 --warmup 1 --threads 1 --receptions 0"
    )
    run = ["pretrain", str(tmp_path / "run"), *options.split()]
    assert CliRunner().invoke(app, run).exit_code == 0
    first = (tmp_path / "run" / "log.jsonl").read_text()
    assert len(first.splitlines()) == 2
    assert CliRunner().invoke(app, run).exit_code == 0  # nothing more to train; the bundle is made again
    assert (tmp_path / "run" / "log.jsonl").read_text() == first
    assert bundles.load(tmp_path / "run" / "bundle").name == "msm-tiny"
    refused = CliRunner().invoke(app, [*run, "--mask-ratio", "0.5"])
    assert refused.exit_code == 1 and "other settings" in str(refused.exception)


def test_annotate_by_every_metric(world, tmp_path, monkeypatch):
    """--metric is that of the block, with its default."""
    used = []
    real = FewShot.for_bundle
    monkeypatch.setattr(FewShot, "for_bundle", lambda *a, **k: used.append(k.get("metric")) or real(*a, **k))
    taught = tmp_path / "t.safetensors"
    tone = str(world / "tone" / "tone0.sigmf-meta")
    common = ["-m", str(world / "model")]
    for kind in ("tone", "pulses"):
        recording = str(world / kind / f"{kind}0.sigmf-meta")
        assert CliRunner().invoke(app, ["enroll", str(taught), kind, recording, *common]).exit_code == 0
    for metric in (None, "euclidean", "cosine", "mahalanobis"):
        out = tmp_path / f"{metric}.sigmf-meta"
        run = ["annotate", tone, "-o", str(out), "-p", str(taught), *common]
        used.clear()
        assert CliRunner().invoke(app, [*run, *(["--metric", metric] if metric else [])]).exit_code == 0
        assert set(used) == {metric or "euclidean"}
        assert json.loads(out.read_text())["annotations"][0]["core:label"] == "tone"
    done = CliRunner().invoke(app, [*run, "--metric", "manhattan"])
    assert done.exit_code == 1 and "metric must be one of euclidean, cosine" in str(done.exception)


def test_signals_lose_nothing_that_was_complete(world, tmp_path):
    """A second run over a complete output is ended again and again; the same command goes on each time."""
    taught, out = tmp_path / "t.safetensors", tmp_path / "long.sigmf-meta"
    iq = np.concatenate([samples("tone", 200, 1), samples("pulses", 200, 2)] * 12)
    iq = (20 * iq).view(np.float32).astype(np.int8)
    path = write_recording(tmp_path / "long", iq, "ci8", sample_rate=RATE)
    few = FewShot.for_bundle(bundles.load(world / "model"), shipped=False)
    few.prototypes.enroll("x", np.ones((5, 64), np.float32))
    few.save(taught)
    command = ["annotate", path, "-o", out, "-p", taught, "-m", world / "model", "--batch", "4"]
    with open_recording(path) as recording, AnnotationWriter(out, recording) as writer:
        n_tiles = SPEC.n_tiles(recording.n_samples)
        for k in range(305):
            writer.add(1000 * k, 1000, str(k))
    before, done = out.read_bytes(), 0
    beside = tmp_path / ".long.sigmf-meta.incomplete"

    def position():
        return json.loads(beside.read_text())["global"]["radiofm:resume"]["sample"] if beside.exists() else 0

    for number, code in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 143), (signal.SIGINT, 130)):
        # as a user starts it, whose shell does not ignore SIGINT
        child = subprocess.Popen([sys.executable, "-m", "radiofm_ml.cli", *map(str, command)],
                                 stderr=subprocess.PIPE, text=True,
                                 env={**os.environ, "OMP_NUM_THREADS": "1"},
                                 preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
        while child.poll() is None and position() <= done:
            time.sleep(0.02)
        child.send_signal(number)
        error = child.communicate(timeout=60)[1]
        assert child.returncode == code, error
        assert out.read_bytes() == before and "Traceback" not in error
        assert ("interrupted after 0 of 1" in error) == (number != signal.SIGKILL)
        assert json.loads(beside.read_text())["global"]["radiofm:incomplete"] is True and position() > done
        done = position()
    radiofm(*command)
    meta = json.loads(out.read_text())
    assert "radiofm:incomplete" not in meta["global"] and not beside.exists()
    assert sum(a["radiofm:decisions"] for a in meta["annotations"]) == n_tiles


def test_the_last_line_names_what_was_not_done(world, tmp_path):
    source = tmp_path / "in [bold]"
    source.mkdir()
    write_recording(source / "good[red]", samples("tone", 2, 0), sample_rate=RATE)
    (source / "bad[red]\x1b[31m.sigmf-meta").write_text("{not json")
    write_recording(source / "odd", np.full(3000, np.nan, np.complex64), sample_rate=RATE)
    write_recording(source / "alone", b"", metadata_only=True)
    (source / "alone.sigmf-data").unlink()
    error = radiofm("embed", source, tmp_path / "out", "-m", world / "model", code=1)
    last = error.strip().splitlines()[-1]
    assert "1 of 3 recordings failed" in last and "bad[red]\\x1b[31m.sigmf-meta" in last
    assert "left out" in last and "alone.sigmf-meta: metadata without samples" in last
    assert "odd.sigmf-meta: holds samples that are NaN" in last
    assert "\x1b" not in error and "Traceback" not in error and "in [bold]" in error


@pytest.mark.parametrize("label", ["[/red]", "[bold]x", ":smile:", "a\x1b[31mb"])
def test_labels_that_rich_would_take_for_markup(world, tmp_path, label):
    tone = str(world / "tone" / "tone0.sigmf-meta")
    done = CliRunner().invoke(app, ["enroll", str(tmp_path / "t.safetensors"), label, tone, "-m",
                                    str(world / "model")])
    if label.isprintable():
        assert done.exit_code == 0 and label in done.output
    else:
        assert "\x1b" not in done.output  # whether it may be taught is not for the terminal to say


@pytest.mark.parametrize("command", ["embed", "annotate"])
def test_every_real_recording(command, data_dir, tmp_path):
    """All of them, through the shipped bundle; what comes out is valid."""
    source, out = data_dir / "iq", tmp_path / "out"
    radiofm(
        *{"embed": ("embed", source, out), "annotate": ("annotate", source, "-o", out, "--data", "none")}[
            command
        ]
    )
    recordings = find_recordings(source)
    assert len(recordings) >= 187
    for path in recordings:
        made = out / path.relative_to(source).with_suffix(
            {"embed": ".npz", "annotate": ".sigmf-meta"}[command]
        )
        if command == "embed":
            with np.load(made, allow_pickle=False) as arrays:
                assert len(arrays["embedding"]) and np.isfinite(arrays["embedding"]).all()
        else:
            sigmf.sigmffile.SigMFFile(metadata=made.read_text()).validate()
            assert any(
                "radiofm:model" in a or "gr-radiofm" in a.get("core:generator", "")
                for a in json.loads(made.read_text())["annotations"]
            )


def test_a_recording_is_no_label(world, tmp_path):
    tone = world / "tone" / "tone0.sigmf-meta"
    error = radiofm("enroll", tmp_path / "t.safetensors", tone, tone, "-m", world / "model", code=1)
    assert "is the name of a recording; the label comes before the recordings" in error
    assert not list(tmp_path.iterdir())
