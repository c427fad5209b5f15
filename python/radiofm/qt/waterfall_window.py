# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The window of a labelled waterfall: a plot, the buttons above it and a line of text below."""

from PyQt5 import QtCore, QtWidgets

from . import look
from .boxes import Box
from .name_prompt import NamePrompt
from .waterfall import Note, Said, said_now
from .waterfall_hands import Hands
from .waterfall_plot import WaterfallPlot

_TICK = 100  # ms between looks at what has come
_SPAN = 10.0  # seconds seen at first
_LEAST_SPAN = 1e-3
_SAID = 8.0  # seconds that a note stands
_NEAR = 4  # pixels from a box that still mean it
_SCROLL = 100  # steps of the scroll bar in a second
_LEAST_RANGE = 12.0  # dB


class WaterfallWindow(Hands, QtWidgets.QWidget):
    """model: a Waterfall. All that comes from other threads is looked for by a timer."""

    def __init__(self, model):
        super().__init__()
        self.model, self._look, self._theme = model, look.DARK, "auto"
        self.plot = WaterfallPlot(model)
        self.prompt = NamePrompt(self.plot)
        self.menu: QtWidgets.QMenu | None = None
        self.span, self.top, self.live = _SPAN, 0.0, True  # seconds seen; the end of them; do they move on?
        self._band: tuple[float, float] | None = None
        self._range = -100.0, 0.0
        self._drawn: tuple | None = None
        self._mouse: QtCore.QPointF | None = None
        self._near: int | None = None
        self._said: Said | None = None
        self._ticks = 0
        self.plot.setMinimumSize(480, 320)
        self._build()
        self._connect()
        self._timer = QtCore.QTimer(self)
        self._timer.timeout.connect(self.look)
        self._timer.start(_TICK)
        self.setSizePolicy(QtWidgets.QSizePolicy.Expanding, QtWidgets.QSizePolicy.Expanding)

    def sizeHint(self):  # noqa: N802
        return QtCore.QSize(1120, 620)

    # -- how it is made -------------------------------------------------------------------------------
    def _build(self) -> None:
        self.pause = QtWidgets.QPushButton("Pause")
        self.pause.setToolTip("Hold the picture (space); what comes meanwhile is kept")
        self.whole = QtWidgets.QPushButton("Whole band")
        self.undo = QtWidgets.QPushButton("Undo")
        self.undo.setToolTip("Take back what was taught last (Ctrl+Z)")
        self.auto = QtWidgets.QCheckBox("Auto")
        self.auto.setChecked(True)
        self.low, self.high = QtWidgets.QSpinBox(), QtWidgets.QSpinBox()
        for box, value in ((self.low, -100), (self.high, 0)):
            box.setRange(-250, 250)
            box.setValue(value)
            box.setSuffix(" dB")
            box.setEnabled(False)
        self.save, saving = QtWidgets.QPushButton("Save"), QtWidgets.QMenu(self)
        saving.addAction("Picture (PNG)…", self._ask_picture)
        saving.addAction("Annotations (SigMF)…", self._ask_annotations)
        self.save.setMenu(saving)
        self.save.setToolTip("What is seen")
        self.auto.setToolTip("Colours from the noise to the strongest signal")
        bar = QtWidgets.QHBoxLayout()
        bar.setSpacing(4)
        for widget in (self.pause, self.whole, self.undo):
            bar.addWidget(widget)
        bar.addStretch(1)
        for widget in (self.auto, self.low, QtWidgets.QLabel("to"), self.high):
            bar.addWidget(widget)
        bar.addStretch(1)
        bar.addWidget(self.save)
        self.scroll = QtWidgets.QScrollBar(QtCore.Qt.Vertical)
        self.scroll.setToolTip("Back in time")
        middle = QtWidgets.QHBoxLayout()
        middle.addWidget(self.plot, 1)
        middle.addWidget(self.scroll)
        self.cursor_text, self.note, self.density = (QtWidgets.QLabel() for _ in range(3))
        self.note.setSizePolicy(QtWidgets.QSizePolicy.Ignored, QtWidgets.QSizePolicy.Preferred)
        self.cursor_text.setMinimumWidth(270)
        foot = QtWidgets.QHBoxLayout()
        foot.addWidget(self.cursor_text)
        foot.addWidget(self.note, 1)
        foot.addWidget(self.density)
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.addLayout(bar)
        layout.addLayout(middle, 1)
        layout.addLayout(foot)
        self.setFocusPolicy(QtCore.Qt.StrongFocus)
        for button in self.findChildren(QtWidgets.QAbstractButton):
            button.setFocusPolicy(QtCore.Qt.TabFocus)  # so that space is of the window

    def _connect(self) -> None:
        view = self.plot.view
        view.drawn.connect(self._drawn_area)
        view.clicked.connect(self._clicked)
        view.asked.connect(self._open_menu)
        view.moved_in_time.connect(self.move_in_time)
        view.zoomed_in_time.connect(self.zoom_in_time)
        view.whole.connect(self.show_whole_band)
        self.plot.scene().sigMouseMoved.connect(self._moved)
        self.pause.clicked.connect(lambda: self.set_live(not self.live))
        self.whole.clicked.connect(self.show_whole_band)
        self.undo.clicked.connect(self.model.undo)
        self.auto.toggled.connect(self._set_automatic)
        self.low.valueChanged.connect(self._set_range)
        self.high.valueChanged.connect(self._set_range)
        self.scroll.valueChanged.connect(self._scrolled)
        self.prompt.closed.connect(view.clear_band)

    def set_theme(self, theme: str) -> None:
        """'auto', 'dark' or 'light'."""
        self._theme = theme
        chosen = {"dark": look.DARK, "light": look.LIGHT}.get(theme) or look.around(self)
        self._look = chosen
        self.plot.set_look(chosen)
        self.prompt.set_look(chosen)
        style = f"color: {chosen.text}; background: {chosen.back}"
        self.setStyleSheet("" if theme == "auto" else f"WaterfallWindow, QLabel, QCheckBox {{ {style} }}")
        self._drawn = None

    def showEvent(self, event):  # noqa: N802
        super().showEvent(event)
        self.set_theme(self._theme)
        QtCore.QTimer.singleShot(0, lambda: look.fit_first_window(self))

    # -- what has come --------------------------------------------------------------------------------
    def look(self) -> None:
        """The timer's: draw what is new."""
        self._ticks += 1
        self._say_notes()
        if not self.isVisible():
            return
        first, last = self.model.rows.span()
        if self._ticks % 10 == 1:
            self._look_seldom(first, last)
        if self.live:
            self.top = last
        self._follow_band()
        self._read_cursor()
        self._draw(last - first > 0)

    def _look_seldom(self, first: float, last: float) -> None:
        self.density.setText(self.model.density())
        stretch = self.model.rows.at_seconds(first)
        if stretch is not None:
            self.model.boxes.forget_before(stretch.sample_of(first))
        if self.auto.isChecked():
            self._set_colours_by_themselves()
        self._set_scroll(first, last)

    def _draw(self, anything: bool) -> None:
        """Where at least a line of pixels has changed."""
        pixel = self.span / self.plot.lines
        wanted = (round(self.top / pixel), self.span, self._range, self.model.boxes.changes, self._near,
                  self.plot.seen()[2:], self.plot.lines)
        if not anything or wanted == self._drawn:
            return
        rows_changed = self._drawn is None or wanted[:3] != self._drawn[:3] or wanted[6] != self._drawn[6]
        self._drawn = wanted
        if rows_changed:
            self.plot.draw_rows(self.top - self.span, self.top, *self._range)
        self.plot.boxes.show_boxes(self.model.seen(self.plot.seen()), self._near, self._look,
                                   self.model.labels)

    def _follow_band(self) -> None:
        """Where the receiver is tuned elsewhere, so is the picture that shows the whole band."""
        stretch = self.model.rows.latest
        if stretch is None or stretch.band == self._band:
            return
        first, self._band = self._band is None, stretch.band
        self.plot.frequencies.on_air = stretch.centre is not None
        if first or self.live:
            self.show_whole_band()

    def show_whole_band(self) -> None:
        stretch = self.model.rows.latest
        if stretch is not None:
            lower, upper = stretch.band
            self.plot.view.setLimits(minXRange=stretch.rate / 1e5, maxXRange=4 * stretch.rate)
            self.plot.view.setXRange(lower, upper, padding=0)

    def _say_notes(self) -> None:
        before, self._said = self._said, said_now(self._said, self.model.notes, _SAID)
        if self._said is before:
            return
        if self._said:
            note = self._said[1]
            self.note.setText(note.text)
            self.note.setToolTip(note.text)
            colour = self._look.good if note.good else self._look.bad
            self.note.setStyleSheet(f"color: {colour}; background: transparent; font-weight: bold")
        else:
            self.note.clear()

    # -- time -----------------------------------------------------------------------------------------
    def set_live(self, live: bool) -> None:
        """Does the picture move on?"""
        self.live = live
        self.pause.setText("Pause" if live else "Live")
        if live:
            self.top = self.model.rows.span()[1]

    def move_in_time(self, seconds: float) -> None:
        """Later above 0; as far as anything is kept."""
        first, last = self.model.rows.span()
        self.top = max(min(self.top + seconds, last), min(first + self.span, last))
        self.set_live(seconds > 0 and self.top >= last)

    def zoom_in_time(self, factor: float, stays: float) -> None:
        """factor: above 1 for more; stays: seconds, where the mouse is. The newest line stays if live."""
        first, last = self.model.rows.span()
        span = min(max(self.span * factor, _LEAST_SPAN), max(last - first, _SPAN))
        if not self.live:
            self.top = min(stays + (self.top - stays) * span / self.span, last)
        self.span = span

    def _set_scroll(self, first: float, last: float) -> None:
        self.scroll.blockSignals(True)
        self.scroll.setRange(0, max(0, round((last - first - self.span) * _SCROLL)))
        self.scroll.setPageStep(max(1, round(self.span * _SCROLL)))
        self.scroll.setValue(round((last - self.top) * _SCROLL))
        self.scroll.blockSignals(False)

    def _scrolled(self, value: int) -> None:
        last = self.model.rows.span()[1]
        self.top = last - value / _SCROLL
        self.set_live(value == 0)

    # -- colours --------------------------------------------------------------------------------------
    def _set_colours_by_themselves(self) -> None:
        """From a little below the noise to the strongest; what changes little stays."""
        found = self.model.rows.range()
        if found is None:
            return
        low, high = found[0] - 3.0, max(found[1], found[0] + _LEAST_RANGE)
        if abs(low - self._range[0]) > 1.0 or abs(high - self._range[1]) > 2.0:
            self._range = low, high
            for box, value in ((self.low, low), (self.high, high)):
                box.blockSignals(True)
                box.setValue(round(value))
                box.blockSignals(False)

    def _set_automatic(self, automatic: bool) -> None:
        self.low.setEnabled(not automatic)
        self.high.setEnabled(not automatic)
        if automatic:
            self._set_colours_by_themselves()
        else:
            self._set_range()

    def _set_range(self) -> None:
        self._range = float(self.low.value()), float(max(self.high.value(), self.low.value() + 1))

    # -- mouse and keys -------------------------------------------------------------------------------
    def _moved(self, at) -> None:
        self._mouse = at

    def _read_cursor(self) -> None:
        view = self.plot.view
        if self._mouse is None or not view.sceneBoundingRect().contains(self._mouse):
            self._near = None
            self.cursor_text.clear()
            return
        at = view.mapSceneToView(self._mouse)
        self.cursor_text.setText(self.model.reading(at.y(), at.x(), *self.plot.pixel()))
        box = self._box_at(at.y(), at.x())
        self._near = None if box is None else box.number
        if box is not None and self._said is None:
            self.note.setStyleSheet(f"color: {self._look.text}; background: transparent")
            self.note.setText(self.model.describe(box))
        elif self._said is None:
            self.note.clear()

    def _box_at(self, seconds: float, frequency: float) -> Box | None:
        pixel = self.plot.pixel()
        return self.model.at(seconds, frequency, (_NEAR * pixel[0], _NEAR * pixel[1]))

    def show_next(self, box: Box) -> None:
        """Jump to the next of its kind."""
        other = self.model.boxes.next_of_kind(box)
        area = None if other is None else self.model.area(other)
        if area is None:
            return
        self.set_live(False)
        first, last = self.model.rows.span()
        middle = (area.first + area.last) / 2
        self.top = max(min(middle + self.span / 2, last), min(first + self.span, last))
        seen = self.plot.seen()
        if not (seen.lower <= area.lower and area.upper <= seen.upper):
            half = max(seen.upper - seen.lower, area.upper - area.lower) / 2
            centre = (area.lower + area.upper) / 2
            self.plot.view.setXRange(centre - half, centre + half, padding=0)
        self.model.notes.append(Note(f"Next: {self.model.describe(other)}"))

    def keyPressEvent(self, event):  # noqa: N802
        keys = {QtCore.Qt.Key_Space: lambda: self.set_live(not self.live),
                QtCore.Qt.Key_PageDown: lambda: self.move_in_time(-self.span / 2),
                QtCore.Qt.Key_PageUp: lambda: self.move_in_time(self.span / 2),
                QtCore.Qt.Key_End: lambda: self.move_in_time(-1e9),
                QtCore.Qt.Key_Home: lambda: self.set_live(True)}
        undo = event.key() == QtCore.Qt.Key_Z and event.modifiers() & QtCore.Qt.ControlModifier
        action = self.model.undo if undo else keys.get(event.key())
        if action is None:
            super().keyPressEvent(event)
        else:
            action()
