# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The teach panel's window, moved by mouse and keys."""

import numpy as np
import pytest

radiofm = pytest.importorskip("gnuradio.radiofm", reason="the blocks are not installed for this Python")
windows = pytest.importorskip("windows", reason="PyQt5 or pyqtgraph is not installed")

from gnuradio.radiofm.common.messages import Prediction, TileInfo  # noqa: E402
from gnuradio.radiofm.qt.panel import Panel  # noqa: E402
from PyQt5 import QtCore, QtTest, QtWidgets  # noqa: E402

LABELS = ("lora", "my remote", "weather station")


class Hand(windows.Hand):
    def __init__(self, theme: str = "light", taught=True):
        from gnuradio.radiofm.qt.panel_window import PanelWindow
        windows.application()
        self.sent: list[dict] = []
        self.model = Panel(self.sent.append)
        if taught:
            self.model.add_state({"lora": 5, "my remote": 12, "weather station": 1})
            for number, label in enumerate(["lora"] * 30 + ["my remote"] * 15 + ["unknown"] * 5):
                info = TileInfo(number * 100_000, 100_000, 1e6, tile=number, dropped=3)
                self.model.add_prediction(Prediction(info, "x", label, 0.9, label == "unknown", LABELS,
                                                     np.zeros(3, np.float32)))
            self.model.answered("false_alarm_rate", True, rate=0.05)
        self.window = PanelWindow(self.model, 5, 3.0)
        self.top = windows.around(self.window, theme)
        windows.wait(0.5)

    def press(self, button) -> None:
        assert button.isEnabled() and button.isVisible()
        QtTest.QTest.mouseClick(button, QtCore.Qt.LeftButton)

    def choose(self, label: str) -> None:
        """A row of the table."""
        (item,) = self.window.table.findItems(label, QtCore.Qt.MatchExactly)
        QtTest.QTest.mouseClick(self.window.table.viewport(), QtCore.Qt.LeftButton, QtCore.Qt.NoModifier,
                                self.window.table.visualItemRect(item).center())

    def cells(self) -> list[list[str]]:
        table = self.window.table
        return [[table.item(row, column).text() for column in range(table.columnCount())]
                for row in range(table.rowCount())]


@pytest.fixture
def hand():
    made = Hand()
    yield made
    made.close()


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_what_is_seen(theme):
    hand = Hand(theme)
    try:
        assert hand.cells() == [["lora", "5", "60 %", "now"], ["my remote", "12", "30 %", "now"],
                                ["weather station", "1", "0 %", "never"], ["unknown", "", "10 %", "now"]]
        assert hand.window.counts.text() == "50 embedded, 3 dropped"
        assert hand.window.rate.value() == 5.0
        scroll = hand.top.findChild(QtWidgets.QScrollArea)
        assert not scroll.horizontalScrollBar().isVisible() and not scroll.verticalScrollBar().isVisible()
        assert windows.is_cut(hand.window) == []
        hand.model.answered("drift", False, "x")
        hand.choose("my remote")
        hand.model.undo()
        hand.model.add_state({"lora": 3, "my remote": 12, "weather station": 1})
        hand.model.answered("drift", False, "x")
        hand.model.answered("undo", True)
        windows.wait(0.5)
        windows.photograph(hand.top, f"panel-{theme}")
        assert hand.window.note.text() == "Undone: 'lora' has 3 shots again, not 5"
        assert hand.window.advice.isVisible()
    finally:
        hand.close()


def test_type_a_name_and_press_enter(hand):
    QtTest.QTest.keyClicks(hand.window.name, "garage door")
    QtTest.QTest.keyClick(hand.window.name, QtCore.Qt.Key_Return)
    assert hand.sent == [{"command": "enroll", "label": "garage door", "shots": 5, "source": "next"}]
    windows.wait(0.3)
    assert hand.window.note.text() == "'garage door': 0 of the next 5 have come"
    assert hand.window.name.text() == ""


def test_last_seconds_to_the_chosen_label(hand):
    hand.choose("my remote")
    hand.window.seconds.setFocus()
    hand.window.seconds.selectAll()
    QtTest.QTest.keyClicks(hand.window.seconds, "1.0")
    hand.press(hand.window.last)
    assert hand.sent == [{"command": "enroll", "label": "my remote", "shots": 10, "source": "last"}]


def test_without_a_name_nothing_is_taught(hand):
    hand.press(hand.window.next)
    windows.wait(0.3)
    assert hand.sent == [] and hand.window.note.text() == "Type the name of what is on first"


def test_rename_in_the_table(hand):
    hand.choose("lora")
    hand.press(hand.window.rename)
    editor = hand.window.table.viewport().findChild(QtWidgets.QLineEdit)
    windows.wait(0.5)  # what comes meanwhile does not disturb it
    QtTest.QTest.keyClicks(editor, "chirps")
    QtTest.QTest.keyClick(editor, QtCore.Qt.Key_Return)
    windows.wait(0.1)
    assert hand.sent == [{"command": "rename", "label": "lora", "new_label": "chirps"}]
    assert hand.cells()[0][0] == "lora"  # until the classifier has done it
    hand.model.add_state({"chirps": 5, "my remote": 12, "weather station": 1})
    windows.wait(0.4)
    assert hand.cells()[0][0] == "chirps"


def test_remove_and_undo(hand):
    assert not hand.window.remove.isEnabled()
    hand.choose("unknown")
    assert not hand.window.remove.isEnabled()  # nobody has taught it
    hand.choose("weather station")
    hand.press(hand.window.remove)
    hand.press(hand.window.undo)
    assert hand.sent == [{"command": "remove", "label": "weather station"}, {"command": "undo"}]


def test_false_alarm_rate(hand):
    hand.window.rate.setFocus()
    hand.window.rate.selectAll()
    QtTest.QTest.keyClicks(hand.window.rate, "2.5")
    QtTest.QTest.keyClick(hand.window.rate, QtCore.Qt.Key_Return)
    assert hand.sent == [{"command": "false_alarm_rate", "rate": 0.025}]


def test_save_and_load(hand, monkeypatch):
    monkeypatch.setattr(QtWidgets.QFileDialog, "getSaveFileName", lambda *_: ("/x/a.safetensors", ""))
    monkeypatch.setattr(QtWidgets.QFileDialog, "getOpenFileName", lambda *_: ("/x/b.safetensors", ""))
    hand.press(hand.window.save)
    hand.press(hand.window.load)
    assert hand.sent == [{"command": "save", "path": "/x/a.safetensors"},
                         {"command": "load", "path": "/x/b.safetensors"}]
    hand.model.answered("save", True)
    windows.wait(0.3)
    assert hand.window.note.text() == "Saved: /x/a.safetensors"


def test_nothing_taught_says_what_to_do():
    hand = Hand(taught=False)
    try:
        assert hand.window.note.text().startswith("Nothing is taught: type a name")
        assert not hand.window.rate.isEnabled()
    finally:
        hand.close()
