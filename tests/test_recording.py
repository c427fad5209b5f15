# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""SigMF recordings: sample types, layouts, archives, and what is wrong with them."""

import csv
import io
import json
import pickle
import tarfile
import threading
import warnings
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import sigmf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from radiofm_ml.sigmf.recording import RecordingError, find_recordings, open_recording, parse_datetime
from sigmf_files import ramp, write_recording

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


def test_reads_again_after_close_and_from_threads(tmp_path):
    x = ramp(50_000)
    recording = open_recording(write_recording(tmp_path / "x", x))
    recording.read(0, 1)
    recording.close()
    results = {}

    def read(k):
        results[k] = [recording.read(i, 100) for i in range(k, 50_000, 5000)]

    threads = [threading.Thread(target=read, args=(k,)) for k in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for k, pieces in results.items():
        for i, piece in zip(range(k, 50_000, 5000), pieces, strict=True):
            np.testing.assert_array_equal(piece, x[i : i + 100])


def test_file_that_shrinks_meanwhile_is_an_error_not_a_crash(tmp_path):
    path = write_recording(tmp_path / "x", ramp(1000))
    recording = open_recording(path)
    (tmp_path / "x.sigmf-data").write_bytes(b"\0" * 80)
    with pytest.raises(RecordingError, match="x.sigmf-data: shrank"):
        recording.read()


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
            {"core:sample_start": 30, "core:header_bytes": 7, "core:frequency": 5},
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
    assert [(c.sample_start, c.frequency) for c in recording.captures] == [(0, None), (5, 7.0)]


def test_captures(tmp_path):
    path = write_recording(
        tmp_path / "x",
        ramp(100),
        sample_rate=10,
        captures=[
            {
                "core:sample_start": 0,
                "core:frequency": 1e6,
                "core:datetime": "2024-02-29T23:59:59.123456789123Z",
            },
            {"core:sample_start": 40},
            {"core:sample_start": 70, "core:frequency": 2e6},
        ],
    )
    recording = open_recording(path)
    assert recording.sample_rate == 10.0
    assert [(c.sample_start, c.frequency) for c in recording.captures] == [(0, 1e6), (40, None), (70, 2e6)]
    assert [recording.capture_at(s).sample_start for s in (0, 39, 40, 69, 70, 1000)] == [0, 0, 40, 40, 70, 70]
    seconds, fraction = recording.time_at(25)
    assert datetime.fromtimestamp(seconds, UTC) == datetime(2024, 3, 1, 0, 0, 1, tzinfo=UTC)
    assert fraction == pytest.approx(0.623456789123, abs=1e-15)
    assert recording.captures[0].datetime == datetime(2024, 2, 29, 23, 59, 59, 123457, tzinfo=UTC)
    assert recording.time_at(50) is None and recording.captures[1].datetime is None


def test_time_stays_exact_far_into_a_recording(tmp_path):
    rate = 2_359_296.0
    path = write_recording(
        tmp_path / "x",
        ramp(1000),
        sample_rate=rate,
        offset=10**13,
        captures=[{"core:sample_start": 0, "core:datetime": "2000-01-01T00:00:00Z"}],
    )
    seconds, fraction = open_recording(path).time_at(777)
    whole, rest = divmod(10**13 + 777, 2_359_296)
    assert seconds == 946684800 + whole and fraction == pytest.approx(rest / rate, abs=1e-15)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1970-01-01T00:00:00Z", (0, 0.0)),
        ("1970-01-01T01:00:00.5+01:00", (0, 0.5)),
        ("1969-12-31T23:59:59.25Z", (-1, 0.25)),
        ("2016-12-31T23:59:60Z", (1483228800, 0.0)),
        ("1970-01-01 00:00:10,125", (10, 0.125)),
    ],
)
def test_datetimes(text, wanted):
    assert parse_datetime(text) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2024-13-01T00:00:00Z",
        "2024-02-30T00:00:00Z",
        "2024-01-01T24:00:00Z",
        "2024-01-01T00:00:61Z",
        "2024-01-01",
    ],
)
def test_wrong_datetimes(text):
    with pytest.raises(ValueError):
        parse_datetime(text)


def test_missing_rate_and_captures(tmp_path):
    recording = open_recording(write_recording(tmp_path / "x", ramp(10), captures=[]))
    assert recording.sample_rate is None and recording.captures[0].frequency is None
    assert recording.time_at(3) is None


def test_offset_of_a_split_recording(tmp_path):
    """SigMF indexes are absolute; ours count from the first sample of this file."""
    path = write_recording(
        tmp_path / "x",
        ramp(100),
        offset=1000,
        sample_rate=10,
        captures=[
            {"core:sample_start": 900, "core:frequency": 1, "core:datetime": "1970-01-01T00:00:00Z"},
            {"core:sample_start": 1050, "core:frequency": 2},
        ],
        annotations=[
            {"core:sample_start": 990, "core:sample_count": 30, "core:label": "a"},
            {"core:sample_start": 1060, "core:label": "b"},
        ],
    )
    recording = open_recording(path)
    assert [(c.sample_start, c.frequency) for c in recording.captures] == [(0, 1.0), (50, 2.0)]
    assert recording.captures[0].time == (10, 0.0)
    assert [(a.sample_start, a.sample_count) for a in recording.annotations] == [(0, 20), (60, 40)]
    np.testing.assert_array_equal(recording.read(0, 3), ramp(3))


def test_labels(tmp_path):
    notes = [
        {"core:sample_start": 0, "core:sample_count": 5, "core:label": "fm"},
        {"core:sample_start": 5, "core:sample_count": 5, "core:label": "fm"},
    ]
    path = write_recording(tmp_path / "x", ramp(10), annotations=notes)
    assert open_recording(path).label == "fm"
    meta = json.loads(path.read_text())
    meta["global"]["corpus:label"] = "broadcast"
    path.write_text(json.dumps(meta))
    assert open_recording(path).label == "broadcast"
    del meta["global"]["corpus:label"]
    meta["annotations"][1]["core:label"] = "am"
    path.write_text(json.dumps(meta))
    assert open_recording(path).label is None


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


def test_captures_past_the_end_are_ignored(tmp_path):
    recording = open_recording(
        write_recording(
            tmp_path / "x",
            ramp(100),
            captures=[{"core:sample_start": 0}, {"core:sample_start": 100}, {"core:sample_start": 10**15}],
        )
    )
    assert len(recording.captures) == 1 and "past the end" in recording.warnings[0]


def test_captures_and_annotations_out_of_order_are_sorted(tmp_path):
    recording = open_recording(
        write_recording(
            tmp_path / "x",
            ramp(100),
            captures=[
                {"core:sample_start": 50, "core:frequency": 2},
                {"core:sample_start": 0, "core:frequency": 1},
            ],
            annotations=[{"core:sample_start": 9}, {"core:sample_start": 3}],
        )
    )
    assert [c.frequency for c in recording.captures] == [1.0, 2.0]
    assert [a.sample_start for a in recording.annotations] == [3, 9]
    assert len(recording.warnings) == 2


def test_of_captures_at_one_sample_the_last_holds(tmp_path):
    recording = open_recording(
        write_recording(
            tmp_path / "x",
            ramp(10),
            captures=[
                {"core:sample_start": 0, "core:frequency": 1},
                {"core:sample_start": 0, "core:frequency": 2},
            ],
        )
    )
    assert [c.frequency for c in recording.captures] == [2.0]


def test_wrong_datetime_is_left_out(tmp_path):
    recording = open_recording(
        write_recording(
            tmp_path / "x",
            ramp(10),
            sample_rate=1,
            captures=[{"core:sample_start": 0, "core:datetime": "2024-02-31T00:00:00Z"}],
        )
    )
    assert recording.captures[0].time is None and "core:datetime" in recording.warnings[0]


def test_extensions_as_before_version_1(tmp_path):
    path = write_recording(tmp_path / "x", ramp(10), extensions={"antenna": "v0.9.0"})
    assert open_recording(path).meta["global"]["core:extensions"] == [
        {"name": "antenna", "version": "v0.9.0", "optional": True}
    ]


def test_missing_version_and_byte_order_mark(tmp_path):
    path = write_recording(tmp_path / "x", ramp(10))
    meta = json.loads(path.read_text())
    del meta["global"]["core:version"]
    path.write_text("\ufeff" + json.dumps(meta), encoding="utf-8")
    assert len(open_recording(path)) == 10


# -- broken recordings: one line that names the file ------------------------------------------------
def broken(path, match):
    with pytest.raises(RecordingError, match=match) as caught:
        open_recording(path)
    assert "\n" not in str(caught.value) and str(path.parent) in str(caught.value)


def test_no_such_recording(tmp_path):
    broken(tmp_path / "x.sigmf-meta", "no such recording")
    broken(tmp_path / "x.sigmf", "no such")
    (tmp_path / "y.wav").write_bytes(b"RIFF")
    broken(tmp_path / "y.wav", "must lie beside it")
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


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '{"global": NaN}', "\xff\xfe", "{}{}"])
def test_invalid_json(tmp_path, text):
    path = write_recording(tmp_path / "x", ramp(10))
    path.write_bytes(text.encode("latin1"))
    broken(path, "is not valid JSON")


@pytest.mark.parametrize("text", ["[]", "3", '"x"', "{}", '{"global": []}', '{"global": {}}'])
def test_not_sigmf(tmp_path, text):
    path = write_recording(tmp_path / "x", ramp(10))
    path.write_text(text)
    broken(path, "is not SigMF metadata|core:datatype")


@pytest.mark.parametrize(
    ("section", "value", "where"),
    [
        ("global", {"core:sample_rate": "2e6"}, "sample_rate"),
        ("global", {"core:sample_rate": 0}, "sample_rate"),
        ("global", {"core:sample_rate": 1e999}, "sample_rate"),
        ("global", {"core:offset": -1}, "offset"),
        ("global", {"core:num_channels": 0}, "num_channels"),
        ("global", {"core:trailing_bytes": 1.5}, "trailing_bytes"),
        ("captures", {}, "captures"),
        ("captures", [{}], "sample_start"),
        ("captures", [3], "captures"),
        ("captures", [{"core:sample_start": -4}], "sample_start"),
        ("captures", [{"core:sample_start": None}], ""),
        ("captures", [{"core:sample_start": 0, "core:frequency": "5"}], "frequency"),
        ("captures", [{"core:sample_start": 0, "core:header_bytes": -4}], "header_bytes"),
        ("annotations", [{"core:sample_start": 0, "core:label": 5}], "label"),
        ("annotations", "no", "annotations"),
    ],
)
def test_invalid_schema(tmp_path, section, value, where):
    path = write_recording(tmp_path / "x", ramp(10))
    meta = json.loads(path.read_text())
    if section == "global":
        meta["global"] |= value
    else:
        meta[section] = value
    path.write_text(json.dumps(meta).replace("Infinity", "1e999"))
    broken(path, f"breaks the SigMF schema at .*{where}")


def test_unordered_captures_with_headers(tmp_path):
    broken(
        write_recording(
            tmp_path / "x",
            b"\0" * 800,
            dataset="x.bin",
            captures=[{"core:sample_start": 50, "core:header_bytes": 8}, {"core:sample_start": 0}],
        ),
        "out of order",
    )


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/b", "..", "", 7, "a\\b"])
def test_dataset_outside_the_folder_is_refused(tmp_path, name):
    folder = tmp_path / "in"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(b"\0" * 80)
    path = write_recording(folder / "x", ramp(10))
    meta = json.loads(path.read_text())
    meta["global"]["core:dataset"] = name
    path.write_text(json.dumps(meta))
    broken(path, "core:dataset must name a file in the same folder")


# -- archives ---------------------------------------------------------------------------------------
def archive(path: Path, *pairs: Path, folder: str = "", mode: str = "w", data_first: bool = False) -> Path:
    with tarfile.open(path, mode) as tar:
        for meta in pairs:
            files = [meta, meta.with_suffix(".sigmf-data")]
            for file in reversed(files) if data_first else files:
                tar.add(file, arcname=folder + file.name)
    return path


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
