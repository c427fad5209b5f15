# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The labelled waterfall's window, moved by mouse and keys."""

import json

import numpy as np
import pytest

radiofm = pytest.importorskip("gnuradio.radiofm", reason="the blocks are not installed for this Python")
windows = pytest.importorskip("windows", reason="PyQt5 or pyqtgraph is not installed")

from gnuradio.radiofm.common.messages import Prediction, Signal, TileInfo  # noqa: E402
from gnuradio.radiofm.qt.rows import RowRing  # noqa: E402
from gnuradio.radiofm.qt.waterfall import Waterfall  # noqa: E402
from PyQt5 import QtCore, QtGui, QtTest, QtWidgets  # noqa: E402

RATE, CENTRE, BINS, STRIDE = 1e6, 433.92e6, 512, 2048
START = 1796133787.25  # 14:03:07.25 UTC
LABELS = ("lora", "my remote", "weather station")
# seconds, length, Hz from the centre, width, label, confidence; '' is not decided
SCENE = [(2.0 + 3 * i, 0.35, -310e3, 12e3, "my remote", 0.97) for i in range(6)] + [
    (1.0 + 4.2 * i, 1.4, 120e3, 120e3, "lora", 0.88) for i in range(5)] + [
    (3.1 + 5 * i, 0.12, 330e3, 60e3, "weather station", 0.99) for i in range(4)] + [
    (4.0, 0.9, -120e3, 30e3, "unknown", 0.93), (9.5, 0.9, -120e3, 30e3, "unknown 2", 0.9),
    (15.2, 0.9, -115e3, 30e3, "unknown 2", 0.9), (17.0, 1.2, -200e3, 25e3, "", None),
    (18.6, 0.3, 330e3, 60e3, "", None)]


def make_model(seconds: float = 20.0, sent=None) -> Waterfall:
    """A band with signals in it, as the blocks would have it."""
    model = Waterfall(RowRing(BINS, STRIDE, 120, 50), (sent if sent is not None else []).append)
    model.rows.begin(0, RATE, CENTRE, CENTRE, START)
    random = np.random.default_rng(1)
    count = round(seconds * RATE / STRIDE)
    rows = (-95 + 10 * np.log10(random.gamma(8, 1 / 8, (count, BINS)))).astype(np.float32)
    bins = (np.arange(BINS) - BINS / 2) * RATE / BINS
    for number, (start, length, at, width, label, confidence) in enumerate(sorted(SCENE)):
        a, b = (round(t * RATE / STRIDE) for t in (start, start + length))
        there = np.abs(bins - at) < width / 2
        rows[a:b, there] = np.maximum(rows[a:b, there], random.normal(-62, 4, rows[a:b, there].shape))
        info = TileInfo(round(start * RATE), round(length * RATE), RATE, CENTRE, model="x/signals",
                        freq_lower_edge=CENTRE + at - width / 2, freq_upper_edge=CENTRE + at + width / 2,
                        signal=Signal(number, 0, True, 24.0, width, length))
        model.add_signal(info)
        if label:
            model.add_prediction(Prediction(info, "classification", label, confidence,
                                            label.startswith("unknown"), LABELS, np.zeros(3, np.float32)))
    for piece in np.array_split(rows, 40):
        model.rows.put(piece)
    return model


class Hand(windows.Hand):
    """A window on a model, and what a hand does to it."""

    def __init__(self, theme: str = "light"):
        from gnuradio.radiofm.qt.waterfall_window import WaterfallWindow
        windows.application()
        self.sent: list[dict] = []
        self.model = make_model(sent=self.sent)
        self.window = WaterfallWindow(self.model)
        self.window.span = 20.0
        self.top = windows.around(self.window, theme)
        windows.wait(0.4)
        windows.until(lambda: self.window.plot._images, "the first picture")
        self.viewport = self.window.plot.viewport()
        self.first_size = self.top.size()
        self.top.resize(1160, 760)
        windows.wait(0.3)

    def point(self, seconds: float, hertz: float) -> QtCore.QPoint:
        """In the viewport; hertz from the centre."""
        return self.window._point(seconds, CENTRE + hertz) - QtCore.QPoint(8, 8)

    def box(self, label: str, index: int = -1):
        return [box for box in self.model.boxes.all() if box.label == label][index]

    def middle(self, box) -> QtCore.QPoint:
        area = self.model.area(box)
        return self.point((area.first + area.last) / 2, (area.lower + area.upper) / 2 - CENTRE)

    def click(self, at: QtCore.QPoint) -> None:
        QtTest.QTest.mouseClick(self.viewport, QtCore.Qt.LeftButton, QtCore.Qt.NoModifier, at)

    def type(self, text: str, key=QtCore.Qt.Key_Return) -> None:
        edit = self.window.prompt.edit
        assert self.window.prompt.isVisible()
        QtTest.QTest.keyClicks(edit, text)
        QtTest.QTest.keyClick(edit, key)

    def choose(self, at: QtCore.QPoint, text: str) -> None:
        """From the menu of the right button."""
        QtTest.QTest.mouseClick(self.viewport, QtCore.Qt.RightButton, QtCore.Qt.NoModifier, at)
        windows.until(lambda: self.window.menu is not None and self.window.menu.isVisible(), "the menu")
        menu = self.window.menu
        (action,) = [a for a in menu.actions() if a.text() == text]
        QtTest.QTest.mouseClick(menu, QtCore.Qt.LeftButton, QtCore.Qt.NoModifier,
                                menu.actionGeometry(action).center())
        windows.until(lambda: not menu.isVisible(), "the menu to close")


@pytest.fixture
def hand():
    made = Hand()
    yield made
    made.close()


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_first_window_shows_all_and_can_be_read(theme):
    hand = Hand(theme)
    try:
        screen = hand.top.screen().availableGeometry().size()
        assert hand.first_size.width() >= min(1120, screen.width())
        assert hand.first_size.height() >= min(620, screen.height())
        hand.top.resize(hand.first_size)
        windows.wait(0.2)
        scroll = hand.top.findChild(QtWidgets.QScrollArea)
        assert not scroll.horizontalScrollBar().isVisible() and not scroll.verticalScrollBar().isVisible()
        assert windows.is_cut(hand.window) == []
        hand.top.resize(1160, 760)
        windows.wait(0.3)
        assert hand.window._look.dark == (theme == "dark")
        back = hand.window.plot.backgroundBrush().color().lightness()
        text = QtGui.QColor(hand.window._look.text).lightness()
        assert abs(back - text) > 150
        windows.hover(hand.viewport, hand.middle(hand.box("lora", 2)))
        windows.until(lambda: hand.window.cursor_text.text(), "a reading")
        windows.photograph(hand.top, f"waterfall-{theme}")
        hand.window._clicked(17.5, CENTRE - 200e3)
        windows.wait(0.1)
        windows.photograph(hand.top, f"waterfall-{theme}-name")
    finally:
        hand.close()


def test_the_picture_is_bright_where_the_signals_are(hand):
    """Against the pixels of the window itself."""
    hand.window.plot.boxes.hide()
    windows.application().processEvents()
    image = hand.window.plot.grab().toImage()

    def darkness(seconds, hertz):
        at = hand.point(seconds, hertz)
        return 255 - QtGui.QColor(image.pixel(at)).lightness()

    for start, length, at, width, *_ in SCENE:
        inside = np.mean([darkness(start + length * t, at + width * f)
                          for t in (0.3, 0.5, 0.7) for f in (-0.3, 0.0, 0.3)])
        outside = np.mean([darkness(start + length / 2, at + side * width * f)
                           for side in (-1, 1) for f in (0.8, 1.0)])
        assert inside > outside + 60, (start, at)


def test_click_a_box_type_a_name(hand):
    box = hand.box("unknown")
    hand.click(hand.middle(box))
    windows.until(hand.window.prompt.isVisible, "the prompt")
    hand.type("garage door")
    assert hand.sent == [{"command": "enroll", "label": "garage door", "source": "at", "shots": 1,
                          "sample_start": 4_450_000, "frequency": CENTRE - 120e3, "signal": box.signal}]
    hand.model.answered("enroll", True, "", "garage door", 1)
    windows.until(lambda: "'garage door' is taught, with 1 shot" in hand.window.note.text(), "the answer")
    assert hand.model.boxes.get(box.number).text() == "garage door (taught)"


def test_drag_a_rectangle_over_several(hand):
    """Every one that lies in it gives a shot."""
    windows.drag(hand.viewport, hand.point(9.0, -180e3), hand.point(16.5, -70e3))
    windows.until(hand.window.prompt.isVisible, "the prompt")
    assert "2 signals" in hand.window.prompt.about.text()
    windows.photograph(hand.top, "waterfall-rectangle")
    hand.type("tpms")
    assert [c["sample_start"] for c in hand.sent] == [9_950_000, 15_650_000]
    assert {c["label"] for c in hand.sent} == {"tpms"}


def test_drag_where_nothing_was_found(hand):
    windows.drag(hand.viewport, hand.point(6.0, 380e3), hand.point(6.5, 420e3))
    hand.type("carrier")
    (command,) = hand.sent
    pixel = hand.window.plot.pixel()
    assert abs(command["sample_start"] - 6.25e6) <= 2 * pixel[0] * RATE
    assert abs(command["frequency"] - CENTRE - 400e3) <= 2 * pixel[1]
    assert "signal" not in command


def test_escape_leaves(hand):
    hand.click(hand.middle(hand.box("lora")))
    hand.type("x", QtCore.Qt.Key_Escape)
    assert not hand.window.prompt.isVisible() and hand.sent == []


def test_right_click_rename_forget_not_this(hand):
    hand.choose(hand.middle(hand.box("lora")), "Rename 'lora'…")
    QtTest.QTest.keyClick(hand.window.prompt.edit, QtCore.Qt.Key_A, QtCore.Qt.ControlModifier)
    hand.type("sensor")
    hand.choose(hand.middle(hand.box("lora")), "This is not 'lora'")
    hand.choose(hand.middle(hand.box("my remote")), "Forget 'my remote'")
    assert [(c["command"], c["label"]) for c in hand.sent] == [
        ("rename", "lora"), ("enroll", "not lora"), ("remove", "my remote")]
    assert hand.sent[0]["new_label"] == "sensor"
    hand.model.answered("rename", True, "", "sensor", 3)
    assert len([b for b in hand.model.boxes.all() if b.label == "sensor"]) == 5


def test_next_of_its_kind(hand):
    hand.window.zoom_in_time(0.2, 20.0)
    first = hand.box("unknown 2", 0)
    hand.window.top, hand.window.live = 11.0, False
    windows.wait(0.2)
    hand.choose(hand.middle(first), "Next of its kind")
    windows.wait(0.2)
    seen, area = hand.window.plot.seen(), hand.model.area(hand.box("unknown 2", 1))
    assert seen.first < area.first and area.last < seen.last and not hand.window.live


def test_zoom_scroll_and_whole_band(hand):
    at = hand.point(10.0, 120e3)
    before = hand.window.plot.seen()
    windows.wheel(hand.viewport, at, 5)
    seen = hand.window.plot.seen()
    assert (seen.upper - seen.lower) * 1.2**5 == pytest.approx(before.upper - before.lower)
    where = (CENTRE + 120e3 - before.lower) / (before.upper - before.lower)
    assert (CENTRE + 120e3 - seen.lower) / (seen.upper - seen.lower) == pytest.approx(where, abs=0.01)
    windows.wheel(hand.viewport, at, 3, QtCore.Qt.ControlModifier)
    windows.wait(0.2)
    seen = hand.window.plot.seen()
    assert seen.last - seen.first == pytest.approx(20 / 1.2**3, rel=1e-3)
    windows.photograph(hand.top, "waterfall-zoomed")
    windows.wheel(hand.viewport, at, -2, QtCore.Qt.ShiftModifier)
    assert not hand.window.live and hand.window.top == pytest.approx(20.0 - 2 * 20 / 1.2**3 / 8, abs=0.05)
    QtTest.QTest.mouseClick(hand.window.whole, QtCore.Qt.LeftButton)
    seen = hand.window.plot.seen()
    assert (seen.lower, seen.upper) == pytest.approx((CENTRE - RATE / 2, CENTRE + RATE / 2))


def test_pause_and_live_by_keys(hand):
    QtTest.QTest.keyClick(hand.window, QtCore.Qt.Key_Space)
    top = hand.window.top
    hand.model.rows.put(np.full((1000, BINS), -95, np.float32))
    windows.wait(0.3)
    assert hand.window.top == top and hand.window.pause.text() == "Live"
    QtTest.QTest.keyClick(hand.window, QtCore.Qt.Key_Space)
    windows.wait(0.3)
    assert hand.window.top == pytest.approx(top + 1000 * STRIDE / RATE, abs=0.05)
    hand.window.zoom_in_time(0.25, 20)
    QtTest.QTest.keyClick(hand.window, QtCore.Qt.Key_PageDown)
    assert not hand.window.live
    QtTest.QTest.keyClick(hand.window, QtCore.Qt.Key_Home)
    assert hand.window.live


def test_scroll_bar_goes_back(hand):
    hand.window.zoom_in_time(0.25, 20)
    windows.until(lambda: hand.window.scroll.maximum() > 0, "something to scroll", 5)
    hand.window.scroll.setValue(hand.window.scroll.maximum())
    windows.wait(0.2)
    assert not hand.window.live and hand.window.plot.seen().first == pytest.approx(0, abs=0.1)


def test_cursor_reads_time_frequency_level(hand):
    windows.hover(hand.viewport, hand.middle(hand.box("lora", 0)))
    windows.until(lambda: "dB" in hand.window.cursor_text.text(), "a reading")
    time, frequency, level = hand.window.cursor_text.text().split("   ")
    assert time.startswith("14:03:08.") or time.startswith("14:03:09.")
    assert frequency.startswith("434.0") and frequency.endswith("MHz")
    assert float(level.split()[0]) > -75
    assert "lora 88 %" in hand.window.note.text() and "120 kHz wide" in hand.window.note.text()


def test_colours_by_themselves_and_by_hand(hand):
    low, high = hand.window._range
    assert -105 < low < -94 and -70 < high < -45
    QtTest.QTest.mouseClick(hand.window.auto, QtCore.Qt.LeftButton, QtCore.Qt.NoModifier,
                            QtCore.QPoint(8, hand.window.auto.height() // 2))
    assert hand.window.low.isEnabled()
    hand.window.low.setFocus()
    hand.window.low.selectAll()
    QtTest.QTest.keyClicks(hand.window.low, "-80")
    QtTest.QTest.keyClick(hand.window.low, QtCore.Qt.Key_Return)
    assert hand.window._range[0] == -80
    windows.wait(1.2)
    assert hand.window._range[0] == -80  # the timer leaves it


def test_saved_picture_and_annotations(hand, tmp_path):
    hand.window.zoom_in_time(0.5, 20)  # 10 to 20 s
    windows.wait(0.2)
    assert hand.window.save_picture(str(tmp_path / "seen.png"))
    assert QtGui.QImage(str(tmp_path / "seen.png")).width() == hand.window.plot.width()
    assert hand.window.save_annotations(str(tmp_path / "seen.sigmf-meta"))
    meta = json.loads((tmp_path / "seen.sigmf-meta").read_text())
    truth = sorted(round(s * RATE) for s, length, *_ in SCENE if s + length > 10)
    made = meta["annotations"]
    assert sorted(a["core:sample_start"] for a in made) == truth
    assert meta["captures"][0]["core:frequency"] == CENTRE
    assert meta["captures"][0]["core:datetime"].startswith("2026-12-01T14:03:07.25")
    lora = next(a for a in made if a["core:label"] == "lora")
    assert sorted(a["core:label"] for a in made if a.get("radiofm:unknown")) == ["unknown 2"] * 2
    assert (lora["core:freq_lower_edge"], lora["core:freq_upper_edge"]) == (CENTRE + 60e3, CENTRE + 180e3)
    assert not hand.window.save_picture(str(tmp_path / "missing" / "seen.png"))
    windows.until(lambda: hand.window.note.text().startswith("Not saved"), "why not")


def test_a_retuned_receiver_is_followed(hand):
    hand.model.rows.begin(20_000_000, 2 * RATE, 868e6, 868e6, START + 20)
    hand.model.rows.put(np.full((3000, BINS), -90, np.float32))
    windows.until(lambda: hand.window.plot.seen().lower == pytest.approx(867e6), "the new band")
    assert len([image for image in hand.window.plot._images if image.isVisible()]) == 2
