# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Windows for tests: without a screen, moved by real mouse and key events, and photographed on request."""

import os
import time
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import pytest

pytest.importorskip("PyQt5.QtWidgets", reason="PyQt5 is not installed")
pyqtgraph = pytest.importorskip("pyqtgraph", reason="pyqtgraph is not installed")
pyqtgraph.setConfigOption("exitCleanup", False)

from PIL import Image  # noqa: E402
from PyQt5 import QtCore, QtGui, QtTest, QtWidgets  # noqa: E402

PICTURES = os.environ.get("RADIOFM_SCREENSHOTS")  # a folder: every window that a test shows is saved there
THEMES = Path(os.environ.get("GR_THEMES", "/usr/share/gnuradio/themes"))


def application() -> QtWidgets.QApplication:
    """The one of this process, never let go of."""
    global _application
    _application = QtWidgets.QApplication.instance() or QtWidgets.QApplication(["tests"])
    return _application


def around(widget: QtWidgets.QWidget, theme: str) -> QtWidgets.QWidget:
    """A window as GNU Radio's programs have it, with a widget in it; theme: 'dark' (theirs) or 'light'."""
    app = application()
    qss = THEMES / "dark.qss"
    if theme == "dark" and not qss.is_file():
        pytest.skip(f"GNU Radio's dark theme is not in {THEMES}")
    app.setStyleSheet(qss.read_text() if theme == "dark" else "")
    top = QtWidgets.QWidget()
    outer, scroll = QtWidgets.QVBoxLayout(top), QtWidgets.QScrollArea()
    scroll.setFrameStyle(QtWidgets.QFrame.NoFrame)
    outer.addWidget(scroll)
    scroll.setWidgetResizable(True)
    inner = QtWidgets.QWidget()
    scroll.setWidget(inner)
    layout = QtWidgets.QVBoxLayout(inner)
    layout.addLayout(QtWidgets.QGridLayout())
    layout.addWidget(widget)
    top.show()
    app.processEvents()
    return top


class Hand:
    """What moves a ``window``, which looks at its model by a timer, in its ``top``."""

    def close(self) -> None:
        self.window._timer.stop()
        self.top.close()
        self.top.deleteLater()
        application().processEvents()


def until(condition, what: str, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for: {what}"
        application().processEvents()
        time.sleep(0.005)


def wait(seconds: float) -> None:
    QtTest.QTest.qWait(round(1000 * seconds))


def photograph(widget: QtWidgets.QWidget, name: str) -> None:
    if PICTURES:
        application().processEvents()
        Path(PICTURES).mkdir(parents=True, exist_ok=True)
        path = str(Path(PICTURES) / f"{name}.png")
        assert widget.grab().save(path)
        # of 256 colours: a third of the size, and nobody sees it
        with Image.open(path) as picture:
            picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def is_cut(widget: QtWidgets.QWidget) -> list[str]:
    """Words in a window that have less room than they need."""
    cut = []
    for part in widget.findChildren(QtWidgets.QWidget):
        if not part.isVisibleTo(widget) or not isinstance(part, (QtWidgets.QAbstractButton, QtWidgets.QLabel,
                                                                QtWidgets.QAbstractSpinBox)):
            continue
        ignored = part.sizePolicy().horizontalPolicy() == QtWidgets.QSizePolicy.Ignored
        if not ignored and part.width() < part.minimumSizeHint().width():
            cut.append(f"{type(part).__name__} '{part.text()}'")
    return cut


def drag(widget, start: QtCore.QPoint, end: QtCore.QPoint, button=QtCore.Qt.LeftButton) -> None:
    """With the mouse, in steps, as a hand does."""
    QtTest.QTest.mouseMove(widget, start)
    QtTest.QTest.mousePress(widget, button, QtCore.Qt.NoModifier, start)
    for step in range(1, 9):
        there = start + (end - start) * step / 8
        event = _move(there, widget, button)
        application().sendEvent(widget, event)
        wait(0.01)
    QtTest.QTest.mouseRelease(widget, button, QtCore.Qt.NoModifier, end)
    application().processEvents()


def _move(at, widget, button):
    return QtGui.QMouseEvent(QtCore.QEvent.MouseMove, QtCore.QPointF(at),
                             QtCore.QPointF(widget.mapToGlobal(at)), QtCore.Qt.NoButton, button,
                             QtCore.Qt.NoModifier)


def hover(widget, at: QtCore.QPoint) -> None:
    application().sendEvent(widget, _move(at, widget, QtCore.Qt.NoButton))
    application().processEvents()


def wheel(widget, at: QtCore.QPoint, notches: int, modifiers=QtCore.Qt.NoModifier) -> None:
    event = QtGui.QWheelEvent(QtCore.QPointF(at), QtCore.QPointF(widget.mapToGlobal(at)), QtCore.QPoint(),
                              QtCore.QPoint(0, 120 * notches), QtCore.Qt.NoButton, modifiers,
                              QtCore.Qt.NoScrollPhase, False)
    application().sendEvent(widget, event)
    application().processEvents()
