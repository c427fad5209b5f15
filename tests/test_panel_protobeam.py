# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The windows in front of ProtoBeam Classifier: blocks of raw I/Q are taught and shown as signals are."""

import pytest

radiofm = pytest.importorskip("gnuradio.radiofm", reason="the blocks are not installed for this Python")
windows = pytest.importorskip("windows", reason="PyQt5 or pyqtgraph is not installed")

from gnuradio import blocks, gr  # noqa: E402
from PyQt5 import QtCore, QtTest  # noqa: E402


def test_beams_are_taught_on_the_panel_and_seen_on_the_waterfall():
    windows.application()
    top = gr.top_block()
    source = radiofm.beam_source(beam=3)
    paced = blocks.throttle(gr.sizeof_gr_complex, 400e3, True)
    classifier = radiofm.protobeam_classifier(shipped=False)
    panel, rows = radiofm.teach_panel(shots=4), radiofm.stft(256, 256, averaging=8)
    waterfall = radiofm.labelled_waterfall(fft_size=256, hop=256, averaging=8)
    similar = radiofm.embedding_view()
    top.connect(source, paced, classifier)
    top.connect(paced, rows, waterfall)
    for view in (panel, waterfall, similar):
        top.msg_connect(classifier, "predictions", view, "predictions")
        top.msg_connect(classifier, "status", view, "answers")
        top.msg_connect(view, "prototypes", classifier, "prototypes")
    for view in (panel, similar):
        top.msg_connect(classifier, "prototypes_out", view, "state")
    top.msg_connect(classifier, "embeddings", similar, "embeddings")
    window = panel.qwidget()
    shown = [windows.around(view.qwidget(), "light") for view in (panel, waterfall, similar)]
    top.start()
    try:
        for beam, name in ((3, "left"), (17, "right")):
            source.set_beam(beam)
            windows.wait(0.3)
            QtTest.QTest.keyClicks(window.name, name)
            QtTest.QTest.keyClick(window.name, QtCore.Qt.Key_Return)
            windows.until(lambda name=name: panel._model.shots.get(name) == 4, f"'{name}' to be taught")
        source.set_beam(3)
        begin = waterfall._model.rows.latest.sample_of(waterfall._model.rows.span()[1]) + 200_000
        seen = waterfall._model.boxes
        windows.until(lambda: any(box.label == "left" and box.last > begin for box in seen.all()),
                      "the first beam to be recognised")
        windows.until(lambda: {dot.label for dot in similar._model.dots()} >= {"left", "right"},
                      "both on the map")
        heard = {row.label: row.heard for row in panel._model.rows()}
        assert heard["left"] is not None and heard["right"] is not None
        assert [view.refused() for view in (panel, waterfall, similar)] == [0, 0, 0]
    finally:
        top.stop()
        top.wait()
        for one in shown:
            one.close()
