#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Signals live: a paced stream with many of them through STFT, Signal Detector, Signal Cutter, and with a
model through ViT Embedding Sink, Prototype Classifier and Signal Watch.

    bench/live_signals.py --rate 20e6 --seconds 60 --model radiofm-pico

Says by how much the stream fell behind its clock, what was lost, how many signals a second were named and how
many were left, and the CPU time of each block. Bursts and carriers are noise in a band of their own; the
stretch of a second is repeated.
"""

import argparse
import os
import time

import numpy as np
import pmt
from gnuradio import blocks, gr, radiofm
from gnuradio.fft import window


def scene(rate: float, bursts: int, carriers: int, seed: int = 0) -> np.ndarray:
    """A second of noise with signals of 10 to 20 dB, complex64."""
    rng = np.random.default_rng(seed)
    count = int(rate)
    x = rng.standard_normal(2 * count, dtype=np.float32).view(np.complex64)
    lengths = [rng.uniform(1e-3, 50e-3) for _ in range(bursts)] + [1.0] * carriers
    for seconds in lengths:
        width = rate * (10 ** rng.uniform(-3.3, -1.5) if seconds < 1 else 10 ** rng.uniform(-3.5, -2.5))
        n = int(seconds * rate)
        start = rng.integers(0, count - n + 1)
        decimation = int(rate / width)
        low = rng.standard_normal(2 * (n // decimation + 2), dtype=np.float32).view(np.complex64)
        level = np.sqrt(width / rate * 10 ** rng.uniform(1.0, 2.0))
        signal = np.interp(np.arange(n) / decimation, np.arange(len(low)), low) * level
        turn = np.exp(2j * np.pi * rng.uniform(-0.4, 0.4) * np.arange(n))
        x[start:start + n] += (signal * turn).astype(np.complex64)
    return x


class counter(gr.basic_block):
    """Counts PDUs of signals: parts, signals, samples, and the seconds from a part's end to its PDU."""

    def __init__(self, port, parse, clock=None):
        gr.basic_block.__init__(self, name="counter", in_sig=None, out_sig=None)
        self.parse, self.clock = parse, clock
        self.count = self.samples = 0
        self.signals, self.delays = set(), []
        self.message_port_register_in(port)
        self.set_msg_handler(port, self.handle)

    def handle(self, message):
        read = self.parse(message)
        info = read[0] if isinstance(read, tuple) else read.info
        self.count += 1
        self.signals.add(info.signal.signal)
        if self.clock:
            self.delays.append(self.clock() - (info.sample_start + info.sample_count) / info.sample_rate)
        else:
            self.samples += len(read[1])


class naming:
    """What gives names to cut-outs, taught one label by the first of them."""

    def __init__(self, tb, cutter, model: str, queue: int, clock):
        self.sink = radiofm.vit_embedding_sink(model, overload="drop", max_queue=queue)
        classifier = radiofm.prototype_classifier(model, signals=True)
        self.watch = radiofm.signal_watch(30.0)
        self.named = counter(radiofm.messages.PREDICTIONS, radiofm.messages.parse_prediction, clock)
        tb.msg_connect(cutter, "signals", self.sink, "signals")
        tb.msg_connect(self.sink, "embeddings", classifier, "embeddings")
        for reader in (self.watch, self.named):
            tb.msg_connect(classifier, "predictions", reader, "predictions")
        classifier.to_basic_block()._post(radiofm.messages.PROTOTYPES, pmt.to_pmt(
            {"command": "enroll", "label": "a", "shots": 5}))

    def report(self, seconds: float) -> str:
        delays = np.array(self.named.delays or [np.nan])
        return (f"named {self.named.count} parts of {len(self.named.signals)} signals: "
                f"{len(self.named.signals) / seconds:.1f} signals a second; left {self.sink.dropped()}; "
                f"{np.median(delays):.2f} s after they ended (95 %: {np.quantile(delays, 0.95):.2f} s); "
                f"watched {self.watch.received() - self.watch.dropped()}")


def threads() -> dict[str, float]:
    """CPU seconds of this process's threads, by name."""
    found: dict[str, float] = {}
    for task in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{task}/stat", encoding="utf-8", errors="replace") as file:
            text = file.read()
        name, rest = text[text.index("(") + 1:text.rindex(")")], text[text.rindex(")") + 2:].split()
        seconds = (int(rest[11]) + int(rest[12])) / os.sysconf("SC_CLK_TCK")
        found[name] = found.get(name, 0.0) + seconds
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=float, default=20e6, help="samples/s")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--bursts", type=int, default=20, help="a second")
    parser.add_argument("--carriers", type=int, default=3, help="that are always on")
    parser.add_argument("--longest", type=float, default=1.0, help="seconds of a part of a long signal")
    parser.add_argument("--model", default="", help="bundle that names them; none: they are only cut out")
    parser.add_argument("--queue", type=int, default=64, help="parts that may wait to be named")
    arguments = parser.parse_args()
    rate = arguments.rate
    tb = gr.top_block()
    source = blocks.vector_source_c(scene(rate, arguments.bursts, arguments.carriers), True)
    throttle = blocks.throttle(gr.sizeof_gr_complex, rate)
    stft = radiofm.stft(1024, 512, window.WIN_HANN, 8, "db", True, rate)
    detector = radiofm.signal_detector(rate, 1024, 512, 8, longest=arguments.longest)
    cutter = radiofm.signal_cutter(rate, overload="drop")
    counted = counter(radiofm.messages.SIGNALS, radiofm.messages.parse_signal)
    tb.connect(source, throttle, stft, detector)
    tb.connect(throttle, cutter)
    tb.msg_connect(detector, "signals", cutter, "signals")
    tb.msg_connect(cutter, "signals", counted, "signals")
    names = naming(tb, cutter, arguments.model, arguments.queue,
                   lambda: throttle.nitems_written(0) / rate) if arguments.model else None
    tb.start()
    while throttle.nitems_written(0) == 0:
        time.sleep(0.01)
    begin, first, before = time.monotonic(), throttle.nitems_written(0), threads()
    lags = []
    while (elapsed := time.monotonic() - begin) < arguments.seconds:
        time.sleep(0.02)
        done = (throttle.nitems_written(0) - first) / rate
        lags.append((time.monotonic() - begin - done, elapsed))
    used = threads()
    said = names.report(elapsed) if names else ""
    tb.stop()
    tb.wait()
    (most, at), late = max(lags), sum(lag > 0.1 for lag, _ in lags) / len(lags)
    print(f"{elapsed:.1f} s at {rate / 1e6:g} MS/s; at most {most * 1e3:.0f} ms behind the clock (at {at:.1f}"
          f" s), for {late:.1%} of the time more than 100 ms")
    print(f"parts found {detector.sent()}, cut out {cutter.sent()} ({counted.samples / 1e6:.1f} M samples); "
          f"dropped {cutter.dropped()}, lost {cutter.lost()}, incomplete {cutter.incomplete()}")
    print(said, end="\n" if said else "")
    for name, seconds in sorted(used.items(), key=lambda item: -item[1]):
        if (share := (seconds - before.get(name, 0.0)) / done) > 0.005:
            print(f"{share:7.3f} s of CPU a second: {name}")


if __name__ == "__main__":
    main()
