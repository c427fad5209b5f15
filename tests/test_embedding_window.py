# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The embedding view's window, moved by mouse and keys."""

import numpy as np
import pytest

radiofm = pytest.importorskip("gnuradio.radiofm", reason="the blocks are not installed for this Python")
windows = pytest.importorskip("windows", reason="PyQt5 or pyqtgraph is not installed")

from gnuradio.radiofm.common.messages import Prediction, Signal, TileInfo  # noqa: E402
from gnuradio.radiofm.qt.embedding_map import EmbeddingMap  # noqa: E402
from PyQt5 import QtCore, QtTest  # noqa: E402

KINDS = ("lora", "my remote", "unknown", "unknown 2")
RATE = 1e6


class Hand(windows.Hand):
    def __init__(self, theme: str = "light"):
        from gnuradio.radiofm.qt.embedding_window import EmbeddingWindow
        windows.application()
        self.sent: list[dict] = []
        self.model = EmbeddingMap(self.sent.append)
        random, kinds = np.random.default_rng(2), 2 * np.eye(16, dtype=np.float32)[:4]
        for number in range(120):
            label = KINDS[number % 4]
            info = TileInfo(number * 200_000, 100_000, RATE, 433e6, freq_lower_edge=433.1e6,
                            freq_upper_edge=433.2e6, signal=Signal(number, 0, True, 21.0, 1e5, 0.1, rate=2e5))
            vector = kinds[number % 4] + random.normal(0, 0.25, 16)
            self.model.add_embedding(info, vector.astype(np.float32))
            self.model.add_prediction(Prediction(info, "x", label, 0.9, label.startswith("unknown"),
                                                 KINDS[:2], np.zeros(2, np.float32)))
            sweep = np.exp(2j * np.pi * np.cumsum(np.linspace(-0.4, 0.4, 20_000)))
            sweep += 0.1 * random.standard_normal(20_000)
            self.model.add_signal(info, sweep.astype(np.complex64))
        self.model.add_state([(label, kinds[i], kinds[i] + random.normal(0, 0.3, (5, 16)).astype(np.float32))
                              for i, label in enumerate(KINDS[:2])])
        self.window = EmbeddingWindow(self.model)
        self.top = windows.around(self.window, theme)
        self.top.resize(700, 640)
        windows.wait(0.6)

    def point(self, x: float, y: float) -> QtCore.QPoint:
        return self.window.plot.mapFromScene(self.window.view.mapViewToScene(QtCore.QPointF(x, y)))


@pytest.fixture
def hand():
    made = Hand()
    yield made
    made.close()


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_what_is_seen(theme):
    hand = Hand(theme)
    try:
        assert len(hand.window.dots.points()) == 120 and len(hand.window.shots.points()) == 10
        assert [name.toPlainText() for name in hand.window._names] == ["lora", "my remote"]
        assert windows.is_cut(hand.window) == []
        dot = hand.model.dots()[-4]
        windows.hover(hand.window.plot.viewport(), hand.point(*dot.at))
        windows.until(hand.window.image.isVisible, "the picture of the signal")
        assert "433.150 MHz" in hand.window.note.text() and "SNR 21 dB" in hand.window.note.text()
        windows.photograph(hand.top, f"embeddings-{theme}")
        windows.hover(hand.window.plot.viewport(), QtCore.QPoint(2, 2))
        windows.until(lambda: not hand.window.image.isVisible(), "the picture to go")
    finally:
        hand.close()


def test_click_a_dot_type_a_name(hand):
    dot = hand.model.dots()[2]
    QtTest.QTest.mouseClick(hand.window.plot.viewport(), QtCore.Qt.LeftButton, QtCore.Qt.NoModifier,
                            hand.point(*dot.at))
    windows.until(hand.window.prompt.isVisible, "the prompt")
    QtTest.QTest.keyClicks(hand.window.prompt.edit, "garage")
    QtTest.QTest.keyClick(hand.window.prompt.edit, QtCore.Qt.Key_Return)
    (command,) = hand.sent
    near = hand.model.nearest(*dot.at, (1e-3, 1e-3))
    assert (command["label"], command["signal"]) == ("garage", near.key[0])


def test_draw_a_rectangle_around_a_kind(hand):
    dots = hand.model.dots()[3::4]
    at = np.array([dot.at for dot in dots])
    low, high = at.min(0) - 0.01, at.max(0) + 0.01
    meant = {dot.key[0] for dot in hand.model.within(low[0], high[0], low[1], high[1])}
    assert {dot.key[0] for dot in dots} <= meant
    windows.drag(hand.window.plot.viewport(), hand.point(low[0], high[1]), hand.point(high[0], low[1]))
    windows.until(hand.window.prompt.isVisible, "the prompt")
    QtTest.QTest.keyClicks(hand.window.prompt.edit, "tpms")
    QtTest.QTest.keyClick(hand.window.prompt.edit, QtCore.Qt.Key_Return)
    asked = {command["signal"] for command in hand.sent}
    assert len(asked ^ meant) <= 2 and {c["label"] for c in hand.sent} == {"tpms"}  # give or take a pixel
    assert not hand.window.view.band.isVisible()


def test_map_anew(hand):
    before = hand.model.dots()[0].at
    for number in range(200, 260):
        info = TileInfo(number * 200_000, 100_000, RATE, signal=Signal(number))
        hand.model.add_embedding(info, np.eye(16, dtype=np.float32)[9])
    windows.wait(0.4)
    assert hand.model.dots()[0].at == before
    QtTest.QTest.mouseClick(hand.window.anew, QtCore.Qt.LeftButton)
    assert hand.model.dots()[0].at != before
