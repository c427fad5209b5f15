# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The beam simulator: arrays, determinism, levels, front ends, streams, files, and that it stays as it is."""

import numpy as np
import pytest
from radiofm_ml.cli.app import app
from radiofm_ml.data.beam_files import BeamFile, parse_name
from radiofm_ml.synth.beams import AOA_ANGLES, AOA_BEAMS, NAMED, VERSION, BeamSimulator
from radiofm_ml.synth.beams.array import codebook
from radiofm_ml.synth.beams.files import file_name, write_captures
from radiofm_ml.synth.beams.frontend import front_end, perfect
from radiofm_ml.synth.beams.geometry import GEOMETRIES, paths
from radiofm_ml.synth.beams.link import _RESPONSES, RESPONSE_BYTES, Link, ResponseCache, effective_pattern
from typer.testing import CliRunner


def power_db(x):
    return 10 * np.log10(np.mean(np.abs(x) ** 2))


@pytest.mark.parametrize("beams", [24, 12, 5])
def test_a_perfect_array_points_where_its_codebook_says(beams):
    book = codebook(beams)
    azimuth = np.arange(-80, 80.1, 0.5)
    for beam, (across, up) in enumerate(book.directions):
        pattern = book.pattern(beam, azimuth, up)
        assert abs(azimuth[pattern.argmax()] - across) <= 3, beam
        # Rounding to two bits costs about 1 dB of what the elements could give.
        best = 10 * np.log10(book.array.elements)
        assert best - 2 < pattern.max() <= best + 1e-6
    assert book.states is None or len(np.unique((book.states - book.states[:, :1]) % 4, axis=0)) == beams


def test_a_main_lobe_is_25_to_30_degrees_wide_at_broadside():
    azimuth = np.arange(-45, 45, 0.25)
    pattern = codebook(24).pattern(12, azimuth)
    assert 22 < 0.25 * np.count_nonzero(pattern > pattern.max() - 3) < 32


def test_same_seed_same_samples_and_what_a_seed_changes():
    def draw(payload=1, **keywords):
        return BeamSimulator(**keywords).blocks(5, 3, np.random.default_rng(payload))

    x = draw(front_end="b", seed=4)
    assert x.dtype == np.complex64 and x.shape == (3, 2048) and np.isfinite(x).all()
    assert np.array_equal(x, draw(front_end="b", seed=4))
    for other in (draw(2, front_end="b", seed=4), draw(front_end="b", seed=5), draw(front_end="c", seed=4)):
        assert not np.allclose(x, other)


@pytest.mark.parametrize("gain", [40, 50, 60])
def test_snr_and_level_are_as_stated(gain):
    simulator = BeamSimulator("a", rx_gain_db=gain)
    for beam in (2, 12):
        x = simulator.blocks(beam, 100, np.random.default_rng(0)).ravel()
        # The band's edge holds noise only: there the pulse has nothing.
        spectrum = np.mean(np.abs(np.fft.fft(x.reshape(-1, 2048), axis=1)) ** 2, axis=0) / 2048
        edge = np.abs(np.fft.fftfreq(2048)) > 0.42
        noise = spectrum[edge].mean()
        measured = 10 * np.log10(spectrum.mean() / noise - 1)
        assert abs(measured - simulator.snr_db(beam)) < 1.0


def test_snrs_lie_where_the_data_set_states_and_rise_with_the_gain():
    simulator = BeamSimulator("b")
    snr = [[simulator.snr_db(beam, gain) for gain in (40, 50, 60)] for beam in range(24)]
    assert 15 < np.max(snr) < 25 and -15 < np.min(snr) < 0
    assert np.all(np.diff(snr, axis=1) > 0)


def test_front_ends_differ_and_numbered_ones_are_never_named_ones():
    ends = [front_end(name) for name in (*NAMED, *range(8))]
    errors = np.stack([end.transmitter.elements for end in ends])
    apart = np.abs(errors[:, None] - errors[None]).max(2) + np.eye(len(ends))
    assert apart.min() > 1e-3
    assert front_end("a") is front_end("a")
    # As in the recordings, one receiver hears a, c and d, another b; numbered ones have their own.
    heard = [end.receiver.gain for end in ends]
    assert heard[0] == heard[2] == heard[3] != heard[1]
    assert len(set(heard)) == 2 + 8


def test_errors_move_the_pattern_and_without_errors_it_is_the_codebooks():
    azimuth = np.arange(-60, 61.0)
    ideal = codebook(24).pattern(3, azimuth)
    assert np.allclose(effective_pattern(perfect(), 24, 3, azimuth), ideal, atol=1e-9)
    moved = effective_pattern(front_end("a"), 24, 3, azimuth)
    assert 0.2 < np.abs(moved - ideal)[ideal > 5].max() < 5


def test_a_perfect_link_has_its_echoes_where_the_room_has_them():
    link = Link(perfect(), "basic", 24, seed=0)
    way = paths("basic")
    response = np.fft.ifft(link.response(11, 0.0, 4096), axis=1)
    at = np.abs(response).argmax(axis=1)
    assert np.abs(at - way.delay * 3.072e9).max() < 1
    assert np.all(way.delay >= 0) and way.delay[0] == 0
    # The best beam on an open line of sight is the reference level, less what two bits cost.
    best = max(np.abs(link.response(beam, 0.0, 4096)[0, 0]) for beam in range(24))
    assert 0.75 < best <= 1


def test_the_cache_of_responses_keeps_what_was_used_last():
    cache, made = ResponseCache(3 * 80), []

    def get(key):
        return cache.get(key, lambda: made.append(key) or np.full(10, key, float))

    for key in (1, 2, 3, 1, 4, 1, 2):
        assert get(key)[0] == key
        assert len(cache) <= 3 and cache.held == 80 * len(cache)
    assert made == [1, 2, 3, 4, 2]  # 1 was used again before there were too many
    assert cache.get("large", lambda: np.zeros(100)).shape == (100,) and cache.held <= 240


def test_a_slider_of_angles_fills_no_memory():
    """A stream that is turned to new angles while it sweeps; a sweep at one angle computes nothing anew."""
    simulator = BeamSimulator("a")
    for angle in range(6):
        for beam in range(24):
            simulator.link.response(beam, angle / 10, 32768)
            assert _RESPONSES.held <= RESPONSE_BYTES
    assert len(_RESPONSES) < 6 * 24
    kept = [simulator.link.response(beam, 0.5, 32768) for beam in range(24)]
    assert all(simulator.link.response(beam, 0.5, 32768) is one for beam, one in enumerate(kept))


def test_frames_of_a_capture_drift_slowly():
    simulator = BeamSimulator("a", rx_gain_db=60)
    x = simulator.capture(12, 60, np.random.default_rng(3), blocks=2)
    assert x.shape == (60, 2, 2048)
    level = 10 * np.log10(np.mean(np.abs(x) ** 2, axis=(1, 2)))
    assert np.std(np.diff(level)) < 0.8 * np.std(level) * np.sqrt(2)


def test_geometries_and_angles_change_what_is_received():
    rooms = [BeamSimulator("a", geometry).link.response(12, 0.0, 256).sum(0) for geometry in GEOMETRIES]
    assert 20 * np.log10(np.linalg.norm(rooms[0]) / np.linalg.norm(rooms[2])) > 5  # something in between
    assert np.linalg.norm(rooms[0] - rooms[1]) > 0.3 * np.linalg.norm(rooms[0])
    simulator = BeamSimulator("a", aoa=True)
    assert simulator.angles == AOA_ANGLES and simulator.beams == AOA_BEAMS and len(AOA_ANGLES) == 31
    shapes = np.stack([simulator.link.response(12, angle, 256).sum(0) for angle in simulator.angles])
    assert np.abs(np.diff(shapes, axis=0)).max(1).min() > 1e-3
    assert BeamSimulator("a").angles == ()
    assert BeamSimulator("a", aoa=(-10, 10)).angles == (-10.0, 10.0)


def test_a_stream_does_not_depend_on_how_it_is_read_and_changes_at_the_sample():
    def stream():
        return BeamSimulator("a", rx_gain_db=60).stream(np.random.default_rng(9))

    plain = stream().samples(70000)
    pieces = stream()
    assert np.array_equal(np.concatenate([pieces.samples(n) for n in (1, 30718, 2, 100, 39179)]), plain)
    assert pieces.offset == 70000

    other = stream()
    other.beam = 15
    beam15 = other.samples(70000)
    for at in (1000, 30720, 40001):
        switched = stream()
        before = switched.samples(at)
        switched.beam = 15
        after = switched.samples(20000)
        assert np.array_equal(before, plain[:at])
        assert np.array_equal(after, beam15[at:at + 20000])
        assert not np.allclose(after[:50], plain[at:at + 50])

    swapped = stream()
    swapped.samples(5000)
    swapped.front_end = "b"
    new = BeamSimulator("b", rx_gain_db=60).stream(np.random.default_rng(9)).samples(70000)
    assert np.array_equal(swapped.samples(65000), new[5000:])


def test_a_stream_has_no_seam_between_frames():
    x = BeamSimulator("a", rx_gain_db=60).stream(np.random.default_rng(2))
    x.beam = 12
    x = x.samples(3 * 30720)
    steps = np.abs(np.diff(x))
    for seam in (30720, 61440):
        assert steps[seam - 2:seam + 2].max() < np.quantile(steps, 0.9999)
    # And not in what follows a seam: the signal is as wide, and its band's edge as empty, across it.
    for at in (30720 - 1024, 10000):
        spectrum = np.abs(np.fft.fft(x[at:at + 2048] * np.hanning(2048))) ** 2
        edge = np.abs(np.fft.fftfreq(2048)) > 0.42
        assert 10 * np.log10(spectrum[~edge].mean() / spectrum[edge].mean()) > 12


def test_files_have_the_published_layout_and_names(tmp_path):
    simulator = BeamSimulator(7, aoa=(-45, 0, 45), rx_gain_db=50)
    path = write_captures(tmp_path, simulator, frames=3, blocks=2, gains=(40, 60), seed=5)
    assert parse_name(path).aoa and path.name == "srf-basic-config-24-beams-aoa-tx-ant-11-rx-ant-9.h5"
    with BeamFile(path) as file:
        assert tuple(file.gains) == (40, 60) and tuple(file.beams) == AOA_BEAMS
        assert tuple(file.angles) == (-45, 0, 45)
        assert (file.frames, file.blocks_per_frame, file.block_length) == (3, 2, 2048)
        x = file.read(1, 2, slice(0, 3), angle_i=1, blocks=2)
    expected = simulator.capture(20, 3, np.random.default_rng([5, 1, 7, 1, 20, 1]), 60, 0.0, 2)
    assert np.array_equal(x, expected)
    assert file_name("b", "obstacle", 12, False) == "srf-obstacle-config-12-beams-tx-ant-1-rx-ant-0.h5"


def test_the_command_writes_a_file_for_each_antenna(tmp_path):
    result = CliRunner().invoke(app, ["synth", "beams", str(tmp_path), "--antenna", "a", "--antenna", "0",
                                      "--codebook", "5", "--frames", "2", "--gain", "50",
                                      "--picture", str(tmp_path / "beams.png")])
    assert result.exit_code == 0, result.output
    for antennas in ("tx-ant-0-rx-ant-1", "tx-ant-4-rx-ant-2"):
        with BeamFile(tmp_path / f"mrf-basic-config-5-beams-{antennas}.h5") as file:
            assert (len(file.beams), file.frames, file.blocks_per_frame) == (5, 2, 1)
    assert (tmp_path / "beams.png").stat().st_size > 10000


@pytest.mark.parametrize(("keywords", "says"), [
    ({"front_end": "e"}, "front_end must be one of a, b, c, d or a number"),
    ({"front_end": -1}, "front_end"),
    ({"front_end": True}, "front_end"),
    ({"geometry": "roof"}, "geometry must be one of basic, diagonal, obstacle"),
    ({"codebook": 7}, "24, 12 or 5 beams"),
    ({"codebook": 12, "aoa": True}, "codebook of 24"),
    ({"rx_gain_db": float("nan")}, "rx_gain_db"),
])
def test_bad_arguments_are_refused(keywords, says):
    with pytest.raises(ValueError, match=says):
        BeamSimulator(**keywords)


def test_bad_settings_are_refused_and_change_nothing():
    stream = BeamSimulator("a").stream(np.random.default_rng(0))
    for name, value in (("beam", 24), ("beam", 1.5), ("rx_gain_db", 99), ("angle", 120), ("front_end", "z")):
        before = getattr(stream, name)
        with pytest.raises(ValueError):
            setattr(stream, name, value)
        assert getattr(stream, name) == before
    with pytest.raises(ValueError, match="beam must be a whole number from 0 to 23"):
        BeamSimulator("a").blocks(24, 1, np.random.default_rng(0))


# What version 1 gives: for each setting, four samples in the middle of the second block, and the SNR in dB.
FROZEN = {
    ("a", "basic", 24, 40, None, 3): (
        [-0.0221-0.0329j, 0.0065-0.0105j, 0.0086+0.0061j, -0.0115-0.0036j], 5.49),
    ("b", "basic", 24, 60, None, 12): (
        [0.0955+0.6028j, -0.1256-0.0651j, -0.2369-0.4768j, -0.1919-0.1649j], 18.62),
    ("c", "diagonal", 24, 50, None, 20): (
        [0.1576-0.2182j, 0.0624-0.1092j, -0.0753+0.0578j, -0.1134+0.1005j], 16.62),
    ("d", "obstacle", 12, 60, None, 7): (
        [-0.2871-0.1058j, -0.1021-0.0331j, -0.2301+0.0273j, -0.0927+0.0589j], 7.54),
    (0, "basic", 5, 60, None, 2): (
        [0.7296+0.7821j, 0.1153+0.2480j, -0.3868-0.2993j, -0.3198-0.2234j], 21.06),
    (123, "basic", 24, 60, 21.0, 12): (
        [0.3478+0.1489j, 0.0032+0.0454j, -0.2778-0.1037j, -0.2084-0.1148j], 13.25),
}


@pytest.mark.parametrize(("setting", "expected"), FROZEN.items(), ids=str)
def test_the_output_is_that_of_version_1(setting, expected):
    """A change of what the simulator gives needs a new VERSION, a new calibration and new numbers here."""
    assert VERSION == 1
    samples, snr = expected
    x, measured = frozen(*setting)
    # Other libraries may round otherwise; any change of a constant or a model is far above this.
    assert np.allclose(x, samples, rtol=0, atol=2e-4)
    assert abs(measured - snr) < 0.01


def frozen(front_end, geometry, codebook, gain, angle, beam):
    simulator = BeamSimulator(front_end, geometry, codebook, gain, aoa=angle is not None)
    x = simulator.capture(beam, 2, np.random.default_rng(2026), angle=angle, blocks=1)
    return x[1, 0, 1000:1004], simulator.snr_db(beam, angle=angle)
