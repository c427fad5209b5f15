# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Recordings without metadata: raw files and WAV, by their names, headers, levels and what is stated."""

import csv
import logging
import os
import struct

import numpy as np
import pytest
from radiofm_ml.sigmf import file_names, levels
from radiofm_ml.sigmf.annotations import AnnotationWriter
from radiofm_ml.sigmf.folders import survey
from radiofm_ml.sigmf.jobs import plan
from radiofm_ml.sigmf.recording import RecordingError, Stated, open_recording
from radiofm_ml.sigmf.sample_types import SampleType
from radiofm_ml.sigmf.stated import datatype, hertz
from sigmf_files import ramp, write_recording

NOON = 1767268800  # 2026-01-01T12:00:00Z


def noise(n=20000, level=0.1, seed=1):
    rng = np.random.default_rng(seed)
    return (level * (rng.standard_normal(n) + 1j * rng.standard_normal(n))).astype(np.complex64)


def raw(path, samples, kind):
    path.write_bytes(SampleType.parse(kind).from_complex(samples).tobytes())
    return path


def chunk(name, content):
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def wav(path, samples=b"", *, bits=16, channels=2, rate=1000000, kind=1, auxi=b"", after=b"", size=None,
        riff=b"RIFF"):
    """A WAV file; size: what the header says of the samples, if not the truth."""
    frame = channels * bits // 8
    form = struct.pack("<HHIIHH", kind, channels, rate, rate * frame, frame, bits)
    data = b"data" + struct.pack("<I", len(samples) if size is None else size) + samples
    content = b"WAVE" + chunk(b"fmt ", form) + (chunk(b"auxi", auxi) if auxi else b"") + data + after
    path.write_bytes(riff + struct.pack("<I", len(content)) + content)
    return path


def winrad(frequency, second=0, milli=250, hour=12):
    when = struct.pack("<8H", 2026, 1, 4, 1, hour, 0, second, milli)
    return when + when + struct.pack("<I", frequency % (1 << 32)) + bytes(132)


def s16(samples):
    return SampleType.parse("ci16_le").from_complex(samples).tobytes()


def about(recording):
    capture = recording.captures[0]
    return recording.datatype, recording.sample_rate, capture.frequency, capture.time


# -- names -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("stem, wanted", [
    ("gqrx_20260101_120000_433920000_2400000_fc", ("gqrx", 2.4e6, 433.92e6, NOON, "cf32_le")),
    ("sigdigger_20260101_120000Z_2560000_433500000_float32_iq",
     ("SigDigger", 2.56e6, 433.5e6, NOON, "cf32_le")),
    ("SDRSharp_20260101_120000Z_137912500Hz_IQ", ("SDR#", None, 137912500, NOON, "")),
    ("HDSDR_20260101_120000Z_7100kHz_RF", ("HDSDR", None, 7.1e6, NOON, "")),
    ("HDSDR_20260101_120000Z_7100kHz_RF_001", ("HDSDR", None, 7.1e6, NOON, "")),
    ("SDRuno_20260101_120000Z_100000kHz", ("SDRuno", None, 100e6, NOON, "")),
    ("HackRF_20260101_120000Z_868300kHz_IQ", ("hackrf_transfer", None, 868.3e6, NOON, "")),
    ("g001_433.92M_250k", ("rtl_433", 250e3, 433.92e6, None, "")),
    ("fm_99.5MHz_2Msps_20260101T120000Z", ("", 2e6, 99.5e6, NOON, "")),
    ("capture_2M", ("", None, None, None, "")),  # a rate as likely as a frequency
    ("a_100MHz_200MHz_1Msps", ("", 1e6, None, None, "")),
    ("gqrx_20261301_120000_1_2_fc", ("gqrx", 2, 1, None, "cf32_le")),  # no 13th month
    ("notes", ("", None, None, None, "")),
])
def test_names(stem, wanted):
    said = file_names.read(stem)
    time = None if said.time is None else said.time[0]
    assert (said.program, said.rate, said.frequency, time, said.datatype) == wanted


@pytest.mark.parametrize("text, wanted", [
    ("2.4M", 2.4e6), ("250k", 250e3), ("1e6", 1e6), ("433.92MHz", 433920000), ("48000 S/s", 48e3),
    (2.048e6, 2.048e6), ("-1k", -1000)])
def test_hertz(text, wanted):
    assert hertz(text) == wanted


def test_what_is_no_quantity_or_type():
    for text in ("", "fast", "1x", "nan", "1e99", "M"):
        with pytest.raises(ValueError, match="number of hertz"):
            hertz(text)
    with pytest.raises(ValueError, match="above 0"):
        Stated(rate="0")
    with pytest.raises(ValueError, match="no sample type"):
        Stated(type="s17")
    assert [datatype(name) for name in ("cs16", ".CU8", "ci16_be", "complex16u", "fc32", "f32")] == [
        "ci16_le", "cu8", "ci16_be", "cu8", "cf32_le", "rf32_le"]


# -- raw files ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("ending, kind", [
    ("cu8", "cu8"), ("cs8", "ci8"), ("cs16", "ci16_le"), ("cf32", "cf32_le"), ("cfile", "cf32_le"),
    ("complex", "cf32_le"), ("complex16u", "cu8"), ("complex16s", "ci8"), ("complex32s", "ci16_le"),
    ("fc64", "cf64_le"), ("C16", "ci16_le"), ("f32", "rf32_le")])
def test_an_ending_says_the_type(tmp_path, ending, kind):
    x = noise()
    path = raw(tmp_path / f"a_433.92M_250k.{ending}", x, kind)
    with open_recording(path) as recording:
        assert about(recording) == (kind, 250e3, 433.92e6, None)
        want = x if kind[0] == "c" else x.real
        np.testing.assert_allclose(recording.read(), want, atol=0.0101 if "8" in kind else 1e-4)
        assert recording.name == "a_433.92M_250k" and not [w for w in recording.warnings if "levels" in w]
        (line,) = recording.assumed
        assert f"{kind} (ending)" in line and "250 kS/s (name)" in line and "433.92 MHz (name)" in line


def test_gqrx(tmp_path):
    path = raw(tmp_path / "gqrx_20260101_120000_433920000_2400000_fc.raw", noise(), "cf32_le")
    with open_recording(path) as recording:
        assert about(recording) == ("cf32_le", 2.4e6, 433.92e6, (NOON, 0.0))
        assert recording.meta["global"]["core:recorder"] == "gqrx"
        assert recording.meta["global"]["core:dataset"] == path.name


def test_portapack(tmp_path):
    path = raw(tmp_path / "BBD_0001.C16", noise(), "ci16_le")
    (tmp_path / "BBD_0001.TXT").write_text("sample_rate=500000\ncenter_frequency=433920000\n")
    assert about(open_recording(path)) == ("ci16_le", 5e5, 433.92e6, None)


def test_what_is_stated_comes_first(tmp_path):
    path = raw(tmp_path / "g_433.92M_250k.cu8", noise(), "ci8")
    with open_recording(path, stated=Stated(rate="1M", frequency=868e6, type="cs8")) as recording:
        assert about(recording) == ("ci8", 1e6, 868e6, None)
        assert recording.assumed[0].count("--") == 3


def test_an_unknown_rate_or_type_is_refused_with_the_option(tmp_path):
    path = raw(tmp_path / "x.cu8", noise(), "cu8")
    with pytest.raises(RecordingError, match="x.cu8: does not say its sample rate; give it, .*--rate 2.4M"):
        open_recording(path)
    other = raw(tmp_path / "x.xyz", noise(), "cu8")
    with pytest.raises(RecordingError, match="x.sigmf-meta must lie beside it.*--type cu8 --rate"):
        open_recording(other)
    assert about(open_recording(other, stated=Stated("2.4M", type="cu8"))) == ("cu8", 2.4e6, None, None)
    short = raw(tmp_path / "x.iq", noise(100), "cu8")
    with pytest.raises(RecordingError, match="too short for its levels.*--type"):
        open_recording(short, stated=Stated("1M"))
    (tmp_path / "x.am.s16").write_bytes(bytes(100))
    with pytest.raises(RecordingError, match="is demodulated.*--type ri16_le"):
        open_recording(tmp_path / "x.am.s16", stated=Stated("1M"))


@pytest.mark.parametrize("n_bytes", [0, 1, 3, 8193])
def test_odd_sizes(tmp_path, n_bytes):
    path = tmp_path / "x_1M_100k.cs16"
    path.write_bytes(bytes(range(1, 200)) * 50)
    os.truncate(path, n_bytes)
    stated = Stated("1M")
    if n_bytes < 4:
        with pytest.raises(RecordingError, match="holds no samples"):
            open_recording(path, stated=stated)
        return
    with open_recording(path, stated=stated) as recording:
        assert recording.n_samples == n_bytes // 4 and len(recording.read()) == n_bytes // 4
        assert any("ends within a sample" in line for line in recording.warnings)


def test_what_is_no_samples_is_refused(tmp_path):
    import gzip

    path = tmp_path / "a_433.92M_250k.cu8"
    path.write_bytes(gzip.compress(bytes(range(256)) * 10))
    with pytest.raises(RecordingError, match=r"is compressed \(gzip\), not samples; unpack it"):
        open_recording(path)
    os.remove(path)
    os.mkfifo(path)
    with pytest.raises(RecordingError, match="FIFO"):
        open_recording(path, stated=Stated("1M"))


def test_a_huge_file_takes_no_memory(tmp_path):
    path = tmp_path / "a_433.92M_250k.cu8"
    with open(path, "wb") as file:
        file.truncate(1 << 40)
    with open_recording(path) as recording:
        assert recording.n_samples == 1 << 39 and len(recording.read(1 << 38, 100)) == 100


# -- levels ------------------------------------------------------------------------------------------
def signals():
    n = np.arange(100000)
    tone = np.exp(0.3j * n).astype(np.complex64)
    bursts = tone * (n // 3000 % 2) + noise(100000, 0.003)
    return {"noise": noise(100000, 0.7), "tone": tone, "bursts": bursts, "both": tone + noise(100000, 0.1)}


@pytest.mark.parametrize("name", list(signals()))
@pytest.mark.parametrize("kind", levels.GUESSED)
def test_levels_tell_the_type_or_leave_it(name, kind):
    right = 0
    for level in (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 0.9, 3):
        content = SampleType.parse(kind).from_complex(signals()[name] * level).tobytes()
        found = levels.fits(np.frombuffer(content, np.uint8))
        assert levels.guess(found) in ("", kind), level
        assert levels.better(found, kind) == "", level
        right += levels.guess(found) == kind
    assert right >= (2 if kind != "cf32_le" else 8)


@pytest.mark.parametrize("kind", ["ci16_be", "cu16_le", "ci32_le"])
def test_types_that_are_not_guessed_are_not_mistaken(kind):
    for name, samples in signals().items():
        for level in (0.003, 0.03, 0.3):
            content = SampleType.parse(kind).from_complex(samples * level).tobytes()
            assert levels.guess(levels.fits(np.frombuffer(content, np.uint8))) == "", (name, level)


@pytest.mark.parametrize("kind", levels.GUESSED)
def test_a_guess_is_said_and_shown(tmp_path, kind, caplog):
    path = raw(tmp_path / "x.iq", noise(50000), kind)
    with caplog.at_level(logging.INFO, "radiofm_ml"), open_recording(path, stated=Stated("1M")) as recording:
        assert recording.datatype == kind
    assert f"read as {kind} (guessed by its levels; --type" in recording.assumed[0]
    bars = [line for line in recording.assumed[1:] if "|" in line]
    assert bars and bars[0].startswith(kind) and all(line.isascii() for line in bars)
    assert [r.getMessage() for r in caplog.records] == [f"{path}: {line}" for line in recording.assumed]


def test_a_doubt_is_shown_and_refused(tmp_path, caplog):
    path = tmp_path / "x.bin"
    path.write_bytes(np.random.default_rng(1).integers(0, 256, 100000, np.uint8).tobytes())
    with caplog.at_level(logging.INFO, "radiofm_ml"), pytest.raises(RecordingError, match="give it.*--type"):
        open_recording(path, stated=Stated("1M"))
    assert any("|" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("stated, real", [("cs8", "cu8"), ("cu8", "ci8"), ("cf32", "ci16_le"),
                                          ("cs16", "cu8")])
def test_a_wrong_type_is_warned_of(tmp_path, stated, real):
    path = raw(tmp_path / "x.iq", noise(50000), real)
    with open_recording(path, stated=Stated("1M", type=stated)) as recording:
        assert [line for line in recording.warnings if f"its levels look like {real}" in line
                and f"--type {real}" in line], recording.warnings
        assert any(line.startswith(real) for line in recording.assumed)


def test_levels_of_real_recordings(data_dir):
    right = doubts = 0
    for row in csv.DictReader(open(data_dir / "iq" / "index.csv")):
        content = np.fromfile(data_dir / "iq" / row["file"], np.uint8, 1 << 20)
        found = levels.fits(content)
        assert levels.guess(found) in ("", row["datatype"]), row["file"]
        assert levels.better(found, row["datatype"]) == "", row["file"]
        right += levels.guess(found) == row["datatype"]
        doubts += levels.guess(found) == ""
    assert right > 9 * doubts


# -- WAV ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name, auxi, wanted", [
    ("SDRSharp_20260101_120000Z_433920000Hz_IQ", b"", (433.92e6, (NOON, 0.0))),
    ("HDSDR_20260101_120000Z_433920kHz_RF", winrad(433920123), (433920123, (NOON, 0.25))),
    ("SDRuno_20260101_120000Z_100000kHz", winrad(100000000, hour=14), (100e6, (NOON, 0.0))),  # local time
    ("HDSDR_20260101_120000Z_10368000kHz_RF", winrad(10368000321), (10368000321, (NOON, 0.25))),
    ("x", winrad(7100000), (7.1e6, (NOON, 0.25))),
    ("01-Jan-2026 120000.000 7.100MHz", (
        '<?xml version="1.0"?><SDR-XML-Root><Definition CurrentTimeUTC="01-01-2026 12:00:00" SoftwareName='
        '"SDR Console" RadioCenterFreq="7100500" UTCSeconds="1767268800"/></SDR-XML-Root>\0'
    ).encode("utf-16-le"), (7100500, (NOON, 0.0))),
])
def test_wav_of_receivers_programs(tmp_path, name, auxi, wanted):
    x = noise()
    path = wav(tmp_path / f"{name}.wav", s16(x), auxi=auxi, after=chunk(b"LIST", b"INFO" + bytes(30)))
    with open_recording(path) as recording:
        assert about(recording) == ("ci16_le", 1e6, *wanted)
        assert recording.n_samples == len(x) and not recording.warnings
        np.testing.assert_allclose(recording.read(), x, atol=1e-4)


@pytest.mark.parametrize("kind, bits, datatype", [(1, 8, "cu8"), (1, 16, "ci16_le"), (1, 32, "ci32_le"),
                                                  (3, 32, "cf32_le"), (3, 64, "cf64_le")])
def test_wav_of_all_samples(tmp_path, kind, bits, datatype):
    x = noise()
    path = wav(tmp_path / "x.wav", SampleType.parse(datatype).from_complex(x).tobytes(), bits=bits, kind=kind)
    with open_recording(path) as recording:
        assert recording.datatype == datatype
        np.testing.assert_allclose(recording.read(), x, atol=0.01 if bits == 8 else 1e-4)
        assert len(recording.read()) == len(x)


def test_wav_extensible_and_rf64(tmp_path):
    x = noise(1000)
    form = struct.pack("<HHIIHHHHIH14s", 0xFFFE, 2, 48000, 48000 * 8, 8, 32, 22, 32, 3, 3, bytes(14))
    content = b"WAVE" + chunk(b"fmt ", form) + chunk(b"data", x.tobytes())
    (tmp_path / "a.wav").write_bytes(b"RIFF" + struct.pack("<I", len(content)) + content)
    np.testing.assert_array_equal(open_recording(tmp_path / "a.wav").read(), x)
    ds64 = chunk(b"ds64", struct.pack("<QQQI", 0, 8 * len(x), 0, 0))
    data = b"data" + b"\xff" * 4 + x.tobytes()
    content = b"WAVE" + ds64 + chunk(b"fmt ", form) + data + chunk(b"LIST", bytes(8))
    for riff in (b"RF64", b"BW64"):
        (tmp_path / "b.wav").write_bytes(riff + b"\xff" * 4 + content)
        np.testing.assert_array_equal(open_recording(tmp_path / "b.wav").read(), x)


@pytest.mark.parametrize("options, reason", [
    ({"channels": 1}, r"1 channel of 16 bits, and I/Q has two channels; give --type ri16_le"),
    ({"bits": 24}, r"2 channels of 24 bits, for which SigMF has no name; convert it, .*sox x.wav -b 32"),
    ({"channels": 4}, "4 channels of 16 bits, and I/Q has two channels$"),
    ({"kind": 7}, r"2 channels of 16 bits \(codec 7\), for which"),
    ({"rate": 0}, "give it, such as --rate"),
])
def test_wav_of_other_shapes(tmp_path, options, reason):
    path = wav(tmp_path / "x.wav", bytes(4800), **options)
    with pytest.raises(RecordingError, match=f"x.wav: .*{reason}"):
        open_recording(path)


def test_wav_of_real_samples(tmp_path):
    path = wav(tmp_path / "x.wav", s16(noise(1000)), channels=1)
    assert about(open_recording(path, stated=Stated(type="ri16_le")))[0] == "ri16_le"
    with pytest.raises(RecordingError, match="which are not cf32_le; leave --type out"):
        open_recording(path, stated=Stated(type="cf32"))


def test_damaged_wav(tmp_path):
    x = noise(1000)
    path = wav(tmp_path / "x.wav", s16(x), size=5000)
    with open_recording(path) as recording:
        assert recording.n_samples == 1000 and any("ends 1000 bytes before" in w for w in recording.warnings)
    for size in (0, 0xFFFFFFFF):  # a program that did not come to write it
        with open_recording(wav(path, s16(x), size=size)) as recording:
            assert recording.n_samples == 1000
    content = path.read_bytes()
    for end in (0, 4, 12, 20, 30, 40):
        path.write_bytes(content[:end])
        with pytest.raises(RecordingError, match="x.wav: "):
            open_recording(path)
    with open_recording(wav(path, s16(x)[:-1])) as recording:
        assert recording.n_samples == 999


def test_name_and_header_that_differ_are_told(tmp_path):
    path = wav(tmp_path / "HDSDR_20260101_120000Z_7100kHz_RF.wav", s16(noise()), auxi=winrad(14200000, 40))
    with open_recording(path) as recording:
        assert about(recording)[2:] == (14.2e6, (NOON, 0.0))
        assert "7.1 MHz" in recording.warnings[0] and "14.2 MHz" in recording.warnings[0]
        assert "different times" in recording.warnings[1]


# -- beside SigMF ------------------------------------------------------------------------------------
def test_a_folder_of_all_kinds(tmp_path):
    write_recording(tmp_path / "a", ramp(100))
    raw(tmp_path / "b_433.92M_250k.cu8", noise(), "cu8")
    wav(tmp_path / "HDSDR_20260101_120000Z_7100kHz_RF.wav", s16(noise()))
    wav(tmp_path / "music.wav", s16(noise()), rate=44100)
    wav(tmp_path / "mono.wav", s16(noise()), channels=1)
    (tmp_path / "firmware.bin").write_bytes(bytes(range(256)) * 100)
    raw(tmp_path / "unknown.cs8", noise(), "ci8")
    write_recording(tmp_path / "own", s16(noise()), "ci16_le", dataset="own.cs16")
    found = survey(tmp_path)
    assert [path.name for path in found.recordings] == [
        "HDSDR_20260101_120000Z_7100kHz_RF.wav", "a.sigmf-meta", "b_433.92M_250k.cu8", "own.sigmf-meta",
        "unknown.cs8"]  # opening the last one says what is wrong
    assert sorted(line.removeprefix(f"{tmp_path}/").split(":")[0] for line in found.left_out) == [
        "firmware.bin", "mono.wav", "music.wav"]
    jobs = plan(tmp_path, tmp_path / "out", ".npz", stated=Stated("1M"))
    assert sorted(job.output.name for job in jobs) == [
        "HDSDR_20260101_120000Z_7100kHz_RF.npz", "a.npz", "b_433.92M_250k.npz", "music.npz", "own.npz",
        "unknown.npz"]
    assert all(job.stated == Stated("1M") for job in jobs)


def test_a_folder_without_any_says_what_was_left_out(tmp_path):
    wav(tmp_path / "music.wav", s16(noise()), rate=44100)
    with pytest.raises(ValueError, match="holds no SigMF recordings.*music.wav: may be sound"):
        plan(tmp_path, tmp_path / "out", ".npz")


def test_metadata_of_another_file_of_the_same_name(tmp_path):
    write_recording(tmp_path / "x_1MHz_1Msps", ramp(100))
    path = raw(tmp_path / "x_1MHz_1Msps.cs16", noise(), "ci16_le")
    assert open_recording(path).datatype == "ci16_le" and open_recording(path).n_samples == 20000
    assert open_recording(tmp_path / "x_1MHz_1Msps").n_samples == 100
    assert len({job.output for job in plan(tmp_path, tmp_path / "out", ".npz")}) == 2


@pytest.mark.parametrize("kind", ["raw", "wav"])
@pytest.mark.parametrize("folder", ["", "out"])
def test_annotations_are_sigmf_that_finds_the_samples(tmp_path, kind, folder):
    x = noise()
    if kind == "raw":
        path = raw(tmp_path / "x_433.92M_250k.cs16", x, "ci16_le")
    else:
        path = wav(tmp_path / "x_433.92M_250k.wav", s16(x), rate=250000, after=chunk(b"LIST", bytes(10)))
    (tmp_path / folder).mkdir(exist_ok=True)
    target = tmp_path / folder / "x_433.92M_250k.sigmf-meta"
    stored = path.read_bytes()
    with open_recording(path) as recording, AnnotationWriter(target, recording) as writer:
        writer.add(100, 200, "a", freq_lower=433.9e6, freq_upper=433.95e6)
    assert path.read_bytes() == stored
    for name in (target, path if not folder else target):  # the file itself now has metadata beside it
        with open_recording(name) as again:
            assert about(again) == ("ci16_le", 250e3, 433.92e6 if kind == "raw" else 433.92e6, None)
            np.testing.assert_allclose(again.read(), x, atol=1e-4)
            assert [a.label for a in again.annotations] == ["a"] and not again.assumed
    from sigmf import sigmffile

    other = sigmffile.fromfile(str(target))
    assert other.sample_count == len(x)
    np.testing.assert_allclose(other.read_samples(), x, atol=1e-4)


def test_what_metadata_leave_out_is_filled_in(tmp_path):
    path = write_recording(tmp_path / "x", ramp(100))
    with open_recording(path, stated=Stated("1M", "100M", "cu8")) as recording:
        assert about(recording) == ("cf32_le", 1e6, 100e6, None)
        assert recording.assumed == ("sample rate 1000000 Hz (--rate)",
                                     "centre frequency 100000000 Hz (--frequency)")
    path = write_recording(tmp_path / "y", ramp(100), sample_rate=5e5,
                           captures=[{"core:sample_start": 0, "core:frequency": 1e6}])
    with open_recording(path, stated=Stated("1M", "100M")) as recording:
        assert about(recording) == ("cf32_le", 5e5, 1e6, None)
        assert [line for line in recording.warnings if "holds, not --" in line] == recording.warnings
        assert len(recording.warnings) == 2
