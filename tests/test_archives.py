# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""SigMF archives: tar and zip, whole, damaged and hostile."""

import io
import tarfile
import zipfile

import numpy as np
import pytest
import sigmf
from radiofm_ml.sigmf.recording import RecordingError, find_recordings, open_recording
from sigmf_files import archive, broken, ramp, write_recording


@pytest.mark.parametrize("folder", ["", "x/", "./x/", "a/b/"])
@pytest.mark.parametrize("data_first", [False, True])
def test_archive(tmp_path, folder, data_first):
    x = ramp(3000)
    meta = write_recording(tmp_path / "x", x, sample_rate=1e6)
    path = archive(tmp_path / "y.sigmf", meta, folder=folder, data_first=data_first)
    for name in (path, tmp_path / "y"):
        recording = open_recording(name)
        assert recording.archived and recording.path == path and recording.name == "y"
        assert recording.data_path == path and recording.sample_rate == 1e6
        np.testing.assert_array_equal(recording.read(1000, 500), x[1000:1500])


def test_archive_by_the_sigmf_package(tmp_path):
    x = ramp(500)
    sigmf.sigmffile.fromfile(write_recording(tmp_path / "x", x)).archive(str(tmp_path / "z.sigmf"))
    np.testing.assert_array_equal(open_recording(tmp_path / "z.sigmf").read(), x)


@pytest.mark.parametrize(
    ("suffix", "mode"), [(".sigmf.gz", "w:gz"), (".sigmf.xz", "w:xz"), (".sigmf", "w:bz2")]
)
def test_compressed_archive(tmp_path, suffix, mode):
    x = ramp(3000)
    path = archive(tmp_path / f"y{suffix}", write_recording(tmp_path / "x", x), mode=mode)
    with open_recording(path) as recording:
        assert recording.name == "y"
        np.testing.assert_array_equal(recording.read(), x)
    np.testing.assert_array_equal(recording.read(5, 5), x[5:10])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.sigmf-data", "x.sigmf-meta", f"y{suffix}"]


def test_zip_archive(tmp_path):
    x = ramp(3000)
    meta = write_recording(tmp_path / "x", x)
    with zipfile.ZipFile(tmp_path / "y.sigmf.zip", "w", zipfile.ZIP_DEFLATED) as file:
        for part in (meta, meta.with_suffix(".sigmf-data")):
            file.write(part, f"y/{part.name}")
            file.writestr(f"__MACOSX/y/._{part.name}", b"shadow")
    np.testing.assert_array_equal(open_recording(tmp_path / "y.sigmf.zip").read(), x)


def test_archive_with_a_dataset_of_another_format(tmp_path):
    x = ramp(50)
    meta = write_recording(
        tmp_path / "x",
        b"H" * 44 + x.tobytes(),
        dataset="x.wav",
        captures=[{"core:sample_start": 0, "core:header_bytes": 44}],
    )
    with tarfile.open(tmp_path / "y.sigmf", "w") as tar:
        tar.add(meta, "y/x.sigmf-meta")
        tar.add(tmp_path / "x.wav", "y/x.wav")
    np.testing.assert_array_equal(open_recording(tmp_path / "y.sigmf").read(), x)


def test_archive_of_several_recordings(tmp_path):
    metas = [write_recording(tmp_path / name, ramp(n)) for name, n in (("one", 10), ("two", 20))]
    path = archive(tmp_path / "y.sigmf", *metas, folder="d/")
    broken(path, "holds 2 recordings; name one, e.g. .*y.sigmf/d/one")
    for member in ("d/two", "d/two.sigmf-meta", "d/two.sigmf-data"):
        recording = open_recording(path / member)
        assert recording.n_samples == 20 and recording.name == "two"
    with pytest.raises(
        RecordingError, match="holds no recording 'd/three'; it holds e.g. .*d/one"
    ):
        open_recording(path / "d/three")
    for meta in metas:
        meta.unlink()
    assert find_recordings(tmp_path) == [path / "d/one", path / "d/two"]


def test_truncated_archive(tmp_path):
    x = ramp(3000)
    path = archive(tmp_path / "y.sigmf", write_recording(tmp_path / "x", x))
    content = path.read_bytes()
    path.write_bytes(content[: content.index(x.tobytes()[:4000]) + 8003])
    recording = open_recording(path)
    assert recording.n_samples == 1000 and len(recording.warnings) == 2
    np.testing.assert_array_equal(recording.read(), x[:1000])
    path.write_bytes(content[:700])
    broken(path, "y.sigmf")


@pytest.mark.parametrize("suffix", [".sigmf", ".sigmf.gz", ".sigmf.xz", ".sigmf.zip"])
def test_damaged_archives(tmp_path, suffix):
    path = tmp_path / f"y{suffix}"
    for content in (b"", b"x" * 5000, b"PK\3\4" + b"x" * 500, b"\x1f\x8b\x08" + b"x" * 500):
        path.write_bytes(content)
        broken(path, f"y{suffix}")
    if suffix in (".sigmf.gz", ".sigmf.xz"):
        meta = write_recording(tmp_path / "x", np.random.default_rng(1).bytes(80_000))
        archive(path, meta, mode=f"w:{suffix[-2:]}")
        path.write_bytes(path.read_bytes()[:-20_000])
        broken(path, f"y{suffix}")


def test_incomplete_and_hostile_archives(tmp_path):
    meta = write_recording(tmp_path / "x", ramp(10)).read_bytes()
    hostile = meta.replace(b'"core:version"', b'"core:dataset": "../../etc/passwd", "core:version"')

    def tar(*members):
        with tarfile.open(tmp_path / "y.sigmf", "w") as file:
            for name, content, kind in members:
                entry = tarfile.TarInfo(name)
                entry.type, entry.size, entry.linkname = kind, len(content), "/etc/passwd"
                file.addfile(entry, io.BytesIO(content))
        return tmp_path / "y.sigmf"

    file = tarfile.REGTYPE
    broken(tar(), "holds no recording")
    broken(tar(("x.sigmf-data", b"\0" * 80, file)), "holds no recording")
    broken(tar(("x.sigmf-meta", meta, file)), "has no member x.sigmf-data")
    broken(
        tar(("x.sigmf-meta", meta, file), ("x.sigmf-data", b"", tarfile.SYMTYPE)),
        "has no member x.sigmf-data",
    )
    broken(tar(("x.sigmf-meta", hostile, file), ("x.sigmf-data", b"\0" * 80, file)), "core:dataset must name")
    np.testing.assert_array_equal(
        open_recording(
            tar(("../../x.sigmf-meta", meta, file), ("../../x.sigmf-data", ramp(10).tobytes(), file))
        ).read(),
        ramp(10),
    )
    assert not (tmp_path.parent.parent / "x.sigmf-data").exists()


def test_archive_that_does_not_fit_when_unpacked(tmp_path, monkeypatch):
    path = archive(tmp_path / "y.sigmf.gz", write_recording(tmp_path / "x", ramp(3000)), mode="w:gz")
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("usage", (), {"free": 1000}))
    with pytest.raises(RecordingError, match="unpacks to 24000 bytes"):
        open_recording(path).read()
