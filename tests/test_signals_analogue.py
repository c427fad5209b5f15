# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The analogue and time signals: each is taken apart by a receiver written here from its standard."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from radiofm_ml.synth.signals import all_classes
from scipy.signal import firwin, hilbert, oaconvolve

LABELS = (
    "airband", "analog-video", "automatic-picture-transmission", "dcf77", "eloran", "fm", "sstv", "vor",
)  # fmt: skip


def make(label: str, duration: float, seed: int = 0, **fixed):
    return all_classes()[label].generate(np.random.default_rng(seed), duration, **fixed)


def low_pass(x: np.ndarray, cutoff: float, rate: float, taps: int = 401) -> np.ndarray:
    return oaconvolve(x, firwin(taps, cutoff, fs=rate), "same")


def occupied(x: np.ndarray, rate: float, low: float, high: float) -> float:
    """Share of the power between two frequencies."""
    power = np.abs(np.fft.fft(x)) ** 2
    f = np.fft.fftfreq(len(x), 1 / rate)
    return float(power[(f >= low) & (f <= high)].sum() / power.sum())


def every_variant():
    return [(label, variant) for label in LABELS for variant in all_classes()[label].variants or (None,)]


@pytest.mark.parametrize(("label", "variant"), every_variant())
def test_signal_keeps_its_contract(label, variant):
    kind = all_classes()[label]
    fixed = {"variant": variant} if variant else {}
    for seed, duration in enumerate(kind.span):
        signal = kind.generate(np.random.default_rng(seed), duration, **fixed)
        assert signal.iq.dtype == np.complex64
        assert len(signal.iq) == round(duration * signal.sample_rate)
        assert signal.variant == (variant or "")
        on = np.zeros(len(signal.iq), bool)
        for box in signal.emissions:
            assert 0 <= box.start and 0 < box.count and box.start + box.count <= len(on)
            on[box.start : box.start + box.count] = True
        assert on.any() and not signal.iq[~on].any()
        assert np.mean(np.abs(signal.iq[on]) ** 2) == pytest.approx(1, rel=1e-3)
        lower, upper = signal.emissions[0].lower, signal.emissions[0].upper
        assert -signal.sample_rate / 2 < lower < upper < signal.sample_rate / 2
        assert occupied(signal.iq, signal.sample_rate, lower, upper) > 0.985
        again = kind.generate(np.random.default_rng(seed), duration, **fixed)
        np.testing.assert_array_equal(signal.iq, again.iq)
    other = kind.generate(np.random.default_rng(99), kind.span[1], **fixed)
    assert not np.array_equal(other.iq, signal.iq)


# -- airband -------------------------------------------------------------------------------------------
def acars_blocks(audio: np.ndarray, rate: float) -> list[bytes]:
    """Differentially decoded MSK: whether the phase makes half a turn or a whole one in each bit; then the
    characters after SYN SYN SOH, and their check."""
    phase = np.unwrap(np.angle(hilbert(audio))) / np.pi
    sps = round(rate / 2400)
    turns = [np.diff(phase[first::sps]) for first in range(sps)]
    turn = min(turns, key=lambda t: np.abs(t - np.round(t)).mean())  # the bits' timing: the widest open eye
    text = "".join(map(str, np.cumsum(turn < 1.5) % 2))
    header = "".join(f"{c:08b}"[::-1] for c in (0x16, 0x16, 0x01))
    if header not in text:  # which level is a one is not known before
        text = text.translate(str.maketrans("01", "10"))
    found = []
    at = text.find(header)
    while at >= 0:
        octets = [int(text[k : k + 8][::-1], 2) for k in range(at + 24, len(text) - 7, 8)]
        end = next(k for k, c in enumerate(octets) if c & 0x7F == 0x03)
        assert all(c.bit_count() % 2 == 1 for c in octets[: end + 1])
        crc = 0
        for octet in octets[: end + 1]:
            crc ^= octet
            for _ in range(8):
                crc = crc >> 1 ^ 0x8408 * (crc & 1)
        assert crc == octets[end + 1] | octets[end + 2] << 8
        assert octets[end + 3] == 0x7F
        found.append(bytes(c & 0x7F for c in octets[:end]))
        at = text.find(header, at + 24)
    return found


def test_acars_reads():
    signal = make("airband", 6.0, seed=4, variant="acars")
    assert len(signal.truth["messages"]) > 1
    found = []
    for box in signal.emissions:
        envelope = np.abs(signal.iq[box.start : box.start + box.count])
        if box.start + box.count < len(signal.iq):
            found += acars_blocks(envelope - envelope.mean(), signal.sample_rate)
    for body, message in zip(found, signal.truth["messages"], strict=True):
        registration, _, rest = body[1:].partition(b"\x15")
        assert registration.decode() == message["registration"]
        assert rest[:2].decode() == message["label"]
        assert rest[4:].decode() == message["text"]


def test_voice_is_amplitude_modulation_in_bursts():
    signal = make("airband", 20.0, seed=1, variant="voice-25")
    assert len(signal.emissions) > 1
    for box in signal.emissions:
        part = signal.iq[box.start + 100 : box.start + box.count - 100]
        assert np.abs(part.imag).max() < 1e-6 and part.real.min() > 0  # a carrier that is never overmodulated
        depth = (part.real.max() - part.real.min()) / (part.real.max() + part.real.min())
        assert 0.3 < depth < 1


# -- VOR -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("bearing", [0.0, 37.5, 90.0, 271.0])
def test_vor_gives_the_bearing(bearing):
    signal = make("vor", 1.0, seed=7, bearing=bearing)
    rate = signal.sample_rate
    t = np.arange(len(signal.iq)) / rate
    envelope = np.abs(signal.iq)
    subcarrier = low_pass(envelope * np.exp(-2j * np.pi * 9960 * t), 800, rate)
    reference = np.angle(subcarrier[1:] * subcarrier[:-1].conj()) * rate / 2 / np.pi
    inner = slice(2000, 38000)  # whole turns, away from the filters' ends
    assert np.abs(reference[inner]).max() == pytest.approx(480, rel=0.05)
    turn = np.exp(-2j * np.pi * 30 * t[inner])
    phases = [np.angle(np.sum(x[inner] * turn)) for x in (reference, low_pass(envelope, 100, rate, 2001))]
    measured = np.degrees(phases[0] - phases[1]) % 360
    assert abs((measured - bearing + 180) % 360 - 180) < 0.5
    carrier = envelope[inner].mean()
    assert 2 * np.abs(np.mean(envelope[inner] * turn)) / carrier == pytest.approx(0.3, rel=0.02)
    assert 2 * np.abs(subcarrier[inner]).mean() / carrier == pytest.approx(0.3, rel=0.03)


# -- FM broadcasting -----------------------------------------------------------------------------------
def fm_multiplex(signal) -> np.ndarray:
    """The demodulated frequency, in Hz."""
    x = signal.iq
    return np.angle(x[1:] * x[:-1].conj()) * signal.sample_rate / 2 / np.pi


def tone_level(x: np.ndarray, frequency: float, rate: float) -> float:
    return 2 * float(np.abs(np.mean(x * np.exp(-2j * np.pi * frequency * np.arange(len(x)) / rate))))


def rds_bits(multiplex: np.ndarray, rate: float) -> np.ndarray:
    """The data bits: coherent with the pilot's third harmonic, matched to a biphase bit, then differences."""
    t = np.arange(len(multiplex)) / rate
    pilot = low_pass(multiplex * np.exp(-2j * np.pi * 19e3 * t), 500, rate, 4001)
    base = low_pass(multiplex * np.exp(-2j * np.pi * 57e3 * t), 2400, rate, 1001)
    base = base * (pilot.conj() / np.abs(pilot)) ** 3
    base = (base * np.exp(-0.5j * np.angle(np.mean(base**2)))).real  # in phase or in quadrature
    bit = round(rate / 1187.5)
    matched = oaconvolve(base, np.repeat([-1.0, 1.0], bit // 2), "same")[4000:-4000]
    first = max(range(0, bit, 4), key=lambda k: np.abs(matched[k::bit]).mean())
    return np.diff((matched[first::bit] > 0).astype(int)) % 2


def rds_groups(bits: np.ndarray) -> list[list[int]]:
    """Groups of four blocks whose 26 bits leave the syndromes of the offset words A, B, C and D."""

    def syndrome(word: int) -> int:
        for k in range(25, 9, -1):
            if word >> k & 1:
                word ^= 0x5B9 << (k - 10)
        return word

    groups, k = [], 0
    while k + 104 <= len(bits):
        words = [int("".join(map(str, bits[k + 26 * i : k + 26 * i + 26])), 2) for i in range(4)]
        if [syndrome(w) for w in words] == [0x0FC, 0x198, 0x168, 0x1B4]:
            groups.append([w >> 10 for w in words])
            k += 104
        else:
            k += 1
    return groups


def test_stereo_multiplex_and_rds_decode():
    signal = make("fm", 1.6, seed=11, variant="stereo-rds")
    rate, truth = signal.sample_rate, signal.truth
    multiplex = fm_multiplex(signal)
    assert 60e3 < np.abs(multiplex).max() < 78e3
    assert tone_level(multiplex, 19e3, rate) == pytest.approx(0.09 * 75e3, rel=0.02)
    assert tone_level(multiplex, 38e3, rate) < 200  # the stereo subcarrier is suppressed
    bits = rds_bits(multiplex, rate)
    groups = rds_groups(bits)
    assert len(groups) >= len(bits) // 104 - 2  # each, but those cut at the ends
    assert {g[0] for g in groups} == {truth["pi"]}
    name = {}
    for _, second, third, fourth in groups:
        assert second >> 5 & 31 == truth["pty"] and bool(second >> 10 & 1) == truth["tp"]
        if second >> 11 == 0b00000:
            name[second & 3] = bytes([fourth >> 8, fourth & 255]).decode()
            assert third & 255 == round(10 * truth["af"]) - 875
        else:
            assert second >> 11 == 0b00100
            at = 4 * (second & 15)
            text = bytes([third >> 8, third & 255, fourth >> 8, fourth & 255]).decode()
            assert text == truth["radiotext"][at : at + 4]
    assert "".join(name[k] for k in range(4)) == truth["ps"]


def test_rds_decodes_in_gr_rds():
    rds = pytest.importorskip("rds", reason="gr-rds is not installed")
    import pmt
    from gnuradio import blocks, gr

    signal = make("fm", 1.6, seed=12, variant="stereo-rds")
    bits = rds_bits(fm_multiplex(signal), signal.sample_rate)
    top, heard = gr.top_block(), blocks.message_debug()
    decoder, parser = rds.decoder(False, False), rds.parser(False, False, 0)
    top.connect(blocks.vector_source_b(bits.tolist()), decoder)
    top.msg_connect(decoder, "out", parser, "in")
    top.msg_connect(parser, "out", heard, "store")
    top.run()
    said = dict(pmt.to_python(heard.get_message(k)) for k in range(heard.num_messages()))
    assert said[0] == f"{signal.truth['pi']:04X}" and said[1] == signal.truth["ps"]
    text = said[4].strip()
    assert len(text) >= 12 and text in signal.truth["radiotext"]


def test_mono_station_has_nothing_above_its_audio():
    multiplex = fm_multiplex(make("fm", 0.4, seed=3, variant="mono"))
    power = np.abs(np.fft.rfft(multiplex * np.hanning(len(multiplex)))) ** 2
    f = np.fft.rfftfreq(len(multiplex), 1 / 456e3)
    assert power[f > 16e3].sum() < 1e-4 * power.sum()


# -- APT -----------------------------------------------------------------------------------------------
def test_apt_gives_the_picture():
    signal = make("automatic-picture-transmission", 2.5, seed=5)
    rate = signal.sample_rate
    subcarrier = fm_multiplex(signal)
    assert 15e3 < np.abs(subcarrier).max() < 17.2e3
    t = np.arange(len(subcarrier)) / rate
    envelope = 2 * np.abs(low_pass(subcarrier * np.exp(-2j * np.pi * 2400 * t), 2300, rate)) / 17e3
    word = int(rate / 4160)
    pixels = (envelope - 0.07) / 0.93
    # Both trains of pulses, 39 words each: seven cycles at 1040 Hz, and half a line later seven at 832 Hz.
    at = {}
    for name, cycle in (("a", "1100"), ("b", "11100")):
        train = np.repeat(np.array(["01".index(c) for c in ("0000" + 7 * cycle).ljust(39, "0")]) - 0.45, word)
        at[name] = int(np.argmax(np.correlate(pixels[: 2080 * word + len(train)], train, "valid")))
    half_line = (at["b"] - at["a"]) % (2080 * word)
    assert abs(half_line - 1040 * word) <= 4
    first = at["a"]
    skipped = round((first - signal.truth["start"]) / (2080 * word))
    assert abs(first - signal.truth["start"] - skipped * 2080 * word) <= 4
    count = (len(pixels) - first) // (2080 * word)
    assert count >= 3
    read = pixels[first : first + count * 2080 * word].reshape(count, 2080, word)[:, :, word // 2]
    sent = signal.truth["words"][skipped : skipped + count]
    assert np.abs(read - sent).mean() < 0.03
    scene = np.r_[86 : 86 + 909]
    assert np.corrcoef(read[:, scene].ravel(), sent[:, scene].ravel())[0, 1] > 0.99


# -- SSTV ----------------------------------------------------------------------------------------------
def sstv_tone(signal) -> np.ndarray:
    """The frequency of the tone, sample by sample, from single sideband (either) or narrow FM."""
    x, rate = signal.iq, signal.sample_rate
    if signal.variant.endswith("nfm"):
        x = hilbert(fm_multiplex(signal))
    elif signal.emissions[0].upper < 0:
        x = x.conj()
    return np.angle(x[1:] * x[:-1].conj()) * rate / 2 / np.pi


def read_vis(tone: np.ndarray, rate: float) -> int:
    """From the header at the start: after 610 ms a start bit, seven bits, parity and stop, 30 ms each."""
    bits = [tone[round((0.625 + 0.030 * k) * rate) - 60 :][:120].mean() for k in range(10)]
    assert bits[0] == pytest.approx(1200, abs=15) and bits[9] == pytest.approx(1200, abs=15)
    for level in bits[1:9]:
        assert min(abs(level - 1100), abs(level - 1300)) < 15
    ones = [int(level < 1200) for level in bits[1:9]]
    assert sum(ones) % 2 == 0
    return sum(one << k for k, one in enumerate(ones[:7]))


@pytest.mark.parametrize(
    ("variant", "vis", "period", "sync", "green", "scan"),
    [  # ms: line, its pulse, from the pulse's start to green (luminance), green's scan
        ("martin-m1-ssb", 44, 446.446, 4.862, 5.434, 146.432),
        ("martin-m2-nfm", 40, 226.798, 4.862, 5.434, 73.216),
        ("scottie-s1-nfm", 60, 428.22, 9.0, 150.24, 138.24),
        ("scottie-s2-ssb", 56, 277.692, 9.0, 100.064, 88.064),
        ("robot-36-ssb", 8, 150.0, 9.0, 12.0, 88.0),
    ],
)
def test_sstv_header_lines_and_picture(variant, vis, period, sync, green, scan):
    signal = make("sstv", 5.0, seed=21, variant=variant, start=0.0)
    rate, tone = signal.sample_rate, sstv_tone(signal)
    assert read_vis(tone, rate) == vis == signal.truth["vis"]
    body = round(0.91 * rate)
    width = round(sync * rate / 1e3)
    pulse = np.convolve(tone[body:] < 1350, np.ones(width), "same") > 0.8 * width
    rises = np.flatnonzero(np.diff(pulse.astype(int)) == 1) / rate * 1e3
    falls = np.flatnonzero(np.diff(pulse.astype(int)) == -1) / rate * 1e3
    middles = (rises[: len(falls)] + falls[: len(rises)]) / 2
    if variant.startswith("scottie"):
        middles = middles[1:]  # the first pulse starts the picture, the others are before red
    assert np.diff(middles) == pytest.approx(np.full(len(middles) - 1, period), abs=0.3)
    rgb = signal.truth["rgb"]
    wanted = rgb @ [0.299, 0.587, 0.114] if variant.startswith("robot") else rgb[..., 1]
    smooth = low_pass(tone, 1500, rate, 31)
    read = []
    for k, middle in enumerate(middles):
        begin = body / rate * 1e3 + middle - sync / 2 + green
        k += variant.startswith("scottie")  # green of the next line follows red
        at = (begin + (np.arange(320) + 0.5) * scan / 320) * rate / 1e3
        if at[-1] < len(tone) and k < len(wanted):
            read.append(np.corrcoef(np.interp(at, np.arange(len(tone)), smooth), wanted[k])[0, 1])
    assert len(read) > 5 and np.median(read) > 0.9


# -- DCF77 ---------------------------------------------------------------------------------------------
def dcf77_chips() -> np.ndarray:
    """The maximum length sequence of x^9 + x^4 + 1 from its printed beginning, a zero before it."""
    chips = [0, 0, 0, 0, 1, 0, 0, 0, 1]
    while len(chips) < 511:
        chips.append(chips[-9] ^ chips[-5])
    assert "".join(map(str, [0, *chips[:34]])) == "00000100011000010011100101010110000"
    return np.array([0, *chips])


def dcf77_bits(x: np.ndarray, rate: float) -> tuple[list[int], list[int], float]:
    """What the amplitude says each second (1 or 0, -1: no mark), what the phase says, and where the first
    second starts, from the correlation of the phase with the chips."""
    t = np.arange(len(x)) / rate
    carrier = low_pass(x, 5, rate, 4001)
    offset = np.angle(np.sum(carrier[1:] * carrier[:-1].conj())) * rate / 2 / np.pi
    x = x * np.exp(-2j * np.pi * offset * t)
    carrier = low_pass(x, 3, rate, 4001)
    x = x * np.exp(-1j * np.angle(carrier)) / np.median(np.abs(carrier))
    at = (np.arange(int(512 * 120 / 77500 * rate)) / rate * 77500 / 120).astype(int)
    chips = 2.0 * dcf77_chips()[at] - 1
    match = oaconvolve(x.imag, (chips - chips.mean())[::-1], "valid")
    starts = (np.arange(int((len(match) - 20) / rate)) * rate)[:, None]
    energy = [np.abs(match[(starts + k).astype(int)]).sum() for k in range(int(rate))]
    first = int(np.argmax(energy)) - 0.2 * rate
    first += rate * (first < 0)
    envelope = low_pass(np.abs(x), 40, rate, 401)
    amplitude, phase = [], []
    for k in np.arange(first, len(x) - rate, rate).astype(int):
        early, late, reference = (
            envelope[k + round(a * rate) : k + round(b * rate)].mean()
            for a, b in ((0.03, 0.08), (0.13, 0.18), (0.3, 0.9))
        )
        amplitude.append(-1 if early > 0.6 * reference else int(late < 0.6 * reference))
        near = match[k + round(0.2 * rate) - 5 :][:10]
        phase.append(int(near[np.argmax(np.abs(near))] < 0))
    return amplitude, phase, first


def test_dcf77_tells_the_time():
    start = datetime(2031, 8, 27, 13, 58, 58, 250000, tzinfo=UTC)
    signal = make("dcf77", 64.0, seed=2, start=start)
    amplitude, phase, first = dcf77_bits(signal.iq, signal.sample_rate)
    assert first / signal.sample_rate == pytest.approx(0.75, abs=2e-3)
    assert amplitude[0] == -1  # second 59
    bits = amplitude[1:60]
    assert bits[0] == 0 and bits[20] == 1 and len(bits) == 59 and -1 not in bits
    for begin, end in ((21, 29), (29, 36), (36, 59)):
        assert sum(bits[begin:end]) % 2 == 0

    def bcd(begin: int, end: int) -> int:
        return sum(w * b for w, b in zip((1, 2, 4, 8, 10, 20, 40, 80), bits[begin:end], strict=False))

    # The minute that is told is the one that follows the bits.
    assert (bcd(21, 28), bcd(29, 35), bcd(36, 42), bcd(45, 50), bcd(50, 58)) == (0, 14, 27, 8, 31)
    assert sum(w * b for w, b in zip((1, 2, 4), bits[42:45], strict=True)) == 3  # a Wednesday
    assert phase[1:11] == [1] * 10 and phase[11:16] == [0] * 5
    assert phase[16:60] == bits[15:]


def test_dcf77_reads_as_the_air_does(data_dir):
    """The same receiver on recordings of 2017: the minute's phase pattern, and the phase's bits as ours."""
    files = sorted((data_dir / "iq" / "dcf77").glob("*.sigmf-data"))
    if not files:
        pytest.skip("no recordings of DCF77")
    for path in files:
        x = np.fromfile(path, np.int16).astype(np.float32).view(np.complex64)
        amplitude, phase, _ = dcf77_bits(x, 12000.0)
        minute = amplitude.index(-1) + 1
        assert phase[minute : minute + 10] == [1] * 10 and phase[minute + 10 : minute + 15] == [0] * 5
        assert amplitude[minute] == 0


# -- Loran-C -------------------------------------------------------------------------------------------
def test_eloran_groups_and_phase_codes():
    signal = make("eloran", 0.6, seed=6, stations=7)
    rate, truth, x = signal.sample_rate, signal.truth, signal.iq
    codes = {  # of the signal specification: master and secondary, group A and group B
        (True, 0): "++--+-+-+", (True, 1): "+--+++++-", (False, 0): "+++++--+", (False, 1): "+-+-++--",
    }  # fmt: skip
    checked = 0
    for delay in truth["delays"]:
        for k in range(int(0.6 / truth["gri"]) + 1):
            group = truth["begin"] + k * truth["gri"] + delay
            if group < 0 or group + 0.0105 > 0.6:
                continue
            # Each pulse peaks 65 us after its start; its phase is the carrier's, turned for a minus.
            code = codes[delay == 0, (k + truth["parity"]) % 2]
            offsets = [0, 1, 2, 3, 4, 5, 6, 7, 9][: len(code)]
            peaks = np.array([x[round((group + 1e-3 * j + 65e-6) * rate)] for j in offsets])
            signs = np.sign((peaks * peaks[0].conj()).real)
            assert "".join("+" if s > 0 else "-" for s in signs) == code
            assert np.abs(peaks).std() < 0.05 * np.abs(peaks).mean()
            assert x[round((group + 8.1e-3) * rate)] == 0  # a master's ninth pulse is a ms later
            checked += 1
    assert checked >= 7
    assert len({round(e.count / rate, 4) for e in signal.emissions}) <= 4


# -- Analogue video ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("variant", "line_rate", "subcarrier", "broad_pulses"),
    [("ntsc", 15734.266, 3579545.45, 6), ("pal", 15625.0, 4433618.75, 5)],
)
def test_video_lines_fields_and_colour(variant, line_rate, subcarrier, broad_pulses):
    signal = make("analog-video", 0.036, seed=8, variant=variant)
    rate = signal.sample_rate
    video = low_pass(fm_multiplex(signal), 5.5e6, rate, 63) / signal.truth["deviation"]
    level = low_pass(video, 1e6, rate, 63)
    tip = np.percentile(level, 1)
    low = level < tip + 0.15
    falls = np.flatnonzero(np.diff(low.astype(int)) == 1)
    rises = np.flatnonzero(np.diff(low.astype(int)) == -1)
    rises = rises[rises > falls[0]]
    width = (rises[: len(falls)] - falls[: len(rises)]) / rate * 1e6
    lines = falls[: len(width)][np.abs(width - 4.7) < 0.4]
    period = np.median(np.diff(lines)) / rate
    assert 1 / period == pytest.approx(line_rate, rel=1e-3)
    count = np.round(np.diff(lines) * line_rate / rate)
    assert count.sum() / ((lines[-1] - lines[0]) / rate) == pytest.approx(line_rate, rel=1e-5)
    broad = falls[: len(width)][np.abs(width - 27.3) < 1]
    groups = np.split(broad, np.flatnonzero(np.diff(broad) > 1e-3 * rate) + 1)
    assert broad_pulses in {len(g) for g in groups}
    # The burst: nine or ten cycles on the back porch of every line, at the colour subcarrier.
    t = np.arange(len(video)) / rate
    colour = video * np.exp(-2j * np.pi * subcarrier * t)
    bursts = np.array([colour[at + int(5.8e-6 * rate) : at + int(7.6e-6 * rate)].mean() for at in lines[:60]])
    assert np.abs(bursts).mean() * 2 == pytest.approx(0.2, abs=0.05)
    if variant == "ntsc":  # on the same phase in all lines
        assert np.abs(np.mean(bursts / np.abs(bursts))) > 0.95
    else:  # swinging by 90 degrees from line to line
        swing = np.abs(np.degrees(np.angle(bursts[1:] * bursts[:-1].conj())))
        assert np.median(swing) == pytest.approx(90, abs=8)
