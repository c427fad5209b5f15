# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""SigMF archives: tar and zip, whole, damaged and hostile."""

import io
import json
import os
import random
import struct
import tarfile
import tempfile
import zipfile
from pathlib import Path

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


# -- names of members are only names --------------------------------------------------------------------
META = json.dumps({"global": {"core:datatype": "cf32_le", "core:version": "1.2.0"}, "captures": [],
                   "annotations": []}).encode()


def made_of(path: Path, *members: tuple[str, bytes]) -> Path:
    """A tar or zip of (name, content)."""
    if path.name.endswith(".zip"):
        with zipfile.ZipFile(path, "w") as file:
            for name, content in members:
                file.writestr(zipfile.ZipInfo(name), content)
        return path
    with tarfile.open(path, "w") as file:
        for name, content in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            file.addfile(entry, io.BytesIO(content))
    return path


def recordings_of(*names: str) -> list[tuple[str, bytes]]:
    return [(name + suffix, content) for n, name in enumerate(names)
            for suffix, content in ((".sigmf-meta", META), (".sigmf-data", ramp(10 + n).tobytes()))]


@pytest.mark.parametrize("suffix", [".sigmf", ".sigmf.zip"])
def test_member_names_stay_inside(tmp_path, suffix):
    names = ["../../../up", "/tmp/root", "a/../../b", "./c", "d//e", "line\nbreak", "\u202egnp"]
    path = made_of(tmp_path / f"y{suffix}", *recordings_of(*names))
    found = find_recordings(tmp_path)
    assert [str(f.relative_to(path)) for f in found] == sorted(
        ["up", "tmp/root", "a/b", "c", "d/e", "line_break", "_gnp"])
    for n, name in enumerate(["up", "tmp/root", "a/b", "c", "d/e", "line_break", "_gnp"]):
        assert len(open_recording(path / name)) == 10 + n


def test_two_members_that_would_be_one_are_refused(tmp_path):
    path = made_of(tmp_path / "y.sigmf", *recordings_of("../x", "x"))
    broken(path, "both '../x.sigmf-meta' and 'x.sigmf-meta' are called 'x.sigmf-meta'")


@pytest.mark.parametrize("suffix", [".sigmf", ".sigmf.zip"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_of_members_of_one_name_the_last_holds(tmp_path, suffix):
    path = made_of(tmp_path / f"y{suffix}", ("x.sigmf-data", ramp(5).tobytes()), *recordings_of("x"),
                   ("./x.sigmf-data", ramp(7).tobytes()))
    assert len(open_recording(path)) == 7


@pytest.mark.parametrize("suffix", [".sigmf", ".sigmf.zip"])
def test_long_names(tmp_path, suffix):
    long = "n" * 300
    path = made_of(tmp_path / f"y{suffix}", *recordings_of(long, "deep/" * 60 + "x"))
    assert sorted(map(len, map(open_recording, find_recordings(path.parent)))) == [10, 11]
    broken(tmp_path / long, "File name too long")
    broken(tmp_path / (long + ".sigmf"), "File name too long")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE,
                                  tarfile.FIFOTYPE, tarfile.DIRTYPE])
def test_links_and_devices_are_no_members(tmp_path, kind):
    with tarfile.open(tmp_path / "y.sigmf", "w") as file:
        for name, of_kind in (("x.sigmf-meta", tarfile.REGTYPE), ("x.sigmf-data", kind)):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = of_kind, "/etc/passwd"
            entry.size = len(META) if of_kind == tarfile.REGTYPE else 0
            file.addfile(entry, io.BytesIO(META))
    broken(tmp_path / "y.sigmf", "has no member x.sigmf-data")


def test_links_in_zips_are_no_members(tmp_path):
    with zipfile.ZipFile(tmp_path / "y.sigmf.zip", "w") as file:
        file.writestr("x.sigmf-meta", META)
        link = zipfile.ZipInfo("x.sigmf-data")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        file.writestr(link, "/etc/passwd")
    broken(tmp_path / "y.sigmf.zip", "has no member x.sigmf-data")


# -- damaged ----------------------------------------------------------------------------------------------
def small(suffix: str, folder: Path) -> bytes:
    write_recording(folder / "x", ramp(200))
    path = folder / f"whole{suffix}"
    if suffix.endswith(".zip"):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            for part in ("x.sigmf-meta", "x.sigmf-data"):
                file.write(folder / part, part)
    else:
        archive(path, folder / "x.sigmf-meta", mode={".sigmf": "w", ".sigmf.gz": "w:gz", ".sigmf.xz": "w:xz",
                                                     ".bz2.sigmf": "w:bz2"}[suffix])
    return path.read_bytes()


@pytest.mark.parametrize("suffix", [".sigmf", ".sigmf.gz", ".sigmf.xz", ".bz2.sigmf", ".sigmf.zip"])
def test_whatever_is_damaged_is_one_error(tmp_path, suffix):
    """Archives cut off anywhere, with bytes changed anywhere: they are read, or refused in one line."""
    content = small(suffix, tmp_path)
    rng, path, refused = random.Random(5), tmp_path / "in" / f"y{suffix}", 0
    path.parent.mkdir()
    for trial in range(300):
        damaged = bytearray(content)
        if trial % 3 == 0:
            del damaged[rng.randrange(len(damaged)):]
        else:
            end = len(damaged) if suffix != ".sigmf" else 1024  # of a tar: its headers
            for _ in range(rng.choice((1, 4, 40))):
                damaged[rng.randrange(end)] = rng.choice((0, 1, 0x2D, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        path.write_bytes(damaged)
        assert len(find_recordings(path.parent)) >= 1
        try:
            with open_recording(path) as recording:
                recording.read()
        except RecordingError as error:
            refused += 1
            assert str(error).isprintable() and str(path) in str(error)
    assert refused > 50


def test_what_is_no_archive_is_said_briefly(tmp_path):
    for name in ("y.sigmf", "y.sigmf.zip"):
        (tmp_path / name).write_bytes(b"x" * 3500)
        broken(tmp_path / name, rf"{name}: is not an archive \(tar, zip\) or damaged; fetch it again$")


def patched(content: bytes, signature: bytes, at: int, new: bytes) -> bytes:
    """With the bytes at ``at`` behind every ``signature`` replaced."""
    made, start = bytearray(content), 0
    while (start := content.find(signature, start)) >= 0:
        made[start + at:start + at + len(new)] = new
        start += 1
    return bytes(made)


@pytest.mark.parametrize(("changes", "why"), [
    ([(b"PK\1\2", 8, b"\1\0"), (b"PK\3\4", 6, b"\1\0")], "encrypted"),
    ([(b"PK\1\2", 10, b"\x63\0"), (b"PK\3\4", 8, b"\x63\0")], "compression"),  # method 99
    ([(b"PK\1\2", 6, b"\xff\0")], "zip file version"),
    ([(b"PK\1\2", 16, b"\0\0\0\0")], "CRC"),
    ([(b"PK\1\2", 24, b"\xff\xff\xff\x7f")], "larger than|unpacks to"),  # of 2 GiB
])
def test_zips_that_zipfile_gives_up_on(tmp_path, changes, why):
    content = small(".sigmf.zip", tmp_path)
    for change in changes:
        content = patched(content, *change)
    (tmp_path / "y.sigmf.zip").write_bytes(content)
    broken(tmp_path / "y.sigmf.zip", why)


@pytest.mark.usefixtures("in_time")
@pytest.mark.parametrize("size", [-512, -1024, -1536, -(1 << 40)])
def test_a_tar_that_leads_back_ends(tmp_path, size):
    """A negative size would make tarfile read the same members for ever; from Python 3.13 on it takes such a
    header for the archive's end."""
    content = bytearray(small(".sigmf", tmp_path))
    second = content.index(b"x.sigmf-data")
    content[second + 124:second + 136] = b"\xff" * 4 + size.to_bytes(8, "big", signed=True)
    content[second + 148:second + 156] = b" " * 8
    content[second + 148:second + 156] = b"%06o\0 " % sum(content[second:second + 512])
    (tmp_path / "y.sigmf").write_bytes(content)
    broken(tmp_path / "y.sigmf", "damaged|has no member x.sigmf-data")


def test_what_the_libraries_raise_beyond_their_documents_is_one_error(tmp_path, monkeypatch):
    """Whatever it is: their parsers were not written for hostile files."""
    path = archive(tmp_path / "y.sigmf", write_recording(tmp_path / "x", ramp(10)))
    for error in (KeyError("x"), IndexError("tuple"), OverflowError("large"), MemoryError(),
                  struct.error("4 bytes"), RecursionError("deep"),
                  UnicodeDecodeError("utf-8", b"x", 0, 1, "bad")):
        monkeypatch.setattr(tarfile.TarFile, "next", lambda _, error=error: (_ for _ in ()).throw(error))
        broken(path, "is not an archive")


def test_a_full_disk_is_not_a_damaged_archive(tmp_path, monkeypatch):
    path = archive(tmp_path / "y.sigmf.gz", write_recording(tmp_path / "x", ramp(3000)), mode="w:gz")
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda: open("/dev/full", "r+b", buffering=0))
    broken(path, "cannot be unpacked to .*No space left")


@pytest.mark.usefixtures("in_time")
@pytest.mark.parametrize("name", ["x.sigmf-meta", "x.sigmf", "x.sigmf.gz", "x.sigmf.zip", "x.sigmf-data",
                                  "x"])
def test_a_fifo_is_refused_without_being_opened(tmp_path, name):
    os.mkfifo(tmp_path / name)
    broken(tmp_path / name, "it is a FIFO")
    assert name not in ("x.sigmf-meta", "x.sigmf") or find_recordings(tmp_path) == [tmp_path / name]
