# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Capture segments of SigMF recordings: frequency, time, lost samples, parts of a recording."""

from datetime import UTC, datetime

import numpy as np
import pytest
from radiofm_ml.sigmf.recording import later, open_recording, parse_datetime
from sigmf_files import broken, ramp, write_recording


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
    assert [(c.sample_start, c.frequency) for c in recording.captures] == [(0, 1e6), (40, 0.0), (70, 2e6)]
    assert [recording.capture_at(s).sample_start for s in (0, 39, 40, 69, 70, 1000)] == [0, 0, 40, 40, 70, 70]
    seconds, fraction = recording.time_at(25)
    assert datetime.fromtimestamp(seconds, UTC) == datetime(2024, 3, 1, 0, 0, 1, tzinfo=UTC)
    assert fraction == pytest.approx(0.623456789123, abs=1e-15)
    assert recording.captures[0].datetime == datetime(2024, 2, 29, 23, 59, 59, 123457, tzinfo=UTC)
    # time goes on by the samples where a segment does not state it
    assert recording.captures[1].datetime == datetime(2024, 3, 1, 0, 0, 3, 123457, tzinfo=UTC)
    seconds, fraction = recording.time_at(50)
    assert datetime.fromtimestamp(seconds, UTC) == datetime(2024, 3, 1, 0, 0, 4, tzinfo=UTC)
    assert fraction == pytest.approx(0.123456789123, abs=1e-15)


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
        ("1970-01-01T00:00:10", (10, 0.0)),
        ("1970-01-01T00:00:10+00:00", (10, 0.0)),
        ("1970-01-01T00:00:10 +0000", (10, 0.0)),
        ("1970-01-01T01:30-02", (12600, 0.0)),
        ("19700101T000010Z", (10, 0.0)),
        ("1970-01-01 00:00:10.5 UTC", (10, 0.5)),
        (" 1970-01-01T00:00:10.123456789012345678901234567890Z ", (10, 0.12345678901234568)),
        ("1970-01-01T00:00:10." + 40 * "9" + "Z", (11, 0.0)),
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
        "2024-01-01T00:00:00+24:00",
        "0000-01-01T00:00:00Z",
        "1706702400",
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


def test_unordered_captures_with_headers(tmp_path):
    broken(
        write_recording(
            tmp_path / "x",
            b"\0" * 800,
            dataset="x.bin",
            captures=[{"core:sample_start": 50, "core:header_bytes": 8}, {"core:sample_start": 0}],
        ),
        "x.sigmf-meta: captures are out of order",
    )


def captured(tmp_path, *captures, rate=10, n=1000, **info):
    captures = [{f"core:{key}": value for key, value in c.items()} for c in captures]
    info = info if rate is None else {"sample_rate": rate, **info}
    return open_recording(write_recording(tmp_path / "x", ramp(n), captures=captures, **info))


T0 = "1970-01-01T00:00:00Z"


def test_a_segment_that_states_no_frequency_is_at_baseband(tmp_path):
    """By the standard fields hold for their own segment only: nothing is carried on."""
    recording = captured(tmp_path, {"sample_start": 5, "frequency": 1e6}, {"sample_start": 10},
                         {"sample_start": 20, "frequency": 2e6}, {"sample_start": 30, "frequency": None})
    assert [(c.sample_start, c.frequency) for c in recording.captures] == [
        (0, 0.0), (5, 1e6), (10, 0.0), (20, 2e6), (30, 0.0)]
    assert any("core:frequency for 3 of 5 capture segments (from sample 0)" in w for w in recording.warnings)


@pytest.mark.parametrize("captures", [[], [{"sample_start": 0}], [{"sample_start": 0}, {"sample_start": 9}]])
def test_where_no_segment_states_a_frequency_it_is_not_known(tmp_path, captures):
    recording = captured(tmp_path, *captures)
    assert {c.frequency for c in recording.captures} == {None} and not recording.warnings


@pytest.mark.parametrize(("captures", "wanted"), [
    # the gap moves time on, whether or not the first segment states its index
    ([{"global_index": 0, "datetime": T0}, {"global_index": 600}], 60.0),
    ([{"datetime": T0}, {"global_index": 600}], 60.0),
    ([{"global_index": 10**12, "datetime": T0}, {"global_index": 10**12 + 600}], 60.0),
    # none: the samples follow one another
    ([{"datetime": T0}, {}], 50.0),
    ([{"global_index": 10**12, "datetime": T0}, {}], 50.0),
    ([{"global_index": 100, "datetime": T0}, {"global_index": 20}], 50.0),  # goes back
    # what is stated wins
    ([{"datetime": T0}, {"global_index": 600, "datetime": "1970-01-01T00:05:00Z"}], 300.0),
    # nothing to count from
    ([{}, {"global_index": 600}], None),
])
def test_lost_samples_take_time(tmp_path, captures, wanted):
    recording = captured(tmp_path, *({"sample_start": start, **c} for start, c in zip((0, 500), captures,
                                                                                     strict=True)))
    assert recording.captures[1].time == (None if wanted is None else (int(wanted), 0.0))
    assert recording.time_at(510) == (None if wanted is None else (int(wanted) + 1, 0.0))
    lost = [w for w in recording.warnings if "lost" in w]
    assert bool(lost) == (captures[1].get("global_index", 0) % 10**12 == 600)
    if lost:
        assert "100 samples were lost" in lost[0] and "before sample 500" in lost[0]


def test_gaps_add_up_and_a_time_between_starts_anew(tmp_path):
    recording = captured(
        tmp_path, {"sample_start": 0, "datetime": T0}, {"sample_start": 100, "global_index": 150},
        {"sample_start": 200, "global_index": 350}, {"sample_start": 300, "datetime": "1970-01-01T01:00:00Z"},
        {"sample_start": 400, "global_index": 1550})
    assert [c.time[0] for c in recording.captures] == [0, 15, 35, 3600, 3600 + 110]
    assert sum("samples were lost" in w for w in recording.warnings) == 1
    assert any("1150 samples" in w for w in recording.warnings)


def test_time_needs_a_rate_to_go_on(tmp_path):
    recording = captured(tmp_path, {"sample_start": 0, "datetime": T0}, {"sample_start": 10}, rate=None)
    assert recording.time_at(0) == (0, 0.0) and recording.time_at(10) is None


def test_a_part_of_a_recording_with_a_gap_in_an_earlier_part(tmp_path):
    """Indexes are absolute, of the dataset as of the stream; samples of ours count from core:offset."""
    recording = captured(
        tmp_path, {"sample_start": 0, "datetime": T0}, {"sample_start": 1000, "global_index": 3000},
        {"sample_start": 2100, "global_index": 5100}, offset=2000)
    assert [c.sample_start for c in recording.captures] == [0, 100]
    assert recording.time_at(0) == (400, 0.0) and recording.time_at(100) == (510, 0.0)


def test_a_time_that_no_calendar_has(tmp_path):
    recording = captured(tmp_path, {"sample_start": 0, "datetime": T0}, offset=10**18)
    assert recording.time_at(0) == (10**17, 0.0) and recording.captures[0].datetime is None


def test_annotations_outside_a_part_are_left_out(tmp_path):
    path = write_recording(tmp_path / "x", ramp(100), offset=1000, annotations=[
        {"core:sample_start": 10, "core:sample_count": 50, "core:label": "before"},
        {"core:sample_start": 950, "core:sample_count": 50, "core:label": "touches"},
        {"core:sample_start": 950, "core:sample_count": 51, "core:label": "reaches in"},
        {"core:sample_start": 1099, "core:label": "last"},
        {"core:sample_start": 1100, "core:sample_count": 1, "core:label": "after"}])
    recording = open_recording(path)
    assert [(a.label, a.sample_start, a.sample_count) for a in recording.annotations] == [
        ("reaches in", 0, 1), ("last", 99, 1)]
    assert "3 of 5 annotations lie outside" in recording.warnings[0]
    assert len(recording.meta["annotations"]) == 5  # and are kept in what is written


def test_a_trailer_and_headers_of_several_segments(tmp_path):
    """The standard's own example: two chunks with four bytes before each, to the end of the file."""
    x = (np.arange(4000) % 251).astype(np.uint8)
    data = b"HEAD" + x[:1000].tobytes() + b"head" + x[1000:].tobytes() + b"TRAIL"
    recording = open_recording(write_recording(
        tmp_path / "x", data, "cu8", dataset="x.dat", trailing_bytes=5,
        captures=[{"core:sample_start": 0, "core:header_bytes": 4},
                  {"core:sample_start": 500, "core:header_bytes": 4}]))
    assert recording.n_samples == 2000
    wanted = (x.astype(float) - 127.5) / 127.5
    np.testing.assert_allclose(recording.read(), wanted[::2] + 1j * wanted[1::2], rtol=1e-6)


@pytest.mark.parametrize(("samples", "rate"), [(1000, 1e-320), (10**30, 1e6), (1000, 1e-300), (2**63, 0.5)])
def test_a_time_that_nothing_can_say_is_none(samples, rate):
    assert later((0, 0.0), samples, rate) is None
