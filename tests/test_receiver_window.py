# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""RadioFM Receiver with its window: rows and boxes come to the waterfall in absolute hertz."""

import pytest

radiofm = pytest.importorskip("gnuradio.radiofm", reason="the blocks are not installed for this Python")
windows = pytest.importorskip("windows", reason="PyQt5 or pyqtgraph is not installed")
from gnuradio import blocks, gr  # noqa: E402
from signal_scene import CENTRE, RATE, scene, signal_bundle  # noqa: E402


def test_the_window_shows_what_is_found(tmp_path):
    windows.application()
    receiver = radiofm.receiver(str(signal_bundle(tmp_path / "bundle").path), RATE, CENTRE, gui=True)
    tb = gr.top_block()
    tb.connect(blocks.vector_source_c(scene(), True), blocks.throttle(8, RATE), receiver)
    tb.start()
    waterfall = receiver._rated[-1]
    try:
        windows.until(lambda: any(box.label for box in waterfall._model.boxes.all()), "a named box", 60)
        assert all(CENTRE - RATE / 2 <= box.lower <= box.upper <= CENTRE + RATE / 2
                   for box in waterfall._model.boxes.all())
        assert receiver.qwidget().count() == 2
    finally:
        tb.stop()
        tb.wait()
