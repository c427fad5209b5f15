#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Detection and cutting live: a paced stream with many signals through STFT, Signal Detector, Signal Cutter.

    bench/live_signals.py --rate 20e6 --seconds 60

Says by how much the stream fell behind its clock, what was lost, and the CPU time of each block. Bursts and
carriers are noise in a band of their own; the stretch of a second is repeated.
"""

import argparse
import os
import time

import numpy as np
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
    """Counts cut-outs and their samples."""

    def __init__(self):
        gr.basic_block.__init__(self, name="counter", in_sig=None, out_sig=None)
        self.count = self.samples = 0
        self.message_port_register_in(radiofm.messages.SIGNALS)
        self.set_msg_handler(radiofm.messages.SIGNALS, self.handle)

    def handle(self, message):
        self.count += 1
        self.samples += len(radiofm.messages.parse_signal(message)[1])


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
    arguments = parser.parse_args()
    rate = arguments.rate
    tb = gr.top_block()
    source = blocks.vector_source_c(scene(rate, arguments.bursts, arguments.carriers), True)
    throttle = blocks.throttle(gr.sizeof_gr_complex, rate)
    stft = radiofm.stft(1024, 512, window.WIN_HANN, 8, "db", True, rate)
    detector = radiofm.signal_detector(rate, 1024, 512, 8, longest=arguments.longest)
    cutter, counted = radiofm.signal_cutter(rate, overload="drop"), counter()
    tb.connect(source, throttle, stft, detector)
    tb.connect(throttle, cutter)
    tb.msg_connect(detector, "signals", cutter, "signals")
    tb.msg_connect(cutter, "signals", counted, "signals")
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
    tb.stop()
    tb.wait()
    (most, at), late = max(lags), sum(lag > 0.1 for lag, _ in lags) / len(lags)
    print(f"{elapsed:.1f} s at {rate / 1e6:g} MS/s; at most {most * 1e3:.0f} ms behind the clock (at {at:.1f}"
          f" s), for {late:.1%} of the time more than 100 ms")
    print(f"parts found {detector.sent()}, cut out {cutter.sent()} ({counted.samples / 1e6:.1f} M samples); "
          f"dropped {cutter.dropped()}, lost {cutter.lost()}, incomplete {cutter.incomplete()}")
    for name, seconds in sorted(used.items(), key=lambda item: -item[1]):
        if (share := (seconds - before.get(name, 0.0)) / done) > 0.005:
            print(f"{share:7.3f} s of CPU a second: {name}")


if __name__ == "__main__":
    main()
