# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Only ordinary files are read: whoever opens a FIFO waits for ever."""

import os

import numpy as np
import pytest
from radiofm_ml import bundle, embeddings, files, heads
from radiofm_ml.fewshot.prototypes import PrototypeError, PrototypeSet
from radiofm_ml.sigmf.recording import RecordingError, open_recording
from radiofm_ml.tasks import TaskError
from radiofm_ml.tasks.npz import read_arrays
from tiny_bundle import make_bundle

pytestmark = pytest.mark.usefixtures("in_time")


@pytest.fixture(params=["fifo", "folder", "device", "link to a fifo"])
def odd(tmp_path, request):
    """(make it at a path, what it is called)"""
    def make(path):
        if request.param == "fifo":
            os.mkfifo(path)
        elif request.param == "folder":
            path.mkdir()
        elif request.param == "device":
            path.symlink_to("/dev/zero")
        else:
            os.mkfifo(tmp_path / "fifo")
            path.symlink_to(tmp_path / "fifo")
        return path

    return make, {"folder": "folder", "device": "device"}.get(request.param, "FIFO")


def test_ordinary_files(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("a")
    for name in ("a", "link"):
        files.check_regular(tmp_path / name)
        assert files.read_regular(tmp_path / name, 3) == b"abc"
        with files.open_regular(tmp_path / name) as file:
            assert file.read() == b"abc"
    with pytest.raises(OSError, match="larger than 2 bytes"):
        files.read_regular(tmp_path / "a", 2)
    for name in ("gone", "n" * 300, "a/b"):
        with pytest.raises(OSError):
            files.check_regular(tmp_path / name)


def test_what_is_no_file(tmp_path, odd):
    make, kind = odd
    path = make(tmp_path / "x")
    for use in (files.check_regular, files.open_regular, files.read_regular):
        with pytest.raises(files.NotAFileError, match=kind):
            use(path)


def test_a_fifo_put_in_its_place_between_the_look_and_the_opening(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "x")
    monkeypatch.setattr(files, "check_regular", lambda path: None)
    with pytest.raises(files.NotAFileError, match="FIFO"):
        files.open_regular(tmp_path / "x")


def test_prototypes(tmp_path, odd):
    make, kind = odd
    path = make(tmp_path / "x.safetensors")
    for use in (PrototypeSet(4).load, PrototypeSet(4).save):
        with pytest.raises(PrototypeError, match=f"x.safetensors: cannot be read: it is a {kind}"):
            use(path)


def test_recordings(tmp_path, odd):
    make, kind = odd
    with pytest.raises(RecordingError, match=kind):
        open_recording(make(tmp_path / "x.sigmf-meta"))


@pytest.mark.parametrize("name", bundle.FILES)
def test_bundles_and_heads(tmp_path, odd, name):
    make, kind = odd
    folder = make_bundle(tmp_path / "bundle").path
    (folder / name).unlink()
    make(folder / name)
    with pytest.raises(bundle.BundleError, match=f"{name}: cannot be read: it is a {kind}"):
        bundle.load(folder)


@pytest.mark.parametrize("name", heads.files.FILES)
def test_heads(tmp_path, odd, name):
    make, kind = odd
    for file in heads.files.FILES:
        (make if file == name else lambda path: path.write_bytes(b"{}"))(tmp_path / file)
    with pytest.raises(heads.HeadError, match=f"{name}: cannot be read: it is a {kind}"):
        heads.load(tmp_path)


def test_arrays(tmp_path, odd):
    make, kind = odd
    path = make(tmp_path / "x.npz")
    with pytest.raises(TaskError, match=kind):
        read_arrays(path)
    with pytest.raises(embeddings.EmbeddingsError, match=kind):
        embeddings.Embeddings.load(path)
    np.savez(tmp_path / "y.npz", a=np.arange(3))
    assert read_arrays(tmp_path / "y.npz", ["a"])["a"].sum() == 3
