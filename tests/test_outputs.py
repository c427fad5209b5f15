# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""No command writes over a recording, or anything that it did not write itself, without being told to."""

import hashlib
import json
import os
import tarfile
from types import SimpleNamespace

import numpy as np
import pytest
from radiofm_ml import outputs
from radiofm_ml.cli.app import app
from radiofm_ml.engines import open_engine
from radiofm_ml.fewshot import FewShot
from radiofm_ml.outputs import NOTE, OutputError, check_file, claim_folder, write_report
from radiofm_ml.plots import style
from sigmf_files import write_recording
from tiny_bundle import SPEC, make_bundle
from typer.testing import CliRunner


def noise(n=3 * SPEC.stride, seed=0):
    rng = np.random.default_rng(seed)
    return (0.1 * (rng.normal(size=n) + 1j * rng.normal(size=n))).astype(np.complex64)


def everything(folder):
    """Name and content of every file; of a link, where it leads."""
    return {str(path.relative_to(folder)): os.readlink(path) if path.is_symlink() else
            hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*")) if path.is_symlink() or path.is_file()}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("model"), read_out="frequency")


@pytest.fixture(scope="module")
def engine(model):
    return open_engine(model)


@pytest.fixture
def world(tmp_path, monkeypatch, model, engine):
    """Two recordings a and b, an archive of a third, prototypes, and files of other people; the place that
    commands are run in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("radiofm_ml.engines.open_engine", lambda *_, **__: engine)  # opened once
    write_recording(tmp_path / "a", noise(), sample_rate=1e6)
    write_recording(tmp_path / "b", noise(seed=1), sample_rate=1e6)
    write_recording(tmp_path / "c", noise(seed=2), sample_rate=1e6)
    with tarfile.open("c.sigmf", "w") as tar:
        for name in ("c.sigmf-meta", "c.sigmf-data"):
            tar.add(name)
            os.unlink(name)
    few = FewShot(model.embedding_size, model=model.id)
    few.prototypes.enroll("x", np.ones((5, model.embedding_size), np.float32))
    few.save(tmp_path / "p.safetensors")
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "table.csv").write_text("1,2")
    np.savez(tmp_path / "mine.npz", x=np.zeros(3))
    (tmp_path / "mine.sigmf-meta").write_text("mine")
    return tmp_path


def radiofm(*arguments):
    """(exit status, the error's text)"""
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit | ValueError | OSError):
        raise done.exception
    text = "" if isinstance(done.exception, SystemExit | None) else str(done.exception)
    return done.exit_code, text + done.output


# -- one recording -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("target", [
    "a.sigmf-data", "a.sigmf-meta", "b.sigmf-data", "./a.sigmf-data", "c.sigmf", "c.sigmf/c.npz", "mine.npz",
    "notes.txt", "table.csv", "new.csv", "new", "link.npz", "hard.npz", "gone.npz", "fifo.npz", "dataset.npz",
    "x.sigmf-meta", "y.npz", ".npz",
])
def test_embed_replaces_nothing_that_it_did_not_write(world, model, target):
    os.symlink("a.sigmf-data", "link.npz")
    os.link("b.sigmf-data", "hard.npz")
    os.symlink("nowhere", "gone.npz")
    write_recording(world / "d", noise(seed=4), dataset="dataset.npz")
    (world / "x.sigmf-meta").mkdir()
    (world / "y.npz").mkdir()
    if target == "fifo.npz":
        os.mkfifo("fifo.npz")
        assert radiofm("embed", "a.sigmf-meta", target, "-m", model.path, "--overwrite")[0] == 1
        return
    before = everything(world)
    code, error = radiofm("embed", "a.sigmf-meta", target, "-m", model.path)
    assert code == 1 and target.removeprefix("./") in error and len(error.splitlines()) <= 3, error
    assert everything(world) == before


@pytest.mark.parametrize("source, target", [
    ("d.sigmf-meta", "dataset.npz"), ("d.sigmf-meta", "link.npz"), ("d.sigmf-meta", "hard.npz"),
    ("d.sigmf-meta", "sub/../dataset.npz"),
])
def test_what_is_read_is_never_written_over(world, model, source, target):
    """Not even with --overwrite, by whatever name."""
    write_recording(world / "d", noise(seed=4), dataset="dataset.npz")
    (world / "sub").mkdir()
    os.symlink("dataset.npz", "link.npz")
    os.link("dataset.npz", "hard.npz")
    before = everything(world)
    code, error = radiofm("embed", source, target, "-m", model.path, "--overwrite")
    assert code == 1 and "is what is read" in error
    assert everything(world) == before


def test_embed_again_and_told_to(world, model):
    for target in ("a.npz", "a.npz", "A2.NPZ"):
        assert radiofm("embed", "a.sigmf-meta", target, "-m", model.path)[0] == 0
    assert radiofm("embed", "a.sigmf-meta", "mine.npz", "-m", model.path, "--overwrite")[0] == 0
    with np.load("mine.npz") as arrays:
        assert len(arrays["embedding"]) == 3
    os.symlink("a.npz", "link.npz")  # what a link leads to is written, the link stays
    assert radiofm("embed", "b.sigmf-meta", "link.npz", "-m", model.path)[0] == 0
    assert os.path.islink("link.npz") and not os.path.islink("a.npz")


@pytest.mark.parametrize("target", [
    "b.sigmf-meta", "b", "new", "./b.sigmf-meta", "link.sigmf-meta", "other.sigmf-meta", "b.sigmf-data",
    "a.sigmf-data", "c.sigmf", "c.sigmf/x.sigmf-meta", "mine.sigmf-meta", "new.csv", "notes.txt",
    "x.sigmf-meta", "hard.sigmf-meta", "data.sigmf-meta", "lone.sigmf-meta", "synthetic.sigmf-meta",
    "fifo.sigmf-meta",
])
def test_annotate_replaces_nothing_that_it_did_not_write(world, model, target):
    os.symlink("b.sigmf-meta", "link.sigmf-meta")
    os.link("a.sigmf-meta", "hard.sigmf-meta")
    os.symlink("a.sigmf-data", "data.sigmf-meta")
    (world / "x.sigmf-meta").mkdir()
    (world / "lone.sigmf-data").write_bytes(b"a dataset whose metadata are elsewhere")
    write_recording(world / "other", b"", dataset="a.sigmf-data")  # another program's, of the same samples
    write_recording(world / "a", noise(), sample_rate=1e6)
    write_recording(world / "synthetic", noise(seed=5), extensions=[
        {"name": "radiofm", "version": "1.0.0", "optional": True}])
    if target == "fifo.sigmf-meta":
        os.mkfifo(target)
    before = everything(world)
    code, error = radiofm("annotate", "a.sigmf-meta", "-o", target, "-p", "p.safetensors", "-m", model.path)
    name = os.path.realpath(target) if target == "link.sigmf-meta" else target
    assert code == 1 and os.path.basename(name).split(".")[0] in error, error
    assert everything(world) == before


def test_annotate_again_in_place_and_told_to(world, model):
    options = ("-p", "p.safetensors", "-m", model.path)
    for target in ("new.sigmf-meta", "new.sigmf-meta", "a.sigmf-meta", "a.sigmf-meta"):
        assert radiofm("annotate", "a.sigmf-meta", "-o", target, *options)[0] == 0
    (world / "sub").mkdir()
    for _ in range(2):
        assert radiofm("annotate", "c.sigmf", "-o", "sub/c.sigmf-meta", *options)[0] == 0
        assert radiofm("annotate", "c.sigmf", "-o", "sub/none.sigmf-meta", "--data", "none", *options)[0] == 0
    by_hand = {"core:sample_start": 0, "core:label": "by hand"}
    write_recording(world / "b", noise(seed=1), annotations=[by_hand])
    assert radiofm("annotate", "a.sigmf-meta", "-o", "b.sigmf-meta", *options)[0] == 1
    code, error = radiofm("annotate", "a.sigmf-meta", "-o", "b.sigmf-meta", "--overwrite", *options)
    assert code == 1 and "b.sigmf-data: is there and holds other samples" in error  # nor with it
    code, _ = radiofm("annotate", "a.sigmf-meta", "-o", "mine.sigmf-meta", "--overwrite", *options)
    assert code == 0 and json.loads((world / "mine.sigmf-meta").read_text())["annotations"]


def test_annotations_of_other_samples_are_not_taken_over_when_told_to(world, model):
    write_recording(world / "e", b"", annotations=[{"core:sample_start": 0, "core:label": "by hand"}])
    os.unlink("e.sigmf-data")
    code, _ = radiofm("annotate", "a.sigmf-meta", "-o", "e.sigmf-meta", "--overwrite", "-p", "p.safetensors",
                      "-m", model.path)
    labels = {a["core:label"] for a in json.loads((world / "e.sigmf-meta").read_text())["annotations"]}
    assert code == 0 and labels and "by hand" not in labels


@pytest.mark.parametrize("target", ["a.sigmf-meta", "a.sigmf-data", "notes.txt", "new", "weights.safetensors",
                                    "x.safetensors", "gone.safetensors"])
def test_enroll_replaces_nothing_but_prototypes(world, model, target):
    (world / "weights.safetensors").write_bytes((model.path / "model.safetensors").read_bytes())
    (world / "x.safetensors").mkdir()
    os.symlink("nowhere", "gone.safetensors")
    before = everything(world)
    code, error = radiofm("enroll", target, "x", "a.sigmf-meta", "-m", model.path)
    assert code == 1 and target in error
    assert everything(world) == before


# -- folders -----------------------------------------------------------------------------------------------
def test_folders_of_recordings(world, model):
    for command in (("embed", ".", "out.npz"), ("embed", ".", "notes.txt"),
                    ("annotate", ".", "-o", "out.sigmf-meta", "-p", "p.safetensors")):
        before = everything(world)
        assert radiofm(*command, "-m", model.path)[0] == 1
        assert everything(world) == before
    (world / "out").mkdir()
    (world / "out" / "a.npz").write_text("mine")
    os.unlink("mine.sigmf-meta")
    code, error = radiofm("embed", ".", "out", "-m", model.path)
    assert code == 1 and "1 of 3 recordings failed: a.sigmf-meta" in error
    assert (world / "out" / "a.npz").read_text() == "mine" and (world / "out" / "b.npz").exists()


@pytest.mark.parametrize("command", [
    ("synth", "signals", "OUT"), ("synth", "tiles", "OUT"), ("synth", "beams", "OUT"),
    ("synth", "positioning", "OUT"), ("synth", "lte-nr", "OUT"), ("pretrain", "OUT"),
    ("import-wavesfm", "a.sigmf-data", "OUT"), ("fewshot-check", "MODEL", "mine.npz", "--out", "OUT"),
    ("finetune", "occupancy", "occupied", "--out", "OUT", "--model", "MODEL"),
    ("protobeam", "train", "OUT", "--frames", "14"), ("protobeam", "table1", "OUT", "--quick"),
    ("protobeam", "aoa", "OUT", "--quick"), ("protobeam", "bundle", "run", "OUT"),
], ids=" ".join)
def test_commands_that_fill_a_folder(world, model, command, monkeypatch):
    """None begins in a folder of other files or of another command, or in the place of a file."""
    if "occupied" in command:
        monkeypatch.setattr("radiofm_ml.tasks.load_task", lambda *_: SimpleNamespace(kind="segmentation"))
    (world / "foreign").mkdir()
    (world / "foreign" / "index.csv").write_text("label,session,file,sample_rate")
    (world / "of-another").mkdir()
    (world / "of-another" / NOTE).write_text(json.dumps({"command": "another"}))
    before = everything(world)
    for out, words in (("foreign", "did not write"), ("of-another", "was written by 'radiofm another'"),
                       ("notes.txt", "name a folder"), ("new.sigmf-meta", "name a folder")):
        names = {"OUT": out, "MODEL": model.path}
        code, error = radiofm(*(names.get(a, a) for a in command))
        assert code == 1 and words in error and out in error, error
    assert everything(world) == before


def test_a_command_goes_on_in_its_own_folder(world):
    run = ("synth", "lte-nr", "frames", "--frames", "2", "--front-ends", "2")
    assert radiofm(*run)[0] == 0
    before = everything(world)
    assert radiofm(*run)[0] == 0 and everything(world) == before
    (world / "foreign").mkdir()
    (world / "foreign" / "keep").write_text("mine")
    assert radiofm(*run[:2], "foreign", *run[3:], "--overwrite")[0] == 0
    assert (world / "foreign" / "keep").read_text() == "mine"
    assert radiofm(*run[:2], "foreign", *run[3:])[0] == 0  # its own from now on


@pytest.mark.parametrize(("command", "other"), [
    (("synth", "lte-nr", "OUT", "--frames", "2"), ("--seed", "1")),
    (("synth", "lte-nr", "OUT", "--frames", "2"), ("--front-ends", "3")),
    (("synth", "signals", "OUT", "--labels", "lora", "--count", "1"), ("--samples", "4096")),
    (("synth", "signals", "OUT", "--labels", "lora", "--count", "1"), ("--datatype", "cu8")),
    (("synth", "signals", "OUT", "--labels", "lora", "--count", "1"), ("--snr", "9:10")),
], ids=str)
def test_what_was_made_with_other_settings_is_not_taken_for_made(world, command, other):
    assert radiofm(*command)[0] == 0
    (world / "OUT" / "mine.sigmf-meta").write_text("{bad")
    before = everything(world)
    code, error = radiofm(*command, *other)
    assert code == 1 and "OUT: was made with other settings" in error
    assert everything(world) == before
    assert radiofm(*command)[0] == 0


# -- reports and pictures ----------------------------------------------------------------------------------
@pytest.mark.parametrize("command", [
    ("drift-check",), ("evaluate", "MODEL", "."), ("readouts", "run", ".", "--shards", "."),
    ("protobeam", "evaluate", "run"),
], ids=" ".join)
def test_reports_are_asked_for_first(world, model, command):
    (world / "mine.json").write_text('{"a": 1}')
    for out, words in (("mine.json", "is there"), ("notes.txt", "must end in .json"),
                       ("no/x.json", "create it"), ("a.sigmf-meta", "must end in .json")):
        before = everything(world)
        code, error = radiofm(*(model.path if a == "MODEL" else a for a in command), "--out", out)
        assert code == 1 and words in error and out in error, error
        assert everything(world) == before


@pytest.mark.parametrize("command", [
    ("reconstructions", "--run", "r", "--data", "d"), ("accuracy", "--run", "r", "--data", "d"),
    ("pca", "--data", "d"), ("confusion", "--report", "r"),
], ids=lambda command: command[0])
def test_pictures_are_asked_for_first(world, command):
    fig = style.figure(1, 1)
    fig.savefig("holiday.png")
    (world / "numbers.json").write_text("[1]")
    for out, words in (("holiday.png", "is there"), ("numbers.png", "numbers.json: is there"),
                       ("a.sigmf-data", "must end in .png")):
        before = everything(world)
        code, error = radiofm("figures", command[0], out, *command[1:])
        assert code == 1 and words in error, error
        assert everything(world) == before


def test_our_own_reports_and_pictures_are_known(tmp_path):
    write_report(tmp_path / "r.json", {"a": np.array([1.0, np.nan]), "b": {"c": np.float32("inf")}})
    assert json.loads((tmp_path / "r.json").read_text()) == {
        "generator": outputs.GENERATOR, "a": [1.0, None], "b": {"c": None}}
    assert outputs.check_report(tmp_path / "r.json") == tmp_path / "r.json"
    style.save(style.figure(1, 1), tmp_path / "p.png")
    assert outputs.check_picture(tmp_path / "p.png") == tmp_path / "p.png"
    (tmp_path / "p.png").write_bytes(b"tEXtSoftware\0" + outputs.GENERATOR.encode())
    for content in ("", "[]", "{", '{"generator": "gr-radiofmx 1"}', '{"generator": 5}', "[" * 100_000):
        (tmp_path / "r.json").write_text(content)
        with pytest.raises(OutputError, match="r.json: is there"):
            outputs.check_report(tmp_path / "r.json")
    with pytest.raises(OutputError, match="p.png: is there"):
        outputs.check_picture(tmp_path / "p.png")
    outputs.check_picture(tmp_path / "p.png", overwrite=True)


def test_claim(tmp_path):
    folder = claim_folder(tmp_path / "deep" / "new", "synth tiles")
    (folder / "x").write_text("1")
    assert claim_folder(folder, "synth tiles") == folder
    with pytest.raises(OutputError, match="'radiofm synth tiles'; choose another folder, or say --overwrite"):
        claim_folder(folder, "finetune")
    claim_folder(folder, "finetune", overwrite=True)
    claim_folder(folder, "finetune")
    (tmp_path / "v1.2").mkdir()
    claim_folder(tmp_path / "v1.2", "pretrain")  # a dot is no ending
    for made in ({"seed": 1, "zoom": None}, {"seed": 1, "zoom": None}):
        claim_folder(tmp_path / "made", "synth", settings=made)
    for made, words in (({"seed": 2, "zoom": None}, "seed 1, not 2"),
                        ({"seed": 1, "zoom": 4}, "zoom None, not 4")):
        with pytest.raises(OutputError, match=f"made: was made with other settings .{words}"):
            claim_folder(tmp_path / "made", "synth", settings=made, overwrite=True)
    claim_folder(tmp_path / "made", "another", settings={"seed": 2}, overwrite=True)
    for name in ("x.npz", "X.CSV", "x.sigmf", "x.tar.gz"):
        with pytest.raises(OutputError, match="name of a file"):
            claim_folder(tmp_path / name, "pretrain")
        assert not (tmp_path / name).exists()


def test_a_name_with_a_null_character(tmp_path):
    with pytest.raises(OutputError, match="must end in"):
        check_file(f"{tmp_path}/a\0.npz", ".npz", lambda _: True)
