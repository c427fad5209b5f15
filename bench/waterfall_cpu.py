#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What the Labelled Waterfall costs: share of one core, of its block's thread and of its window's.

    ./run bench waterfall_cpu

Rows of noise at a stated rate go into the block as from a receiver, signals with labels beside them; the
window is drawn (without a screen) all the while. The same flowgraph with a Null Sink in its place is taken
off.
"""

import argparse
import os
import resource
import time

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
from gnuradio import blocks, gr, radiofm
from gnuradio.radiofm import messages
from PyQt5 import QtCore, QtWidgets


def spent() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def measure(app, rows: float, bins: int, boxes: float, seconds: float, shown: bool) -> tuple[float, str]:
    """Share of a core, and what the window says about its lines."""
    stride = 512
    rate = rows * stride
    noise = np.random.default_rng(1).normal(-90, 4, (64, bins)).astype(np.float32)
    top = gr.top_block()
    source = blocks.vector_source_f(noise.ravel().tolist(), True, bins)
    paced = blocks.throttle(gr.sizeof_float * bins, rows, True)
    if shown:
        sink = radiofm.labelled_waterfall(samp_rate=rate, fft_size=bins, hop=stride, averaging=1)
        sink.qwidget().resize(1120, 680)
        sink.qwidget().show()
    else:
        sink = blocks.null_sink(gr.sizeof_float * bins)
    top.connect(source, paced, sink)
    top.start()
    number, begin = 0, time.monotonic()
    loop = QtCore.QEventLoop()
    timer = QtCore.QTimer()

    def send() -> None:
        nonlocal number
        now = time.monotonic() - begin
        while shown and number < now * boxes:
            start = round(number / boxes * rate)
            signal = messages.Signal(number, 0, True, 20.0, rate / 50, 0.2)
            low = rate * (number % 7 - 3) / 8
            info = messages.TileInfo(start, round(rate / 5), rate, freq_lower_edge=low,
                                     freq_upper_edge=low + rate / 50, signal=signal)
            label = ("lora", "ook", "unknown")[number % 3]
            prediction = messages.Prediction(info, "x", label, 0.9, label == "unknown", ("lora", "ook"),
                                             np.array([0.9, 0.1], np.float32))
            post = sink.to_basic_block()._post
            post(messages.SIGNALS, messages.signal_pdu(info))
            post(messages.PREDICTIONS, messages.prediction_pdu(prediction))
            number += 1

    timer.timeout.connect(send)
    timer.start(50)
    QtCore.QTimer.singleShot(4000, loop.quit)  # until the picture is full of boxes
    loop.exec_()
    before, since = spent(), time.monotonic()
    QtCore.QTimer.singleShot(round(1000 * seconds), loop.quit)
    loop.exec_()
    share = (spent() - before) / (time.monotonic() - since)
    text = sink._model.density() if shown else ""
    timer.stop()
    top.stop()
    top.wait()
    if shown:
        sink.qwidget().close()
    return share, text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=float, nargs="+", default=[20, 500, 20000], help="rows a second")
    parser.add_argument("--bins", type=int, default=1024)
    parser.add_argument("--boxes", type=float, default=10, help="signals a second")
    parser.add_argument("--seconds", type=float, default=12)
    given = parser.parse_args()
    app = QtWidgets.QApplication([])
    for rows in given.rows:
        without, _ = measure(app, rows, given.bins, given.boxes, given.seconds, False)
        share, text = measure(app, rows, given.bins, given.boxes, given.seconds, True)
        what = f"{rows:g} rows/s of {given.bins} bins, {given.boxes:g} signals/s"
        print(f"{what}: {100 * (share - without):.1f} % of a core ({100 * without:.1f} % without it); {text}",
              flush=True)
    os._exit(0)  # past Qt's and GNU Radio's destructors, whose order is not defined


if __name__ == "__main__":
    main()
