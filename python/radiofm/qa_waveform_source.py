# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Tests of the simulator: same seed same samples, levels, frequencies, exact tags."""

import numpy as np
import pmt
from gnuradio import blocks, gr, gr_unittest, radiofm

RATE = 1e6
NOISE_POWER = 1e-4
# 99 % bandwidth in Hz at 1 MS/s and 8 samples a symbol, from theory: (1 + roll-off) of the symbol rate,
# Carson's rule, tone spacing plus keying, occupied carriers.
BANDWIDTHS = {
    "tone": (0, 2e3), "chirp": (220e3, 280e3), "am": (3e3, 8e3), "nbfm": (4e3, 18e3), "wbfm": (60e3, 280e3),
    "ook": (2e3, 40e3), "fsk": (100e3, 250e3), "msk": (130e3, 170e3), "gfsk": (150e3, 260e3),
    "gmsk": (90e3, 140e3), "bpsk": (125e3, 170e3), "qpsk": (125e3, 170e3), "8psk": (125e3, 170e3),
    "16qam": (125e3, 170e3), "ofdm": (380e3, 410e3),
}
CONSTANT_ENVELOPE = ("tone", "chirp", "nbfm", "wbfm", "fsk", "msk", "gfsk", "gmsk")


def run(samples=None, chunk=None, **parameters):
    """Samples and tags {key: [(offset, value)]} of a source; all of its schedule without `samples`."""
    top = gr.top_block()
    source, sink = radiofm.waveform_source(**parameters), blocks.vector_sink_c()
    if samples is None:
        top.connect(source, sink)
    else:
        head = blocks.head(gr.sizeof_gr_complex, samples)
        top.connect(source, head, sink)
    if chunk is None:
        top.run()
    else:
        top.run(chunk)
    return np.array(sink.data(), np.complex64), tags_of(sink)


def tags_of(sink):
    tags = {}
    for tag in sink.tags():
        tags.setdefault(pmt.symbol_to_string(tag.key), []).append((tag.offset, pmt.to_python(tag.value)))
    return tags


def power(samples):
    return float(np.mean(np.abs(samples.astype(complex)) ** 2))


def spectrum(samples, size=4096):
    """Power per bin, DC in the middle, and the bins' frequencies."""
    frames = samples[: len(samples) // size * size].reshape(-1, size) * np.hanning(size)
    bins = np.fft.fftshift((np.abs(np.fft.fft(frames)) ** 2).mean(0))
    return bins / bins.sum(), np.fft.fftshift(np.fft.fftfreq(size, 1 / RATE))


def occupied(samples):
    """Edges in Hz of the band that holds 99 % of the power."""
    bins, frequencies = spectrum(samples)
    low, high = np.searchsorted(np.cumsum(bins), [0.005, 0.995])
    return frequencies[low], frequencies[high]


class caller(gr.sync_block):
    """Passes samples on and calls each of `actions[n]` once n samples have passed."""

    def __init__(self, actions):
        gr.sync_block.__init__(self, "caller", [np.complex64], [np.complex64])
        self.actions = sorted(actions.items())

    def work(self, input_items, output_items):
        output_items[0][:] = input_items[0]
        while self.actions and self.nitems_read(0) >= self.actions[0][0]:
            self.actions.pop(0)[1]()
        return len(output_items[0])


def run_with(actions, samples, **parameters):
    """As `run`, with setters called in between: actions = {samples: function of the source}."""
    top = gr.top_block()
    source, sink = radiofm.waveform_source(**parameters), blocks.vector_sink_c()
    passer = caller({at: (lambda act=act: act(source)) for at, act in actions.items()})
    head = blocks.head(gr.sizeof_gr_complex, samples)
    top.connect(source, passer, head, sink)
    top.run()
    return np.array(sink.data(), np.complex64), tags_of(sink)


class qa_waveform_source(gr_unittest.TestCase):
    def test_same_seed_same_samples(self):
        schedule = [(label, 5003, 12.0, 12345.6) for label in radiofm.waveform_source.labels]
        first, tags = run(schedule=schedule, seed=5)
        self.assertEqual(len(first), 5003 * len(schedule))
        for chunk in (None, 97, 1024):
            again, again_tags = run(schedule=schedule, seed=5, chunk=chunk)
            np.testing.assert_array_equal(again, first)
            self.assertEqual(again_tags, tags)
        other, _ = run(schedule=schedule, seed=6)
        for start in range(0, len(first), 5003):
            self.assertFalse(np.array_equal(other[start : start + 5003], first[start : start + 5003]))

    def test_label_does_not_depend_on_what_else_is_built(self):
        alone, _ = run(20000, label="gfsk", seed=3)
        in_schedule, _ = run(schedule=[("gfsk", 20000)], label="noise", seed=3)
        np.testing.assert_array_equal(alone, in_schedule)

    def test_two_labels_do_not_share_their_data(self):
        schedule = [("bpsk", 8000, 60.0, 0.0), ("qpsk", 8000, 60.0, 0.0)]
        samples, _ = run(schedule=schedule)
        a, b = samples[2000:8000], samples[10000:]
        self.assertLess(abs(np.vdot(a, b)) / np.linalg.norm(a) / np.linalg.norm(b), 0.2)

    def test_label_tags_are_exact(self):
        lengths = [4097, 1, 3, 8192, 777, 20011]
        schedule = [(("tone", "noise")[i % 2], n, 60.0, 0.0) for i, n in enumerate(lengths)]
        samples, tags = run(schedule=schedule, chunk=500)
        starts = np.cumsum([0, *lengths[:-1]]).tolist()
        self.assertEqual(tags["label"], [(s, label) for s, (label, *_) in zip(starts, schedule, strict=True)])
        loud = np.abs(samples) > 1.0  # the tone's amplitude is 10, the noise's 0.01
        for i, (start, n) in enumerate(zip(starts, lengths, strict=True)):
            self.assertTrue((loud[start : start + n] == (i % 2 == 0)).all())

    def test_no_tag_where_the_label_stays(self):
        samples, tags = run(schedule=[("tone", 100, 60.0, 0.0), ("tone", 100, 20.0, 0.0), ("am", 50)])
        self.assertEqual(tags["label"], [(0, "tone"), (200, "am")])
        self.assertAlmostEqual(abs(samples[99]), 10.0, delta=0.1)
        self.assertAlmostEqual(abs(samples[100]), 0.1, delta=0.05)

    def test_start_tags(self):
        # The OFDM transmitter's own packet tags stay inside.
        samples, tags = run(20000, label="ofdm", samp_rate=2.5e6, center_freq=433.92e6,
                            start_time=1700000000.25)
        self.assertEqual(tags, {"rx_rate": [(0, 2.5e6)], "rx_freq": [(0, 433.92e6)],
                                "rx_time": [(0, (1700000000, 0.25))], "label": [(0, "ofdm")]})

    def test_snr(self):
        n = 1 << 18
        for label in BANDWIDTHS:
            samples, _ = run(schedule=[(label, n, 3.0, 0.0), (label, n, 13.0, 0.0)])
            for part, snr in zip(samples.reshape(2, n), (3.0, 13.0), strict=True):
                measured = 10 * np.log10(power(part) / NOISE_POWER - 1)
                # 512 random bits of on-off keying have a mean of 0.5 +- 0.022: 0.2 dB.
                self.assertAlmostEqual(measured, snr, delta=0.6 if label == "ook" else 0.15, msg=label)

    def test_noise(self):
        samples, _ = run(schedule=[("noise", 1 << 19)], label="noise", snr=30.0)
        self.assertAlmostEqual(power(samples) / NOISE_POWER, 1.0, delta=0.02)
        bins, _ = spectrum(samples, 64)
        self.assertLess(bins.max() / bins.min(), 1.2)  # white
        self.assertAlmostEqual(power(samples.real) / NOISE_POWER, 0.5, delta=0.01)
        self.assertLess(abs(np.mean(samples**2)) / NOISE_POWER, 0.02)  # circular

    def test_waveforms(self):
        self.assertEqual({"noise", *BANDWIDTHS}, set(radiofm.waveform_source.labels))
        for label, (low, high) in BANDWIDTHS.items():
            samples, _ = run(schedule=[(label, 1 << 18)], snr=60.0)
            edges = occupied(samples)
            self.assertTrue(low <= edges[1] - edges[0] <= high, f"{label}: {edges}")
            self.assertLess(abs(sum(edges)) / 2, 6e3, label)
            envelope = np.abs(samples[1000:])
            self.assertEqual(envelope.std() / envelope.mean() < 0.02, label in CONSTANT_ENVELOPE, label)

    def test_samples_per_symbol(self):
        for sps in (2, 3, 5, 16, 64):
            for label in ("qpsk", "gfsk", "gmsk"):
                samples, _ = run(schedule=[(label, 1 << 18)], snr=60.0, samples_per_symbol=sps)
                self.assertAlmostEqual(10 * np.log10(power(samples) / NOISE_POWER), 60.0, delta=0.3,
                                       msg=f"{label} {sps}")
                if sps > 2:  # at two, GFSK reaches the edges of the band
                    low, high = occupied(samples)
                    expected = sum(BANDWIDTHS[label]) / 2 * 8 / sps
                    self.assertAlmostEqual((high - low) / expected, 1.0, delta=0.3, msg=f"{label} {sps}")

    def test_frequency_offset(self):
        offset = 123456.7
        samples, _ = run(schedule=[("tone", 1 << 18)], snr=60.0, frequency_offset=offset)
        ideal = np.exp(2j * np.pi * offset / RATE * np.arange(len(samples)))
        # In phase from the first to the last sample, sample by sample.
        np.testing.assert_allclose(samples / 10.0, ideal, atol=6e-3)
        for offset in (-300e3, 0.0, 200e3):
            samples, _ = run(schedule=[("qpsk", 1 << 18)], snr=40.0, frequency_offset=offset)
            self.assertAlmostEqual(sum(occupied(samples)) / 2, offset, delta=2e3)

    def test_schedule_entry_has_its_own_snr_and_offset(self):
        n = 1 << 17
        samples, _ = run(schedule=[("qpsk", n, 30.0, 1e5), ("qpsk", n), ("qpsk", n, 3.0, -2e5)], snr=20.0)
        expected = [(30.0, 1e5), (20.0, 0.0), (3.0, -2e5)]
        for part, (snr, offset) in zip(samples.reshape(3, n), expected, strict=True):
            self.assertAlmostEqual(10 * np.log10(power(part) / NOISE_POWER - 1), snr, delta=0.3)
            bins, frequencies = spectrum(part)
            middle = np.sum((bins - np.median(bins)) * frequencies) / np.sum(bins - np.median(bins))
            self.assertAlmostEqual(middle, offset, delta=4e3)

    def test_schedule_repeats(self):
        samples, tags = run(25000, schedule=[("tone", 6000), ("noise", 4000)], repeat=True)
        self.assertEqual(tags["label"], [(0, "tone"), (6000, "noise"), (10000, "tone"), (16000, "noise"),
                                         (20000, "tone")])

    def test_bursts(self):
        samples, tags = run(schedule=[("tone", 10500, 60.0, 0.0), ("tone", 1), ("msk", 9000, 60.0, 0.0)],
                            duty=0.3, period=2000, snr=60.0)
        # Every segment starts with a burst.
        position = np.concatenate([np.arange(10500), np.arange(1), np.arange(9000)])
        np.testing.assert_array_equal(np.abs(samples) > 1.0, position % 2000 < 600)
        self.assertEqual(tags["label"], [(0, "tone"), (10501, "msk")])

    def test_burst_keeps_its_level(self):
        samples, _ = run(schedule=[("qpsk", 1 << 19)], snr=20.0, duty=0.25, period=4096)
        keyed = np.arange(len(samples)) % 4096 < 1024
        self.assertAlmostEqual(10 * np.log10(power(samples[keyed]) / NOISE_POWER - 1), 20.0, delta=0.3)
        self.assertAlmostEqual(power(samples[~keyed]) / NOISE_POWER, 1.0, delta=0.02)

    def test_label_is_changed_while_running(self):
        actions = {100_000: lambda source: source.set_label("noise"),
                   200_000: lambda source: source.set_label("tone")}
        samples, tags = run_with(actions, 300_000, label="tone", snr=60.0)
        offsets = [offset for offset, _ in tags["label"]]
        self.assertEqual([label for _, label in tags["label"]], ["tone", "noise", "tone"])
        self.assertTrue(offsets[0] == 0 and offsets[1] >= 100_000 and offsets[2] >= 200_000)
        loud = np.abs(samples) > 1.0  # the tag stands on the very sample that changed
        self.assertTrue(loud[: offsets[1]].all() and not loud[offsets[1] : offsets[2]].any())
        self.assertTrue(loud[offsets[2] :].all())

    def test_label_set_by_hand_ends_the_schedule(self):
        _, tags = run_with({50_000: lambda source: source.set_label("am")}, 400_000,
                           schedule=[("tone", 20_000), ("am", 20_000)], repeat=True)
        last, label = tags["label"][-1]
        self.assertEqual(label, "am")
        self.assertLess(last, 300_000)

    def test_snr_and_offset_are_changed_while_running(self):
        def change(source):
            source.set_snr(40.0)
            source.set_frequency_offset(-1e5)

        samples, _ = run_with({100_000: change}, 400_000, label="tone", snr=60.0, frequency_offset=5e4)
        step = np.angle(samples[1:] * samples[:-1].conj()) / (2 * np.pi) * RATE
        np.testing.assert_allclose(step[:99_000], 5e4, atol=1500)
        np.testing.assert_allclose(step[-10_000:], -1e5, atol=1e4)
        changed = int(np.argmax(np.abs(samples) < 5.0))
        # The phase goes on from where it was: what changes is the step to the next sample.
        before = samples[changed - 1] / abs(samples[changed - 1])
        after = samples[changed] / abs(samples[changed])
        self.assertAlmostEqual(float(np.angle(after / before)) / (2 * np.pi) * RATE, 5e4, delta=6e3)
        self.assertAlmostEqual(power(samples[-10_000:]), 1.0, delta=0.05)

    def test_bursts_and_frequency_are_changed_while_running(self):
        def change(source):
            source.set_bursts(0.5, 1000)
            source.set_center_freq(2.4e9)

        samples, tags = run_with({100_000: change}, 300_000, label="tone", snr=60.0, center_freq=1e8)
        self.assertEqual([value for _, value in tags["rx_freq"]], [1e8, 2.4e9])
        self.assertEqual(tags["rx_freq"][0][0], 0)
        self.assertGreaterEqual(tags["rx_freq"][1][0], 100_000)
        self.assertAlmostEqual(float(np.mean(np.abs(samples[-100_000:]) > 1.0)), 0.5, delta=0.01)

    def test_restart(self):
        top = gr.top_block()
        source = radiofm.waveform_source(schedule=[("tone", 5000, 60.0, 0.0), ("noise", 3000)])
        sink = blocks.vector_sink_c()
        top.connect(source, sink)
        self.assertEqual(source.sent(), 0)
        for _ in range(3):
            sink.reset()
            top.run()
            self.assertEqual(source.sent(), 8000)
            self.assertEqual(tags_of(sink)["label"], [(0, "tone"), (5000, "noise")])
            self.assertEqual(set(tags_of(sink)), {"rx_time", "rx_rate", "rx_freq", "label"})
            loud = np.abs(np.array(sink.data())) > 1.0
            np.testing.assert_array_equal(loud, np.arange(8000) < 5000)

    def test_stop_while_running(self):
        top = gr.top_block()
        source, sink = radiofm.waveform_source(label="ofdm"), blocks.null_sink(gr.sizeof_gr_complex)
        top.connect(source, sink)
        top.start()
        top.stop()
        top.wait()
        self.assertEqual(source.label(), "ofdm")

    def test_refusals(self):
        for parameters, text in (
            (dict(label="morse"), "there is no label 'morse'; labels: noise, tone"),
            (dict(label="wbfm", samp_rate=48e3), "wbfm needs a sample rate of at least 250000 Hz"),
            (dict(schedule=[("wbfm", 10)], samp_rate=48e3), "wbfm needs a sample rate"),
            (dict(schedule=[("qpsk", 0)]), "whole number of at least 1"),
            (dict(schedule=[("qpsk", 10.5)]), "whole number of at least 1"),
            (dict(schedule=["qpsk"]), "must be \\(label, samples\\)"),
            (dict(schedule=[("qpsk", 10, 3.0)]), "must be \\(label, samples\\)"),
            (dict(schedule=[("qpsk", 10, 90.0, 0.0)]), "snr must be a number"),
            (dict(schedule=[("qpsk", 10, 9.0, 6e5)]), "frequency_offset must be .* in -500000..500000"),
            (dict(snr=float("nan")), "snr"), (dict(snr="high"), "snr"), (dict(snr=-np.inf), "snr"),
            (dict(samp_rate=0), "samp_rate"), (dict(samples_per_symbol=1), "from 2 to 64"),
            (dict(samples_per_symbol=8.0), "whole number"), (dict(duty=1.5), "duty"),
            (dict(period=0), "period"), (dict(duty=0.0), "keys none"), (dict(seed=-1), "seed"),
            (dict(start_time=-1.0), "start_time"),
        ):
            with self.assertRaisesRegex(ValueError, "waveform_source: .*" + text, msg=str(parameters)):
                radiofm.waveform_source(**parameters)

    def test_setters_refuse_and_change_nothing(self):
        source = radiofm.waveform_source(schedule=[("tone", 1000)], label="tone")
        for call in (lambda: source.set_label("morse"), lambda: source.set_label("qpsk"),
                     lambda: source.set_snr(99.0), lambda: source.set_frequency_offset(1e9),
                     lambda: source.set_bursts(0.0, 100),
                     lambda: source.set_center_freq(float("inf"))):
            self.assertRaises(ValueError, call)
        self.assertEqual(source.label(), "tone")


if __name__ == "__main__":
    gr_unittest.run(qa_waveform_source)
