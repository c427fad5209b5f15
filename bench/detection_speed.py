#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What detection costs beside the STFT in front of it: CPU seconds for a second of signal.

    bench/detection_speed.py [--rate HZ] [--seconds S] [--rounds N] [RECORDING.npy ...]

Both work on the same samples (1024 bins, hop 512, 8 periodograms a row) in turns, and the medians of the
rounds are compared, so that the ratio holds on a busy machine, too. The STFT's time is that of its own thread
in a flowgraph; detection's that of the process, which has one thread then. A recording is complex64 samples.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))

import numpy as np  # noqa: E402
from gnuradio import blocks, gr, radiofm  # noqa: E402
from radiofm_ml.detect import kernels  # noqa: E402
from radiofm_ml.detect.rows import row_format, rows_of  # noqa: E402
from radiofm_ml.detect.stream import Detector, RowFormat  # noqa: E402
from scipy import fft  # noqa: E402

FFT_SIZE, HOP, AVERAGING = 1024, 512, 8
FED = 64  # rows at once, as a flowgraph gives them
SCENES = {"noise": 0, "20 signals a second": 20, "300 signals a second": 300}


def scene(rate: float, seconds: float, per_second: float, seed: int = 0) -> np.ndarray:
    """Noise and so many signals a second, complex64: 10 kHz to a tenth of the band wide, 1 to 200 ms long, 5
    to 30 dB above the noise in their own band, anywhere in the middle nine tenths of it."""
    rng = np.random.default_rng(seed)
    n = round(rate * seconds)
    iq = rng.standard_normal(2 * n, np.float32).view(np.complex64)
    for _ in range(rng.poisson(per_second * seconds)):
        width = np.exp(rng.uniform(np.log(1e4), np.log(rate / 10))) / rate
        count = min(n, round(rate * np.exp(rng.uniform(np.log(1e-3), np.log(0.2)))))
        start, middle = rng.integers(0, n - count + 1), rng.uniform(-0.45, 0.45)
        size = fft.next_fast_len(count)
        spectrum = np.zeros(size, np.complex64)
        used = max(1, round(width * size))
        symbols = rng.standard_normal(2 * used, np.float32).view(np.complex64)
        spectrum[(round(middle * size) + np.arange(used) - used // 2) % size] = symbols
        amplitude = np.float32(10 ** (rng.uniform(5, 30) / 20) * np.sqrt(size))
        iq[start:start + count] += amplitude * fft.ifft(spectrum)[:count]
    return iq


def thread_cpu(name: str) -> float:
    """CPU seconds so far of this process's thread whose name begins with ``name``."""
    for task in Path("/proc/self/task").iterdir():
        if (task / "comm").read_text().startswith(name):
            return int((task / "schedstat").read_text().split()[0]) / 1e9
    return float("nan")


def stft_cost(file: Path, form: RowFormat, seconds: float) -> float:
    """CPU seconds of the block STFT for a second of signal, run for so long on samples in a file."""
    tb = gr.top_block()
    source = blocks.file_source(gr.sizeof_gr_complex, str(file), True)
    stft = radiofm.stft(form.fft_size, form.hop, averaging=form.averaging)
    sink = blocks.null_sink(gr.sizeof_float * form.fft_size)
    tb.connect(source, stft, sink)
    tb.start()
    time.sleep(0.1)  # past the start
    cpu, rows = thread_cpu("stft"), sink.nitems_read(0)
    time.sleep(seconds)
    cpu, rows = thread_cpu("stft") - cpu, sink.nitems_read(0) - rows
    tb.stop()
    tb.wait()
    return cpu / (rows * form.seconds)


def detection_cost(rows: np.ndarray, form: RowFormat) -> tuple[float, int]:
    """CPU seconds of detection for a second of signal, and the boxes it found."""
    detector, boxes = Detector(form), 0
    start = time.process_time()
    for i in range(0, len(rows), FED):
        boxes += len(detector.feed(rows[i:i + FED]))
    boxes += len(detector.flush())
    return (time.process_time() - start) / (len(rows) * form.seconds), boxes


def measure(name: str, iq: np.ndarray, form: RowFormat, rounds: int) -> None:
    rows = np.concatenate(list(rows_of([iq], form)))
    with tempfile.NamedTemporaryFile(suffix=".iq") as file:
        iq.tofile(file)
        file.flush()
        stft, detection = [], []
        for _ in range(rounds):
            stft.append(stft_cost(Path(file.name), form, 0.5))
            cost, boxes = detection_cost(rows, form)
            detection.append(cost)
    a, b = statistics.median(stft), statistics.median(detection)
    ratio = statistics.median(y / x for x, y in zip(stft, detection, strict=True))
    print(f"{name:24s} {boxes / (len(rows) * form.seconds):8.0f} {a:9.3f} {b:10.3f} {ratio:7.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", nargs="*", type=Path, metavar="RECORDING.npy")
    parser.add_argument("--rate", type=float, default=20e6, help="samples/s (default: 20e6)")
    parser.add_argument("--seconds", type=float, default=1.0, help="of signal (default: 1)")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    form = row_format(options.rate, FFT_SIZE, HOP, AVERAGING)
    print(f"{options.rate / 1e6:g} MS/s, inner loops in {'C++' if kernels.compiled else 'NumPy'}; "
          f"CPU seconds for a second of signal\n"
          f"{'':24s} {'boxes/s':>8s} {'STFT':>9s} {'detection':>10s} {'ratio':>7s}")
    for name, per_second in SCENES.items():
        measure(name, scene(options.rate, options.seconds, per_second), form, options.rounds)
    for path in options.recordings:
        measure(path.stem[:24], np.load(path).astype(np.complex64), form, options.rounds)


if __name__ == "__main__":
    main()
