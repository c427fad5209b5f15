# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The window of an embedding view: dots, prototypes, what is known of the dot at the mouse."""

from PyQt5 import QtCore, QtGui, QtWidgets

import pyqtgraph as pg  # isort: skip  (takes the Qt that is imported already)

from . import look
from .embedding_map import Dot, EmbeddingMap
from .name_prompt import NamePrompt
from .waterfall import Said, said_now

pg.setConfigOption("exitCleanup", False)  # it would look into every object of the program

_TICK = 200  # ms between looks at what has come
_SAID = 8.0  # seconds that a note stands
_NEAR = 8  # pixels from a dot that still mean it


class MapView(pg.ViewBox):
    """Left button: draw a rectangle, or click. Middle: move. Wheel: zoom. Double click: all."""

    drawn = QtCore.pyqtSignal(float, float, float, float)  # left, right, low, high
    clicked = QtCore.pyqtSignal(float, float)
    whole = QtCore.pyqtSignal()

    def __init__(self):
        super().__init__(enableMenu=False)
        self.band = QtWidgets.QGraphicsRectItem()
        self.band.hide()
        self.addItem(self.band, ignoreBounds=True)

    def mouseDragEvent(self, event, axis=None):  # noqa: N802
        if event.button() != QtCore.Qt.LeftButton or axis is not None:
            super().mouseDragEvent(event, axis)
            return
        event.accept()
        there = QtCore.QRectF(self.mapToView(event.buttonDownPos()), self.mapToView(event.pos())).normalized()
        self.band.setRect(there)
        self.band.show()
        if event.isFinish():
            self.drawn.emit(there.left(), there.right(), there.top(), there.bottom())

    def mouseClickEvent(self, event):  # noqa: N802
        event.accept()
        at = self.mapToView(event.pos())
        if event.double():
            self.whole.emit()
        elif event.button() == QtCore.Qt.LeftButton:
            self.clicked.emit(at.x(), at.y())


class Dots(pg.ScatterPlotItem):
    """Clicks on them are the view's, too."""

    def mouseClickEvent(self, event):  # noqa: N802
        event.ignore()


class EmbeddingWindow(QtWidgets.QWidget):
    """model: an EmbeddingMap. All that comes from other threads is looked for by a timer."""

    def __init__(self, model: EmbeddingMap):
        super().__init__()
        self.model, self._look, self._changes = model, look.DARK, -1
        self._mouse: QtCore.QPointF | None = None
        self._said: Said | None = None
        self.near: Dot | None = None
        self.view = MapView()
        self.plot = pg.PlotWidget(viewBox=self.view)
        self.plot.setMinimumSize(320, 200)
        self.plot.hideAxis("left")
        self.plot.hideAxis("bottom")
        self.dots, self.shots, self.centres = (Dots(pxMode=True) for _ in range(3))
        for item in (self.dots, self.shots, self.centres):
            self.plot.addItem(item)
        self._names: list[pg.TextItem] = []
        self.prompt = NamePrompt(self.plot)
        self.anew = QtWidgets.QPushButton("Map anew")
        self.anew.setToolTip("Choose anew the two directions in which the signals differ most")
        self.about, self.note = QtWidgets.QLabel(), QtWidgets.QLabel()
        self.image = QtWidgets.QLabel(self.plot)
        self.image.hide()
        for text in (self.about, self.note):
            text.setSizePolicy(QtWidgets.QSizePolicy.Ignored, QtWidgets.QSizePolicy.Fixed)
        bar = QtWidgets.QHBoxLayout()
        bar.addWidget(self.anew)
        bar.addWidget(self.about, 1)
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.addLayout(bar)
        layout.addWidget(self.plot, 1)
        layout.addWidget(self.note)
        self.anew.clicked.connect(self._fit)
        self.view.drawn.connect(self._drawn)
        self.view.clicked.connect(self._clicked)
        self.view.whole.connect(self.view.autoRange)
        self.prompt.closed.connect(self.view.band.hide)
        self.plot.scene().sigMouseMoved.connect(self._moved)
        self._timer = QtCore.QTimer(self)
        self._timer.timeout.connect(self.look)
        self._timer.start(_TICK)

    def sizeHint(self):  # noqa: N802
        return QtCore.QSize(540, 340)

    def showEvent(self, event):  # noqa: N802
        super().showEvent(event)
        self._look = look.around(self)
        self.plot.setBackground(self._look.back)
        self.prompt.set_look(self._look)
        self.view.band.setPen(pg.mkPen(self._look.text, style=QtCore.Qt.DashLine))
        self._changes = -1
        QtCore.QTimer.singleShot(0, lambda: look.fit_first_window(self))

    # -- what has come --------------------------------------------------------------------------------
    def look(self) -> None:
        """The timer's."""
        self._say()
        if not self.isVisible():
            return
        if self.model.changes != self._changes:
            self._changes = self.model.changes
            self._paint()
        self._read_mouse()

    def _paint(self) -> None:
        dots, known, colours = self.model.dots(), self.model.labels(), {}

        def brush(label: str, unknown: bool):
            if (label, unknown) not in colours:
                colour = self._look.colour(label, unknown, known)
                if unknown and label == "unknown":
                    colour = QtGui.QColor(self._look.found)  # the many that are none: in the background
                colours[label, unknown] = pg.mkBrush(colour)
            return colours[label, unknown]

        self.dots.setData(x=[dot.at[0] for dot in dots], y=[dot.at[1] for dot in dots], size=8, pen=None,
                          brush=[brush(dot.label, dot.stranger) for dot in dots])
        taught = self.model.taught()
        shots = [(x, y, one.label) for one in taught for x, y in one.shots]
        edge = pg.mkPen(self._look.text, width=1)
        self.shots.setData(x=[s[0] for s in shots], y=[s[1] for s in shots], size=12, symbol="d", pen=edge,
                           brush=[brush(s[2], s[2].startswith("not ")) for s in shots])
        self.centres.setData(x=[one.at[0] for one in taught], y=[one.at[1] for one in taught], size=20,
                             symbol="star", pen=edge,
                             brush=[brush(one.label, one.label.startswith("not ")) for one in taught])
        for name in self._names:
            self.plot.removeItem(name)
        self._names = []
        for one in taught:
            fill = brush(one.label, one.label.startswith("not ")).color()
            name = pg.TextItem(one.label, color=look.on(fill), anchor=(0.5, 1.6), fill=fill)
            name.setPos(*one.at)
            self.plot.addItem(name, ignoreBounds=True)
            self._names.append(name)
        if dots:
            self.about.setText(f"{len(dots)} on the map, {100 * self.model.share:.0f} % of how they differ")
            self.about.setToolTip("In the two directions that are seen lies this share of all differences "
                                  "(variance) between those that came")
        else:
            self.about.setText("Made when 30 have come")

    def _say(self) -> None:
        self._said = said_now(self._said, self.model.notes, _SAID)
        if self._said:
            note = self._said[1]
            self.note.setText(note.text)
            self.note.setStyleSheet(f"color: {self._look.good if note.good else self._look.bad}")

    def _fit(self) -> None:
        if self.model.fit():
            self.view.enableAutoRange()

    # -- mouse ----------------------------------------------------------------------------------------
    def _moved(self, at) -> None:
        self._mouse = at

    def _at(self, x: float, y: float) -> Dot | None:
        wide, high = self.view.viewPixelSize()
        return self.model.nearest(x, y, (_NEAR * abs(wide), _NEAR * abs(high)))

    def _read_mouse(self) -> None:
        inside = self._mouse is not None and self.view.sceneBoundingRect().contains(self._mouse)
        at = self.view.mapSceneToView(self._mouse) if inside else None
        dot = None if at is None else self._at(at.x(), at.y())
        if dot is None:
            self.near = None
            self.image.hide()
            if self._said is None:
                self.note.clear()
            return
        if self._said is None:
            self.note.setText(self.model.describe(dot))
            self.note.setStyleSheet(f"color: {self._look.text}")
        if self.near is None or dot.key != self.near.key:
            self._show_picture(dot)
        self.near = dot

    def _show_picture(self, dot: Dot) -> None:
        picture = self.model.picture(dot)
        if picture is None:
            self.image.hide()
            return
        colours = self._look.table()[picture]
        rows, columns, _ = colours.shape
        image = QtGui.QImage(colours.tobytes(), columns, rows, 3 * columns, QtGui.QImage.Format_RGB888)
        self.image.setPixmap(QtGui.QPixmap.fromImage(image).scaled(160, 160))
        self.image.setFrameShape(QtWidgets.QFrame.Box)
        self.image.adjustSize()
        at = self.plot.mapFromScene(self._mouse) + QtCore.QPoint(14, 14)
        room = self.plot.size() - self.image.size()
        self.image.move(min(at.x(), room.width() - 4), min(at.y(), room.height() - 4))
        self.image.show()

    def _clicked(self, x: float, y: float) -> None:
        dot = self._at(x, y)
        if dot is not None:
            self._ask(f"What is this? {self.model.describe(dot)}", [dot], x, y)

    def _drawn(self, left: float, right: float, low: float, high: float) -> None:
        dots = self.model.within(left, right, low, high)
        if dots:
            self._ask(f"What are these {len(dots)}?", dots, right, high)
        else:
            self.view.band.hide()

    def _ask(self, about: str, dots: list[Dot], x: float, y: float) -> None:
        at = self.plot.mapFromScene(self.view.mapViewToScene(QtCore.QPointF(x, y))) + QtCore.QPoint(8, 8)
        self.image.hide()
        self.prompt.ask(about, at, self.model.labels(), lambda name: self.model.teach(name, dots))
