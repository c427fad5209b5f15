# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""SigMF recordings: sample types, layouts, archives, and what is wrong with them."""

import csv
import json
import pickle
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
import sigmf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from radiofm_ml.sigmf.recording import RecordingError, find_recordings, open_recording
from sigmf_files import archive, broken, ramp, write_recording

NUMBERS = ("f32", "f64", "i8", "i16", "i32", "u8", "u16", "u32")
DATATYPES = [f"{kind}{number}{endian}" for kind in "cr" for number in NUMBERS for endian in ("_le", "_be")]
DATATYPES += [f"{kind}{number}" for kind in "cr" for number in ("i8", "u8")]


def numpy_type(datatype: str) -> np.dtype:
    number = datatype[1:].split("_")[0]
    return np.dtype((">" if datatype.endswith("_be") else "<") + number[0] + str(int(number[1:]) // 8))


def random_components(dtype: np.dtype, shape, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if dtype.kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    limits = np.iinfo(dtype)
    values = rng.integers(limits.min, limits.max, shape, endpoint=True, dtype=dtype.newbyteorder("="))
    values.flat[:3] = limits.min, limits.max, limits.max // 2
    return values.astype(dtype)


def full_scale(values: np.ndarray) -> np.ndarray:
    """The documented scale, in float64."""
    if values.dtype.kind == "f":
        return values.astype(np.float64)
    bits = 8 * values.dtype.itemsize
    half = (2**bits - 1) / 2
    return values / 2.0 ** (bits - 1) if values.dtype.kind == "i" else (values - half) / half


# -- sample types -----------------------------------------------------------------------------------
@pytest.mark.parametrize("datatype", DATATYPES)
def test_every_sample_type(tmp_path, datatype):
    components = 2 if datatype[0] == "c" else 1
    stored = random_components(numpy_type(datatype), (1000, components))
    recording = open_recording(write_recording(tmp_path / "x", stored, datatype))
    samples = recording.read()
    assert samples.dtype == np.complex64 and recording.n_samples == 1000 and recording.datatype == datatype
    wanted = full_scale(stored)
    np.testing.assert_allclose(samples.real, wanted[:, 0], rtol=2e-7, atol=1e-9)
    np.testing.assert_allclose(samples.imag, wanted[:, 1] if components == 2 else 0.0, rtol=2e-7, atol=1e-9)


@pytest.mark.parametrize("datatype", [d for d in DATATYPES if "u" not in d])
def test_agrees_with_the_sigmf_package(tmp_path, datatype):
    """Unsigned types differ from it by half a code, on purpose."""
    components = 2 if datatype[0] == "c" else 1
    stored = random_components(numpy_type(datatype), (500, components))
    path = write_recording(tmp_path / "x", stored, datatype, num_channels=1)
    theirs = sigmf.sigmffile.fromfile(path, skip_checksum=True).read_samples()
    np.testing.assert_allclose(open_recording(path).read(), theirs, rtol=2e-7, atol=1e-9)


def test_cu8_rests_between_its_middle_codes(tmp_path):
    stored = np.array([[0, 255], [127, 128]], np.uint8)
    samples = open_recording(write_recording(tmp_path / "x", stored, "cu8")).read()
    np.testing.assert_allclose(samples, [-1 + 1j, -0.5 / 127.5 + 0.5j / 127.5], rtol=1e-6)


@pytest.mark.parametrize(
    "datatype", ["ci64_le", "cf16_le", "ci16_xx", "x", "", 5, None, "CF32_LE", "cf32_le_"]
)
def test_unknown_datatype(tmp_path, datatype):
    path = write_recording(tmp_path / "x", b"\0" * 64, datatype)
    with pytest.raises(RecordingError, match="x.sigmf-meta: unknown datatype"):
        open_recording(path)


def test_multi_byte_type_without_byte_order_is_little_endian_and_says_so(tmp_path):
    recording = open_recording(write_recording(tmp_path / "x", np.array([256, 0], "<i2"), "ci16"))
    assert recording.read()[0] == 256 / 32768 and "little-endian" in recording.warnings[0]


def test_not_finite_samples_become_zero_and_are_counted(tmp_path, caplog):
    x = ramp(200_000)
    x[5], x[70_000], x[150_000] = np.nan, np.inf, 1 - 1j * np.inf
    recording = open_recording(write_recording(tmp_path / "x", x))
    first, again = recording.read(0, 100_000), recording.read(100_000)
    wanted = ramp(200_000)
    wanted[[5, 70_000, 150_000]] = 0
    np.testing.assert_array_equal(np.concatenate([first, again]), wanted)
    assert recording.bad_samples == 3
    assert sum("NaN" in r.message for r in caplog.records) == 1


def test_samples_whose_power_overflows_become_zero(tmp_path):
    x = ramp(1000)
    x[3], x[4] = 3e38, 1e15
    recording = open_recording(write_recording(tmp_path / "x", x))
    read = recording.read()
    assert read[3] == 0 and read[4] == np.float32(1e15) and recording.bad_samples == 1
    assert recording.warnings == ["holds samples that are NaN, infinite or beyond 1e+15, where 1 is full "
                                  "scale; they are read as zero"]


def test_float64_beyond_float32_becomes_zero(tmp_path):
    recording = open_recording(write_recording(tmp_path / "x", np.array([1e300, 0.0, 1.0, 2.0]), "cf64_le"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(recording.read(), [0, 1 + 2j])


# -- reading in pieces ------------------------------------------------------------------------------
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.integers(0, 610_000), count=st.integers(0, 610_000))
def test_any_piece(long_recording, start, count):
    recording, x = long_recording
    np.testing.assert_array_equal(recording.read(start, count), x[start : start + count])


@pytest.fixture(scope="module")
def long_recording(tmp_path_factory):
    x = ramp(600_001)
    recording = open_recording(write_recording(tmp_path_factory.mktemp("long") / "x", x))
    with recording:
        yield recording, x


def test_wrong_pieces(long_recording):
    recording, x = long_recording
    for start, count in ((-1, 5), (0, -5)):
        with pytest.raises(ValueError, match="must not be negative"):
            recording.read(start, count)
    with pytest.raises(ValueError, match="do not all exist"):
        recording.read_into(len(x) - 1, np.empty(2, np.complex64))
    assert len(recording.read(len(x) + 10, 5)) == 0


# -- layout -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["x.sigmf-meta", "x.sigmf-data", "x"])
def test_every_way_to_name_a_pair(tmp_path, name):
    write_recording(tmp_path / "x", ramp(10))
    recording = open_recording(str(tmp_path / name))
    assert recording.path == tmp_path / "x.sigmf-meta" and recording.name == "x" and len(recording) == 10


def test_dots_in_the_name(tmp_path):
    write_recording(tmp_path / "a.b_433.92M", ramp(10))
    assert open_recording(tmp_path / "a.b_433.92M").name == "a.b_433.92M"


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_channels(tmp_path, channel):
    stored = random_components(np.dtype("<i2"), (1000, 3, 2))
    recording = open_recording(
        write_recording(tmp_path / "x", stored, "ci16_le", num_channels=3), channel=channel
    )
    assert recording.n_samples == 1000
    wanted = full_scale(stored[:, channel])
    np.testing.assert_allclose(
        recording.read(100, 50), (wanted[:, 0] + 1j * wanted[:, 1])[100:150], rtol=1e-6
    )


def test_what_is_not_read_is_said(tmp_path):
    recording = open_recording(write_recording(tmp_path / "x", ramp(10), num_channels=2), 1)
    assert recording.warnings == ["has 2 interleaved channels; channel 1 is read, the others are not"]
    recording = open_recording(write_recording(tmp_path / "y", np.ones(10, "<f4"), "rf32_le"))
    assert len(recording.warnings) == 1 and "mirrors" in recording.warnings[0]


def test_many_channels_take_little_memory(tmp_path):
    """A piece is read by its bytes, not by its samples."""
    stored = np.zeros((50, 1000, 2), "<i2")
    stored[:, 999, 0] = np.arange(50)
    recording = open_recording(write_recording(tmp_path / "x", np.tile(stored, (100, 1, 1)), "ci16_le",
                                               num_channels=1000), 999)
    tracemalloc.start()
    samples = recording.read()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(samples.real * 32768, np.tile(np.arange(50), 100))
    assert peak < 8e6  # of 20 MB


def test_channel_that_is_not_there(tmp_path):
    path = write_recording(tmp_path / "x", ramp(10), num_channels=2)
    with pytest.raises(RecordingError, match=r"has no channel 2; choose 0..1"):
        open_recording(path, channel=2)


def test_headers_and_trailer_of_another_format(tmp_path):
    """A header stands before the first sample of its capture."""
    x = ramp(100)
    data = b"H" * 44 + x[:30].tobytes() + b"h" * 7 + x[30:].tobytes() + b"T" * 13
    path = write_recording(
        tmp_path / "x",
        data,
        dataset="x.wav",
        trailing_bytes=13,
        captures=[
            {"core:sample_start": 0, "core:header_bytes": 44},
            {"core:sample_start": 20},
            {"core:sample_start": 30, "core:header_bytes": 7},
        ],
    )
    recording = open_recording(path)
    assert recording.n_samples == 100 and not recording.warnings
    np.testing.assert_array_equal(recording.read(), x)
    np.testing.assert_array_equal(recording.read(25, 10), x[25:35])
    assert open_recording(tmp_path / "x.wav").path == path


def test_header_before_a_late_first_capture(tmp_path):
    x = ramp(20)
    path = write_recording(
        tmp_path / "x",
        x[:5].tobytes() + b"hh" + x[5:].tobytes(),
        dataset="x.bin",
        captures=[{"core:sample_start": 5, "core:header_bytes": 2, "core:frequency": 7}],
    )
    recording = open_recording(path)
    np.testing.assert_array_equal(recording.read(), x)
    assert [(c.sample_start, c.frequency) for c in recording.captures] == [(0, 0.0), (5, 7.0)]


# -- odd recordings: read, with a warning -----------------------------------------------------------
def test_truncated_data(tmp_path):
    recording = open_recording(write_recording(tmp_path / "x", ramp(100).tobytes()[:-3]))
    assert recording.n_samples == 99 and "5 bytes after the last whole sample" in recording.warnings[0]
    np.testing.assert_array_equal(recording.read(), ramp(99))


def test_truncated_within_a_header(tmp_path):
    recording = open_recording(
        write_recording(
            tmp_path / "x",
            ramp(10).tobytes() + b"hh",
            dataset="x.bin",
            captures=[{"core:sample_start": 0}, {"core:sample_start": 10, "core:header_bytes": 500}],
        )
    )
    assert recording.n_samples == 10 and recording.warnings


def test_no_such_recording(tmp_path):
    broken(tmp_path / "x.sigmf-meta", "no such recording")
    broken(tmp_path / "x.sigmf", "no such")
    (tmp_path / "y.wav").write_bytes(b"RIFF")
    broken(tmp_path / "y.wav", "is no WAV file")
    (tmp_path / "y.xyz").write_bytes(b"RIFF")
    broken(tmp_path / "y.xyz", "must lie beside it")
    (tmp_path / "z.sigmf-data").write_bytes(b"1234")
    broken(tmp_path / "z.sigmf-data", "z.sigmf-meta must lie beside it")
    (tmp_path / "folder").mkdir()
    broken(tmp_path / "folder", "is a folder")


def test_missing_data(tmp_path):
    path = write_recording(tmp_path / "x", ramp(10))
    (tmp_path / "x.sigmf-data").unlink()
    broken(path, "data file x.sigmf-data is missing; put it beside")
    meta = json.loads(path.read_text())
    meta["global"]["core:metadata_only"] = True
    path.write_text(json.dumps(meta))
    broken(path, "distributed without its samples")


def test_empty(tmp_path):
    broken(write_recording(tmp_path / "x", b""), "holds no samples")
    broken(write_recording(tmp_path / "y", b"\0" * 7), "holds no samples")
    broken(
        write_recording(
            tmp_path / "z",
            b"\0" * 64,
            dataset="z.bin",
            captures=[{"core:sample_start": 0, "core:header_bytes": 100}],
        ),
        "holds no samples",
    )


# -- folders ----------------------------------------------------------------------------------------
def test_find_recordings(tmp_path):
    sub = tmp_path / "b" / "c"
    sub.mkdir(parents=True)
    (tmp_path / ".hidden").mkdir()
    one = write_recording(tmp_path / "one", ramp(10))
    two = write_recording(sub / "two", ramp(10))
    write_recording(tmp_path / ".hidden" / "three", ramp(10))
    alone = archive(sub / "four.sigmf", two)
    archive(tmp_path / "one.sigmf", one)
    gone = write_recording(tmp_path / "gone", ramp(10), metadata_only=True)
    gone.with_suffix(".sigmf-data").unlink()
    damaged = tmp_path / "damaged.sigmf"
    damaged.write_bytes(b"x")
    lost = write_recording(tmp_path / "lost", ramp(10))
    lost.with_suffix(".sigmf-data").unlink()
    assert find_recordings(tmp_path) == sorted([one, two, alone, damaged, lost])
    assert find_recordings(tmp_path / "one") == [one]
    assert find_recordings(sub / "four.sigmf") == [alone]
    with pytest.raises(RecordingError, match="no such recording"):
        find_recordings(tmp_path / "nothing")


def test_all_real_recordings(data_dir):
    with open(data_dir / "iq" / "index.csv") as file:
        rows = {Path(row["file"]).with_suffix("").name: row for row in csv.DictReader(file)}
    paths = find_recordings(data_dir / "iq")
    assert len(paths) == len(rows) and len(rows) > 0
    for path in paths:
        row = rows[path.with_suffix("").name]
        with open_recording(path) as recording:
            assert recording.n_samples == int(row["n_samples"]) and recording.datatype == row["datatype"]
            assert recording.sample_rate == float(row["sample_rate"]) and recording.label == row["label"]
            assert recording.captures[0].frequency == (
                float(row["center_freq"]) if row["center_freq"] else None
            )
            stored = np.fromfile(recording.data_path, numpy_type(row["datatype"])).reshape(
                recording.n_samples, -1
            )
            wanted = full_scale(stored[-4096:])
            np.testing.assert_allclose(
                recording.read(max(0, recording.n_samples - 4096)),
                wanted[:, 0] + 1j * (wanted[:, 1] if wanted.shape[1] == 2 else 0),
                rtol=1e-6,
            )


def test_annotation_types_are_plain(tmp_path):
    """Captures and annotations travel between processes."""
    recording = open_recording(
        write_recording(tmp_path / "x", ramp(10), annotations=[{"core:sample_start": 1}])
    )
    assert pickle.loads(pickle.dumps(recording.annotations)) == recording.annotations
    assert pickle.loads(pickle.dumps(recording.captures)) == recording.captures
