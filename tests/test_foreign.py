# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What is not samples is not read as samples; and what is, is."""

import bz2
import gzip
import io
import json
import lzma
import pickle
import shutil
import struct
import subprocess
import tarfile
import wave
import zipfile
import zlib

import numpy as np
import pytest
import torch
from radiofm_ml.sigmf import foreign
from radiofm_ml.sigmf.recording import open_recording
from sigmf_files import archive, broken, ramp, write_recording

NOISE = (np.random.default_rng(1).standard_normal(400_000) * 500).astype("<i2").tobytes()
SILENCE = bytes(400_000)


def zipped(data: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as file:
        file.writestr("a.ci16", data)
    return made.getvalue()


def npz(data: bytes) -> bytes:
    made = io.BytesIO()
    np.savez(made, iq=np.frombuffer(data, np.int16))
    return made.getvalue()


def npy(data: bytes) -> bytes:
    made = io.BytesIO()
    np.save(made, np.frombuffer(data, np.int16))
    return made.getvalue()


def tarred(data: bytes) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as file:
        entry = tarfile.TarInfo("a.ci16")
        entry.size = len(data)
        file.addfile(entry, io.BytesIO(data))
    return made.getvalue()


def waved(data: bytes) -> bytes:
    made = io.BytesIO()
    with wave.open(made, "wb") as file:
        file.setparams((2, 2, 48000, 0, "NONE", ""))
        file.writeframes(data)
    return made.getvalue()


def hdf5(data: bytes) -> bytes:
    import h5py

    made = io.BytesIO()
    with h5py.File(made, "w") as file:
        file["iq"] = np.frombuffer(data, np.int16)
    return made.getvalue()


def mat(data: bytes) -> bytes:
    from scipy.io import savemat

    made = io.BytesIO()
    savemat(made, {"iq": np.frombuffer(data, np.int16)})
    return made.getvalue()


def torched(data: bytes) -> bytes:
    made = io.BytesIO()
    torch.save(torch.frombuffer(bytearray(data), dtype=torch.int16), made)
    return made.getvalue()


def png(data: bytes) -> bytes:
    from matplotlib import image

    made = io.BytesIO()
    image.imsave(made, np.frombuffer(data[:4096], np.uint8).reshape(64, 64), format="png")
    return made.getvalue()


def seven_zip(data: bytes) -> bytes:
    """Its header as the format's description has it; nobody here writes whole ones."""
    start = struct.pack("<QQL", len(data), 10, 0)
    return b"7z\xbc\xaf\x27\x1c\x00\x04" + struct.pack("<L", zlib.crc32(start)) + start + data


def tool(*command: str):
    def run(data: bytes) -> bytes:
        if shutil.which(command[0]) is None:
            pytest.skip(f"{command[0]} is not installed")
        return subprocess.run(command, input=data, capture_output=True, check=True).stdout

    return run


MADE = {
    "gzip": (gzip.compress, "compressed"),
    "gzip with a name": (lambda d: b"\x1f\x8b\x08\x08" + bytes(6) + b"a.ci16\0" + gzip.compress(d)[10:],
                         "compressed"),
    "bzip2": (bz2.compress, "compressed"),
    "xz": (lzma.compress, "compressed"),
    "xz without a sum": (lambda d: lzma.compress(d, check=lzma.CHECK_NONE), "compressed"),
    "zstd": (tool("zstd", "-q", "-c"), "compressed"),
    "zstd without size": (tool("zstd", "-q", "-c", "--no-content-size", "-19", "--no-check"), "compressed"),
    "lz4": (tool("lz4", "-q", "-c"), "compressed"),
    "7z": (seven_zip, "compressed"),
    "zip": (zipped, "zip archive"),
    "zip, stored": (lambda d: zipped(d, zipfile.ZIP_STORED), "zip archive"),
    "zip, bzip2": (lambda d: zipped(d, zipfile.ZIP_BZIP2), "zip archive"),
    "npz": (npz, "zip archive"),
    "npy": (npy, "NumPy"),
    "tar": (tarred, "tar archive"),
    "wav": (waved, "WAV"),
    "hdf5": (hdf5, "HDF5"),
    "mat": (mat, "MATLAB"),
    "mat 7.3": (lambda d: b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512) + hdf5(d), "MATLAB"),
    "hdf5 behind a block": (lambda d: bytes(1024) + hdf5(d), "HDF5"),
    "torch": (torched, "zip archive"),
    "pickle": (lambda d: pickle.dumps(np.frombuffer(d, np.int16)), "pickle"),
    "zlib": (zlib.compress, "compressed"),
    "blue": (lambda d: b"BLUEEEEIEEEI".ljust(512, b"\0") + d, "Midas Blue"),
    "numbers": (lambda d: b"\n".join(b"%d,%d" % (a, -a) for a in d[:4000]), "text"),
    "table": (lambda d: b"time,I,Q\r\n" + b"\r\n".join(b"%.3f,1e-3,-2.5E+1" % a for a in d[:999]), "text"),
    "json": (lambda d: json.dumps({"i": [*d[:300]]}).encode(), "text"),
    "xml": (lambda d: '<?xml version="1.0"?><Error>nö</Error>'.ljust(200).encode(), "text"),
    "png": (png, "PNG"),
    "web page": (lambda d: b"\n<!DOCTYPE html>\n<html><body>404" + d, "web page"),
    "lfs": (lambda d: b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n", "Git LFS"),
    "metadata": (lambda d: b'{"global": {"core:datatype": "ci16_le"}}', "SigMF metadata"),
}


@pytest.mark.parametrize("data", [NOISE, SILENCE, NOISE[:400]], ids=["noise", "silence", "short"])
@pytest.mark.parametrize("kind", MADE)
def test_other_files_are_refused(tmp_path, kind, data):
    """Also with a tail that fills up a sample, as a copy from a disk may have it."""
    make, why = MADE[kind]
    if kind == "png" and len(data) < 4096:
        pytest.skip("a picture needs more")
    content = make(data)
    for tail in (b"", bytes(-len(content) % 4)):
        path = write_recording(tmp_path / "x", content + tail, "ci16_le", dataset="x.dat")
        broken(path, f"x.dat: is .*{why}")


def test_in_an_archive_too(tmp_path):
    meta = write_recording(tmp_path / "x", gzip.compress(NOISE), "ci16_le")
    for mode, name in (("w", "y.sigmf"), ("w:gz", "y.sigmf.gz")):
        broken(archive(tmp_path / name, meta, mode=mode), f"{name}: the dataset in it is compressed")


def test_another_format_whose_samples_are_placed_is_read(tmp_path):
    """Headers that the metadata state are what the standard has them for."""
    content = waved(NOISE)
    recording = open_recording(write_recording(
        tmp_path / "x", content, "ci16_le", dataset="x.wav",
        captures=[{"core:sample_start": 0, "core:header_bytes": len(content) - len(NOISE)}]))
    assert recording.n_samples == len(NOISE) // 4
    np.testing.assert_array_equal(recording.read().real * 32768, np.frombuffer(NOISE, "<i2")[::2])


SIGNATURES = [b"\x1f\x8b\x08\x00", b"\x1f\x8b\x08\x08", b"BZh9", b"\xfd7zXZ\x00\x00\x04", b"PK\3\4",
              b"PK\5\6", b"7z\xbc\xaf\x27\x1c\0\4", b"RIFF", b"\x89PNG", b"\xff\xd8\xff\xe0",
              b"\x28\xb5\x2f\xfd\x64",
              b"\x04\x22\x4d\x18", b"OggS", b"FORM", b"fLaC", b"{", b"<"]


@pytest.mark.parametrize("signature", SIGNATURES)
def test_samples_may_begin_with_any_bytes(signature):
    """A short signature before noise is no proof. (zstd's and lz4's, of four bytes, stand before headers of
    which chance makes one right in about 30 and 300.)"""
    rng = np.random.default_rng(7)
    found = sum(bool(foreign.kind_of(signature + rng.bytes(foreign.HEAD - len(signature))))
                for _ in range(300))
    assert found <= (30 if signature.startswith(b"\x28\xb5") else 6 if signature[:1] == b"\x04" else 0)


TONE = np.exp(2j * np.pi * 0.1 * np.arange(9999)).astype(np.complex64).tobytes()


@pytest.mark.parametrize("content", [b"", b"\x1f", bytes(100_000), b"\xff" * 100_000,
                                     ramp(20_000).tobytes(), NOISE, TONE])
def test_samples_are_samples(content):
    assert foreign.kind_of(content[:foreign.HEAD]) == ""
    printable = bytes(32 + 64 * (b > 127) + b % 30 for b in content)  # eight-bit samples far off centre
    assert foreign.kind_of(printable[:foreign.HEAD]) == ""
    for n in range(0, 60):
        foreign.kind_of(content[:n])


@pytest.mark.parametrize("kind", MADE)
def test_cut_anywhere_nothing_is_raised(kind):
    content = MADE[kind][0](NOISE)
    for n in (*range(0, 100), *range(100, 700, 7), 1500, 65536):
        foreign.kind_of(content[:n])


def test_no_real_recording_is_taken_for_something_else(data_dir):
    for path in sorted(data_dir.rglob("*.sigmf-data")):
        with open(path, "rb") as file:
            assert foreign.kind_of(file.read(foreign.HEAD)) == "", path
