# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Tests of the stft block in a flowgraph."""

import subprocess
import sys
import time
import unittest
from fractions import Fraction

import numpy as np
import pmt
from gnuradio import blocks, gr, gr_unittest, radiofm
from gnuradio.fft import window

try:
    from scipy.signal import ShortTimeFFT
except ImportError:  # SciPy before 1.12
    ShortTimeFFT = None

FLOOR = 1e-20


class chunked_source(gr.sync_block):
    """Delivers `data` and `tags` in chunks of random size; calls `on_sample[n]()` before sample n."""

    def __init__(self, data, tags=(), max_chunk=1000, seed=0, on_sample=()):
        gr.sync_block.__init__(self, "chunked_source", None, [np.complex64])
        self.data, self.tags = data, sorted(tags, key=lambda tag: tag[0])
        self.max_chunk, self.seed = max_chunk, seed
        self.on_sample = dict(on_sample)

    def start(self):
        self.sent, self.pending = 0, list(self.tags)
        self.actions = sorted(self.on_sample.items())
        self.random = np.random.default_rng(self.seed)
        return True

    def work(self, input_items, output_items):
        out = output_items[0]
        n = min(len(out), len(self.data) - self.sent, int(self.random.integers(1, self.max_chunk + 1)))
        if n == 0:
            return -1
        if self.actions and self.actions[0][0] <= self.sent:
            self.actions.pop(0)[1]()
        while self.pending and self.pending[0][0] < self.sent + n:
            self.add_item_tag(0, *self.pending.pop(0))
        out[:n] = self.data[self.sent:self.sent + n]
        self.sent += n
        return n


def count_rows(samples, fft_size, hop, averaging):
    """The documented tail rule."""
    transforms = 0 if samples < fft_size else (samples - fft_size) // hop + 1
    return transforms // averaging


def reference_bins(x, taps, hop, shift):
    """Every complete transform by definition, in double precision: (transforms, fft_size)."""
    transforms = count_rows(len(x), len(taps), hop, 1)
    if transforms == 0:
        return np.zeros((0, len(taps)), complex)
    frames = np.lib.stride_tricks.sliding_window_view(x.astype(complex), len(taps))[::hop]
    bins = np.fft.fft(frames * (taps / taps.sum()))
    return np.fft.fftshift(bins, axes=1) if shift else bins


def averaged_power(bins, averaging):
    rows = len(bins) // averaging
    power = np.abs(bins[:rows * averaging]) ** 2
    return power.reshape(rows, averaging, bins.shape[1]).mean(axis=1)


def on_scale(power, output):
    if output == "db":
        return 10 * np.log10(np.maximum(power, FLOOR))
    return np.sqrt(power) if output == "magnitude" else power


def signal(n, seed):
    """Noise 60 dB below two tones."""
    random = np.random.default_rng(seed)
    t = np.arange(n)
    x = np.exp(2j * np.pi * random.random() * t) + 0.3 * np.exp(2j * np.pi * random.random() * t)
    x += 1e-3 * (random.standard_normal(n) + 1j * random.standard_normal(n))
    return x.astype(np.complex64)


def random_parameters(seed):
    random = np.random.default_rng(seed)
    fft_size = int(random.choice([8, 64, 256, 512, 1024, 4096, *random.integers(8, 1500, 6)]))
    hop = int(random.choice([1, 7, fft_size // 4, fft_size // 2, fft_size, fft_size + 1,
                             3 * fft_size, random.integers(1, 2 * fft_size)]))
    averaging = int(random.choice([1, 1, 2, 5, 16]))
    span = hop * averaging
    samples = int(random.choice([0, fft_size - 1, fft_size, fft_size + random.integers(0, 8 * span)]))
    return dict(fft_size=fft_size, hop=hop, averaging=averaging, samples=min(samples, 20000),
                window=int(random.choice([window.WIN_HANN, window.WIN_BLACKMAN_HARRIS, window.WIN_KAISER,
                                          window.WIN_RECTANGULAR, window.WIN_HAMMING])),
                shift=bool(random.integers(2)), chunk=int(random.choice([30, 200, 5000, 1000000])))


class qa_stft(gr_unittest.TestCase):
    def rows(self, stft, x, tags=(), chunk=100000, seed=0, on_sample=(), max_rows=None):
        """Run x through the block; return its rows and keep the sink for its tags."""
        complex_rows = stft.output() == "complex"
        if max_rows:
            stft.set_max_noutput_items(max_rows)
        self.tb = gr.top_block()
        self.source = chunked_source(x, tags, chunk, seed, on_sample)
        self.stft = stft
        self.sink = (blocks.vector_sink_c if complex_rows else blocks.vector_sink_f)(stft.fft_size())
        self.tb.connect(self.source, self.stft, self.sink)
        self.tb.run()
        dtype = np.complex64 if complex_rows else np.float32
        return np.array(self.sink.data(), dtype).reshape(-1, stft.fft_size())

    def once_read(self, stft, samples, change):
        """An action for on_sample: change the settings when stft has taken in so many samples."""
        def action():
            deadline = time.monotonic() + 60
            while stft.nitems_read(0) < samples and time.monotonic() < deadline:
                time.sleep(0.001)
            change(stft)
        return action

    def assert_db_close(self, measured, power):
        """The accuracy that float32 can give, measured from each row's peak."""
        self.assertEqual(measured.shape, power.shape)
        if not len(power):
            return
        peak = power.max(axis=1, keepdims=True)
        error = np.abs(measured - on_scale(power, "db"))
        self.assertLessEqual(error[power >= peak * 1e-4].max(), 1e-4)
        self.assertLessEqual(error[power >= peak * 1e-8].max(), 5e-3)

    def assert_close(self, measured, bins, averaging, output):
        power = averaged_power(bins, averaging)
        if output == "db":
            self.assert_db_close(measured, power)
        elif output == "complex":
            self.assertEqual(measured.shape, bins.shape)
            np.testing.assert_allclose(measured, bins, rtol=0, atol=2e-6)
        else:
            self.assertEqual(measured.shape, power.shape)
            np.testing.assert_allclose(measured, on_scale(power, output), rtol=2e-5, atol=1e-6)

    # ---- values ---------------------------------------------------------------------

    @unittest.skipIf(ShortTimeFFT is None, "needs scipy.signal.ShortTimeFFT (SciPy 1.12)")
    def test_agrees_with_scipy(self):
        for seed in range(40):
            p = random_parameters(seed)
            with self.subTest(seed=seed, **p):
                taps = np.array(window.build(p["window"], p["fft_size"], 6.76))
                x = signal(p["samples"], seed)
                stft = radiofm.stft(p["fft_size"], p["hop"], p["window"], p["averaging"],
                                    shift=p["shift"])
                measured = self.rows(stft, x, chunk=p["chunk"], seed=seed)

                scipy = ShortTimeFFT(taps / taps.sum(), p["hop"], fs=1, phase_shift=None,
                                     fft_mode="centered" if p["shift"] else "twosided")
                # SciPy centres slice q on sample q hop: zeros before x bring the starts together.
                first = -(-scipy.m_num_mid // p["hop"])
                padded = np.concatenate([np.zeros(first * p["hop"] - scipy.m_num_mid), x])
                transforms = count_rows(len(x), p["fft_size"], p["hop"], 1)
                bins = np.zeros((0, p["fft_size"]), complex)
                if transforms:
                    padded = np.concatenate([padded, np.zeros(2 * p["fft_size"])])
                    bins = scipy.stft(padded, p0=first, p1=first + transforms).T
                self.assert_db_close(measured, averaged_power(bins, p["averaging"]))

    def test_every_output_follows_the_definition(self):
        for seed in range(100, 125):
            p = random_parameters(seed)
            for output in ("db", "power", "magnitude", "complex"):
                averaging = 1 if output == "complex" else p["averaging"]
                with self.subTest(seed=seed, output=output, **p):
                    taps = np.array(window.build(p["window"], p["fft_size"], 6.76))
                    x = signal(p["samples"], seed)
                    stft = radiofm.stft(p["fft_size"], p["hop"], p["window"], averaging, output,
                                        p["shift"])
                    measured = self.rows(stft, x, chunk=max(p["chunk"], 50), seed=seed)
                    bins = reference_bins(x, taps, p["hop"], p["shift"])
                    self.assert_close(measured, bins, averaging, output)

    def test_full_scale_tone_reads_0_db(self):
        for fft_size in (64, 100, 1024):
            tone = np.exp(2j * np.pi * 10 / fft_size * np.arange(5 * fft_size)).astype(np.complex64)
            db = self.rows(radiofm.stft(fft_size, fft_size), tone)
            np.testing.assert_array_equal(db.argmax(axis=1), [fft_size // 2 + 10] * 5)
            np.testing.assert_allclose(db.max(axis=1), 0, atol=1e-4)

    def test_every_window_of_gnu_radio(self):
        x = signal(1000, 1)
        for kind in window.win_type.__members__.values():
            with self.subTest(window=kind):
                built = window.WIN_RECTANGULAR if int(kind) == -1 else kind
                taps = np.array(window.build(built, 50, 0.8))
                stft = radiofm.stft(50, 20, kind, output="complex", window_param=0.8)
                np.testing.assert_allclose(stft.taps(), taps, rtol=1e-6)
                self.assert_close(self.rows(stft, x), reference_bins(x, taps, 20, True), 1, "complex")

    def test_own_taps(self):
        x, taps = signal(500, 2), np.random.default_rng(2).standard_normal(37).astype(np.float32) + 1
        measured = self.rows(radiofm.stft(37, 11, taps.tolist(), output="complex"), x)
        self.assert_close(measured, reference_bins(x, taps.astype(float), 11, True), 1, "complex")

    def test_huge_transform_and_huge_hop(self):
        x = signal(1 << 19, 3)
        for fft_size, hop, rows in ((1 << 18, 100000, 3), (8, 200000, 3), (1 << 19, 1, 1)):
            with self.subTest(fft_size=fft_size, hop=hop):
                taps = np.array(window.build(window.WIN_HANN, fft_size, 0))
                measured = self.rows(radiofm.stft(fft_size, hop), x, chunk=1 << 20)
                self.assertEqual(len(measured), rows)
                self.assert_close(measured, reference_bins(x, taps, hop, True), 1, "db")

    def test_silence_nan_inf_and_denormals(self):
        fft_size, hop = 64, 32
        x = signal(4096, 4)
        clean = self.rows(radiofm.stft(fft_size, hop), x)
        for value in (np.nan, np.inf, 1e30):
            spoiled = x.copy()
            spoiled[1000] = value
            rows = self.rows(radiofm.stft(fft_size, hop), spoiled)
            hit = [r for r in range(len(rows)) if r * hop <= 1000 < r * hop + fft_size]
            self.assertFalse(np.isfinite(rows[hit]).all(axis=1).any())
            np.testing.assert_array_equal(np.delete(rows, hit, 0), np.delete(clean, hit, 0))
        for quiet in (0.0, 1e-42, 1e-20):
            rows = self.rows(radiofm.stft(fft_size, hop), np.full(4096, quiet, np.complex64))
            np.testing.assert_allclose(rows, -200, atol=1e-4)
            rows = self.rows(radiofm.stft(fft_size, hop, output="power"),
                             np.full(4096, quiet, np.complex64))
            self.assertLess(rows.max(), FLOOR)

    # ---- chunks, tail, restart ------------------------------------------------------

    def test_chunking_changes_nothing(self):
        for fft_size, hop, averaging in ((64, 16, 1), (64, 16, 3), (20, 64, 1), (20, 64, 4), (64, 64, 1)):
            x = signal(3000, 5)
            whole = self.rows(radiofm.stft(fft_size, hop, averaging=averaging), x)
            self.assertEqual(len(whole), count_rows(len(x), fft_size, hop, averaging))
            for chunk, max_rows in ((1, None), (3, 1), (fft_size, 2), (777, 7), (3000, 1)):
                with self.subTest(fft_size=fft_size, hop=hop, chunk=chunk, max_rows=max_rows):
                    stft = radiofm.stft(fft_size, hop, averaging=averaging)
                    rows = self.rows(stft, x, chunk=chunk, seed=chunk, max_rows=max_rows)
                    np.testing.assert_array_equal(rows, whole)

    def test_flowgraph_wide_chunk_limit(self):
        x = signal(5000, 6)
        stft = radiofm.stft(64, 16)
        whole = self.rows(stft, x)
        self.sink.reset()
        self.tb.run(3)
        np.testing.assert_array_equal(np.array(self.sink.data()).reshape(-1, 64), whole)

    def test_every_row_of_a_long_input_is_delivered(self):
        self.tb = gr.top_block()
        self.source = blocks.null_source(gr.sizeof_gr_complex)
        self.head = blocks.head(gr.sizeof_gr_complex, 3000000 + 255)
        self.stft = radiofm.stft(1024, 256)
        self.sink = blocks.null_sink(4 * 1024)
        self.tb.connect(self.source, self.head, self.stft, self.sink)
        self.tb.run()
        self.assertEqual(self.sink.nitems_read(0), count_rows(3000255, 1024, 256, 1))

    def test_restart(self):
        x = signal(10001, 7)
        tags = [(5000, pmt.intern("rx_rate"), pmt.from_double(5.0)),
                (20, pmt.intern("rx_time"), pmt.make_tuple(pmt.from_uint64(100), pmt.from_double(0.0)))]
        stft = radiofm.stft(100, 30, averaging=3, samp_rate=10)
        asked = stft.output_multiple()  # how it asks for large buffers
        self.assertGreater(asked, 1)
        first = self.rows(stft, x, tags)
        self.assertEqual(stft.output_multiple(), asked)
        times = [(t.offset, pmt.to_python(t.value)) for t in self.sink.tags()]
        self.sink.reset()
        self.tb.run()
        np.testing.assert_array_equal(np.array(self.sink.data()).reshape(-1, 100), first)
        self.assertEqual([(t.offset, pmt.to_python(t.value)) for t in self.sink.tags()], times)

    # ---- tags -----------------------------------------------------------------------

    def test_tags_land_on_the_row_of_their_sample(self):
        for seed in range(200, 225):
            p = random_parameters(seed)
            random = np.random.default_rng(seed)
            samples = max(p["samples"], p["fft_size"])
            tags = [(int(random.integers(samples)), pmt.intern(str(random.choice(["rx_freq", "burst"]))),
                     pmt.from_long(i), pmt.intern(f"source {i}")) for i in range(50)]
            with self.subTest(seed=seed, **p):
                stft = radiofm.stft(p["fft_size"], p["hop"], averaging=p["averaging"])
                rows = self.rows(stft, signal(samples, seed), tags, p["chunk"], seed,
                                 max_rows=int(random.integers(1, 9)))
                got = sorted((t.offset, pmt.to_python(t.key), pmt.to_python(t.value),
                              pmt.to_python(t.srcid)) for t in self.sink.tags())
                span = p["hop"] * p["averaging"]
                expected = sorted((s // span, pmt.to_python(key), pmt.to_python(value), pmt.to_python(src))
                                  for s, key, value, src in tags if s // span < len(rows))
                self.assertEqual(got, expected)

    def test_rx_time_is_moved_to_the_rows_first_sample(self):
        def time_tag(sample, seconds, fraction):
            return (sample, pmt.intern("rx_time"),
                    pmt.make_tuple(pmt.from_uint64(seconds), pmt.from_double(fraction)))

        def rate_tag(sample, rate):
            return sample, pmt.intern("rx_rate"), pmt.from_double(rate)

        # (sample, time as an exact fraction, the rate in force)
        tags = [rate_tag(0, 1000.0),
                time_tag(0, 7, 0.5), time_tag(130, 1700000000, 0.25), time_tag(1003, 1700000001, 0.0),
                # The rate comes after the time of the same sample, and belongs to it.
                time_tag(2050, 1700000002, 1e-6), rate_tag(2050, 3.2e6),
                time_tag(3999, 1700000003, 0.9999999), time_tag(4000, 1700000004, 0.1)]
        rate = {0: 1000.0, 130: 1000.0, 1003: 1000.0, 2050: 3.2e6, 3999: 3.2e6, 4000: 3.2e6}
        for chunk in (1, 64, 100000):
            for fft_size, hop, averaging in ((64, 32, 1), (64, 32, 4), (16, 50, 2), (100, 400, 1)):
                with self.subTest(chunk=chunk, fft_size=fft_size, hop=hop, averaging=averaging):
                    stft = radiofm.stft(fft_size, hop, averaging=averaging)
                    self.rows(stft, signal(8000, 8), tags, chunk)
                    got = sorted((t.offset, Fraction(pmt.to_uint64(pmt.tuple_ref(t.value, 0))) +
                                  Fraction(pmt.to_double(pmt.tuple_ref(t.value, 1))),
                                  pmt.to_double(pmt.tuple_ref(t.value, 1)))
                                 for t in self.sink.tags() if pmt.eq(t.key, pmt.intern("rx_time")))
                    span, expected = hop * averaging, []
                    for sample, key, value in tags:
                        if pmt.eq(key, pmt.intern("rx_time")):
                            time = (Fraction(pmt.to_uint64(pmt.tuple_ref(value, 0))) +
                                    Fraction(pmt.to_double(pmt.tuple_ref(value, 1))))
                            row = sample // span
                            expected.append((row, time - (sample - row * span) / Fraction(rate[sample])))
                    self.assertEqual([g[0] for g in got], sorted(e[0] for e in expected))
                    for (_, time, fraction), (_, wanted) in zip(got, sorted(expected), strict=True):
                        self.assertLess(abs(time - wanted), Fraction(1, 10**12))
                        self.assertTrue(0 <= fraction < 1)

    def tags_out(self, tags, **settings):
        """(row, key, value) of what comes out of tags (sample, key, value), and the count of bad ones."""
        tags = [(sample, pmt.intern(key), value) for sample, key, value in tags]
        stft = radiofm.stft(32, 32, **settings)
        rows = self.rows(stft, signal(320, 9), tags)
        self.assertEqual(len(rows), 10)
        return sorted((t.offset, pmt.symbol_to_string(t.key), pmt.to_python(t.value))
                      for t in self.sink.tags()), stft.bad_tags()

    def test_numbers_and_times_in_every_form_mean_the_same(self):
        kinds = [pmt.from_double, lambda v: pmt.from_uint64(int(v)), lambda v: pmt.from_long(int(v))]
        expected = [(0, "rx_rate"), (1, "rx_time"), (2, "rx_freq")]
        for kind in kinds:
            for two in (pmt.make_tuple, pmt.cons, pmt.list2):
                got, bad = self.tags_out([(0, "rx_rate", kind(1000)), (64, "rx_freq", kind(1e8)),
                                          (40, "rx_time", two(kind(100), pmt.from_double(0.5)))])
                self.assertEqual([g[:2] for g in got], expected)
                self.assertEqual((got[0][2], got[2][2], got[1][2][0]), (1000.0, 1e8, 100))
                self.assertAlmostEqual(got[1][2][1], 0.492, delta=1e-12)
                self.assertEqual(bad, 0)
        got, _ = self.tags_out([(0, "rx_time", pmt.from_double(3.5))])  # one number of seconds
        self.assertEqual(got, [(0, "rx_time", (3, 0.5))])

    def test_tags_that_cannot_be_read_are_left_out_alone(self):
        nan, good = float("nan"), pmt.make_tuple(pmt.from_uint64(7), pmt.from_double(0.0))
        no_text = pmt.deserialize_str(b"\x02\x00\x03\xff\xfe\xfd")  # a symbol that is not UTF-8
        bad = [("rx_rate", value) for value in (
            pmt.intern("fast"), pmt.from_double(-1.0), pmt.from_double(nan), pmt.from_complex(1j),
            pmt.PMT_T, pmt.from_uint64(0), pmt.from_uint64(2**64 - 1), no_text)]
        bad += [("rx_time", value) for value in (
            pmt.PMT_NIL, pmt.from_double(-3.0), pmt.from_double(nan), no_text,
            pmt.make_tuple(no_text, no_text),
            pmt.make_tuple(pmt.from_uint64(2**64 - 1), pmt.from_double(0.0)),
            pmt.make_tuple(pmt.from_uint64(100), pmt.from_double(nan)), pmt.make_tuple(pmt.from_long(-1)),
            pmt.make_tuple(pmt.from_long(-1), pmt.from_double(0.0)))]
        bad += [("rx_freq", value) for value in (pmt.from_double(nan), pmt.from_double(1e300), pmt.PMT_NIL)]
        tags = [(40, key, value) for key, value in bad]
        tags.insert(5, (40, "rx_time", good))
        tags += [(40, "rx_freq", pmt.from_double(1e8)), (40, "mark", no_text)]
        stft = radiofm.stft(32, 32, samp_rate=1000)
        rows = self.rows(stft, signal(320, 9), [(s, pmt.intern(k), v) for s, k, v in tags] + [
            (50, no_text, pmt.from_long(3))])
        self.assertEqual((len(rows), stft.bad_tags()), (10, len(bad)))
        got = [t for t in self.sink.tags()]
        self.assertEqual([t.offset for t in got], [1] * 4)
        times = [pmt.to_python(t.value) for t in got if pmt.eq(t.key, pmt.intern("rx_time"))]
        self.assertEqual(times, [(6, 0.992)])
        self.assertEqual(sum(pmt.eq(t.value, no_text) for t in got), 1)
        self.assertEqual(sum(pmt.eq(t.key, no_text) for t in got), 1)

    def test_a_clock_set_to_zero_gives_the_next_row_its_time(self):
        zero = pmt.make_tuple(pmt.from_uint64(0), pmt.from_double(0.0))
        got, bad = self.tags_out([(80, "rx_time", zero)], samp_rate=1000)
        self.assertEqual([(row, key, time[0]) for row, key, time in got], [(3, "rx_time", 0)])
        self.assertAlmostEqual(got[0][2][1], 0.016, delta=1e-12)
        self.assertEqual(bad, 0)

    def test_what_is_stated_wins_and_zero_means_as_the_tags_say(self):
        rate, time = pmt.from_double(4000.0), pmt.make_tuple(pmt.from_uint64(9), pmt.from_double(0.5))
        for stated, in_force in ((1000.0, 1000.0), (0.0, 4000.0)):
            got, bad = self.tags_out([(0, "rx_rate", rate), (40, "rx_time", time)], samp_rate=stated)
            self.assertEqual(got[0], (0, "rx_rate", in_force))
            self.assertAlmostEqual(got[1][2][1], 0.5 - 8 / in_force, delta=1e-12)
        got, bad = self.tags_out([(32, "rx_time", time), (40, "rx_time", time)])  # no rate at all
        self.assertEqual((got, bad), ([(1, "rx_time", (9, 0.5))], 1))

    def test_a_contradiction_and_bad_tags_are_logged_once(self):
        script = ("import pmt\nfrom gnuradio import blocks, gr, radiofm\n"
                  "def tag(at, key, value):\n"
                  "    return gr.tag_utils.python_to_tag((at, pmt.intern(key), value))\n"
                  "tags = [tag(k, 'rx_rate', pmt.from_double(1e6)) for k in range(9)]\n"
                  "tags += [tag(k, 'rx_time', pmt.PMT_NIL) for k in range(9)]\n"
                  "tb = gr.top_block()\n"
                  "tb.connect(blocks.vector_source_c([0] * 320, False, 1, tags),\n"
                  "           radiofm.stft(32, 32, samp_rate=250e3), blocks.null_sink(128))\n"
                  "tb.run()\n")
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
        said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        self.assertEqual(len(said), 2, said)
        self.assertTrue(any("set to 250000" in line and "says 1000000" in line for line in said), said)
        self.assertTrue(any("rx_time is left out" in line for line in said), said)

    # ---- setters --------------------------------------------------------------------

    def test_setters_before_the_run(self):
        x = signal(4000, 10)
        stft = radiofm.stft(64, 32)
        stft.set_window(window.WIN_KAISER, 9.0)
        stft.set_averaging(3)
        stft.set_output("magnitude")
        taps = np.array(window.build(window.WIN_KAISER, 64, 9.0))
        self.assertEqual((stft.averaging(), stft.output()), (3, "magnitude"))
        self.assertEqual((stft.fft_size(), stft.hop(), stft.shift()), (64, 32, True))
        self.assert_close(self.rows(stft, x), reference_bins(x, taps, 32, True), 3, "magnitude")

    def test_setters_in_a_run_take_effect_at_a_row(self):
        fft_size, hop = 64, 48
        x = signal(60000, 11)
        before = np.array(window.build(window.WIN_HANN, fft_size, 0))
        after = np.array(window.build(window.WIN_FLATTOP, fft_size, 0))
        for seed in range(5):
            stft = radiofm.stft(fft_size, hop, averaging=4, output="power")

            def change(stft):
                stft.set_window(after.tolist())
                stft.set_averaging(3)

            action = self.once_read(stft, 25000, change)
            rows = self.rows(stft, x, chunk=500, seed=seed, on_sample={30000: action})
            power_before = averaged_power(reference_bins(x, before, hop, True), 4)
            same = np.isclose(rows[:len(power_before)], power_before[:len(rows)],
                              rtol=1e-4, atol=1e-9).all(axis=1)
            switch = len(same) if same.all() else int(np.argmin(same))
            self.assertGreater(switch, 100)
            self.assertLess(switch, len(rows) - 100)
            # The two settings arrive together or taps first: one row of 4 with the new taps.
            rest = x[switch * 4 * hop:]
            bins = reference_bins(rest, after, hop, True)
            mixed = averaged_power(bins, 4)[0]
            if np.allclose(rows[switch], mixed, rtol=1e-4, atol=1e-9):
                switch, bins = switch + 1, reference_bins(rest[4 * hop:], after, hop, True)
            expected = averaged_power(bins, 3)
            self.assertEqual(len(rows) - switch, len(expected))
            np.testing.assert_allclose(rows[switch:], expected, rtol=1e-4, atol=1e-9)

    def test_tags_follow_a_change_of_averaging(self):
        hop, n = 16, 40000
        stft = radiofm.stft(16, hop, averaging=4, output="power")
        tags = [(s, pmt.intern("sample"), pmt.from_long(s)) for s in range(0, n, 16)]
        x = np.repeat(np.arange(n // 16), 16).astype(np.complex64)  # every transform shows its number
        action = self.once_read(stft, 15000, lambda stft: stft.set_averaging(7))
        rows = self.rows(stft, x, tags, chunk=300, on_sample={20000: action})
        peaks = np.sqrt(rows.max(axis=1).astype(float))
        of_row = [[] for _ in rows]
        for tag in self.sink.tags():
            of_row[tag.offset].append(pmt.to_long(tag.value) // 16)
        self.assertEqual({len(r) for r in of_row}, {4, 7})
        self.assertEqual(sum(of_row, []), list(range(sum(map(len, of_row)))))
        np.testing.assert_allclose(peaks, [np.sqrt(np.mean(np.square(r))) for r in of_row], rtol=1e-5)

    # ---- refusals -------------------------------------------------------------------

    def test_bad_parameters_are_refused(self):
        good = dict(fft_size=8, hop=1)
        for message, bad in (
                ("fft_size", dict(fft_size=7)), ("fft_size", dict(fft_size=-1)),
                ("fft_size", dict(fft_size=1 << 25)),
                ("hop", dict(hop=0)), ("averaging", dict(averaging=0)), ("output", dict(output="dB")),
                ("averaged", dict(averaging=2, output="complex")),
                *(("parameter", dict(window=kind, window_param=value))
                  for kind in (window.WIN_KAISER, window.WIN_EXPONENTIAL, window.WIN_GAUSSIAN,
                               window.WIN_TUKEY)
                  for value in (-1.0, 1e9, 1e300, float("nan"), float("inf"))),
                ("parameter", dict(window=window.WIN_KAISER, window_param=101.0)),
                *(("samp_rate", dict(samp_rate=rate)) for rate in (-1, 1e13, 1e-9, float("nan"))),
                ("taps", dict(window=[1.0] * 7)), ("zero", dict(window=[0.0] * 8)),
                ("finite", dict(window=[float("nan")] * 8))):
            with self.subTest(**bad), self.assertRaisesRegex(ValueError, message):
                radiofm.stft(**(good | bad))

    def test_bad_settings_are_refused_and_change_nothing(self):
        stft = radiofm.stft(8, 8, averaging=2)
        taps = stft.taps()
        for setter, value in ((stft.set_window, [1.0]), (stft.set_averaging, 0), (stft.set_samp_rate, -1),
                              (stft.set_output, "complex"), (stft.set_output, "")):
            self.assertRaises(ValueError, setter, value)
        self.assertEqual((stft.taps(), stft.averaging(), stft.output()), (taps, 2, "db"))
        self.assertEqual(stft.samp_rate(), 0.0)
        self.assertRaises(ValueError, stft.set_window, window.WIN_KAISER, 1000.0)  # which is never done
        self.assertEqual(stft.taps(), taps)
        stft.set_window(window.WIN_KAISER, 100.0)
        self.assertRaises(ValueError, radiofm.stft(8, 8, output="complex").set_averaging, 2)
        self.assertRaises(ValueError, radiofm.stft(8, 8, output="complex").set_output, "db")


if __name__ == "__main__":
    gr_unittest.run(qa_stft)
