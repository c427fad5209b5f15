# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The plot of a labelled waterfall: axes, lines as an image, boxes, and what mouse and wheel do."""

import numpy as np
from PyQt5 import QtCore, QtGui, QtWidgets

import pyqtgraph as pg  # isort: skip  (takes the Qt that is imported already)


from . import words
from .boxes import Box
from .look import DARK, Look, on
from .rows import to_colours
from .waterfall import Area

pg.setConfigOption("exitCleanup", False)  # it would look into every object of the program

_STEPS = (1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2,
          0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
_FASTER = 1.2  # a notch of the wheel


class TimeAxis(pg.AxisItem):
    """Time of day where the stream tells it, else since the beginning."""

    def __init__(self):
        self.clock_of = lambda seconds: None
        super().__init__("left")

    def tickValues(self, low, high, size):  # noqa: N802 (pyqtgraph's)
        most = max(2, size / 60)
        step = next((s for s in _STEPS if (high - low) / s <= most), _STEPS[-1])
        clock = self.clock_of(low)
        shift = (clock - low) % step if words.has_date(clock) else 0.0
        first = np.ceil((low + shift) / step) * step - shift
        return [(step, list(np.arange(first, high, step)))]

    def tickStrings(self, values, scale, spacing):  # noqa: N802
        return [words.moment(value, self.clock_of(value), spacing) for value in values]


class FrequencyAxis(pg.AxisItem):
    """In one unit for all of it."""

    def __init__(self):
        self.on_air = False
        super().__init__("bottom")
        self.enableAutoSIPrefix(False)

    def tickStrings(self, values, scale, spacing):  # noqa: N802
        size, unit = self.unit()
        step = min(spacing, (self.range[1] - self.range[0]) / 5) / size  # the same digits at all ticks
        digits = max(0, int(np.ceil(-np.log10(max(step, 1e-12)) - 1e-6)))
        return [f"{value / size:.{digits}f}" for value in values]

    def unit(self) -> tuple[float, str]:
        largest = max(map(abs, self.range))
        return words.unit(largest)

    def setRange(self, low, high):  # noqa: N802
        super().setRange(low, high)
        where = "Frequency" if self.on_air else "Frequency from the centre"
        text = f"{where} ({self.unit()[1]})"
        if text != self.labelText:
            self.setLabel(text)


class WaterfallView(pg.ViewBox):
    """Left button: draw a rectangle, or click. Middle: move. Wheel: zoom frequency; Ctrl: time; Shift: back
    in time. Right: a menu."""

    drawn = QtCore.pyqtSignal(object)  # Area
    clicked = QtCore.pyqtSignal(float, float)  # seconds, Hz
    asked = QtCore.pyqtSignal(float, float, object)  # the same, and where on the screen
    moved_in_time = QtCore.pyqtSignal(float)  # seconds, later above 0
    zoomed_in_time = QtCore.pyqtSignal(float, float)  # factor, seconds that stay
    whole = QtCore.pyqtSignal()

    def __init__(self):
        super().__init__(enableMenu=False)
        self.setMouseEnabled(x=True, y=False)
        self.disableAutoRange()
        self._band = QtWidgets.QGraphicsRectItem()
        self._band.setZValue(20)
        self._band.hide()
        self.addItem(self._band, ignoreBounds=True)

    def set_look(self, look: Look) -> None:
        pen = pg.mkPen(look.text, width=1, style=QtCore.Qt.DashLine)
        self._band.setPen(pen)
        fill = QtGui.QColor(look.text)
        fill.setAlpha(40)
        self._band.setBrush(fill)

    def clear_band(self) -> None:
        self._band.hide()

    def mouseDragEvent(self, event, axis=None):  # noqa: N802
        if axis is not None or event.button() == QtCore.Qt.RightButton:
            event.ignore()
            return
        event.accept()
        if event.button() == QtCore.Qt.MiddleButton:
            here, before = self.mapToView(event.pos()), self.mapToView(event.lastPos())
            self.translateBy(x=before.x() - here.x())
            self.moved_in_time.emit(before.y() - here.y())
            return
        rectangle = QtCore.QRectF(self.mapToView(event.buttonDownPos()), self.mapToView(event.pos()))
        rectangle = rectangle.normalized()
        self._band.setRect(rectangle)
        self._band.show()
        if event.isFinish():
            self.drawn.emit(Area(rectangle.top(), rectangle.bottom(), rectangle.left(), rectangle.right()))

    def mouseClickEvent(self, event):  # noqa: N802
        at = self.mapToView(event.pos())
        event.accept()
        if event.button() == QtCore.Qt.RightButton:
            self.asked.emit(at.y(), at.x(), event.screenPos().toPoint())
        elif event.double():
            self.whole.emit()
        elif event.button() == QtCore.Qt.LeftButton:
            self.clicked.emit(at.y(), at.x())

    def wheelEvent(self, event, axis=None):  # noqa: N802
        notches = event.delta() / 120
        at = self.mapToView(self.mapFromScene(event.scenePos()))
        if axis == 1 or event.modifiers() & QtCore.Qt.ControlModifier:
            self.zoomed_in_time.emit(_FASTER ** -notches, at.y())
        elif event.modifiers() & QtCore.Qt.ShiftModifier:
            self.moved_in_time.emit(notches * self.viewRect().height() / 8)
        else:
            self.scaleBy(x=_FASTER ** -notches, center=at)
        event.accept()


class BoxItem(pg.GraphicsObject):
    """All boxes that are seen; one item, since there may be hundreds."""

    def __init__(self, view: WaterfallView):
        super().__init__()
        self._view, self._boxes, self._look = view, [], DARK
        self._near: int | None = None
        self._known: tuple[str, ...] = ()
        self._font = QtGui.QFont()
        self._font.setPixelSize(12)
        self._metrics = QtGui.QFontMetrics(self._font)
        self._styles: dict[tuple[str, bool], tuple] = {}
        self._widths: dict[str, int] = {}
        self._taken: dict[int, list[tuple[float, float, float]]] = {}  # by names that are written: by row
        self.setZValue(10)

    def show_boxes(self, boxes: list[tuple[Box, Area]], near: int | None, look: Look,
                   known: tuple[str, ...]) -> None:
        """near: number of the box at the mouse; known: labels that are taught."""
        self.prepareGeometryChange()
        if (look, known) != (self._look, self._known):
            self._styles.clear()
        self._boxes, self._near, self._look, self._known = boxes, near, look, known
        self.update()

    def boundingRect(self):  # noqa: N802
        return self._view.viewRect()

    def paint(self, painter, *_):
        painter.setRenderHint(QtGui.QPainter.Antialiasing, False)
        to_pixels = painter.worldTransform()
        painter.save()
        painter.setWorldTransform(QtGui.QTransform())
        painter.setFont(self._font)
        window = to_pixels.mapRect(self.boundingRect())
        self._taken.clear()
        # the one at the mouse first: its name is written for sure
        order = sorted(self._boxes, key=lambda entry: (entry[0].number != self._near, -entry[0].number))
        for box, area in order:
            there = to_pixels.mapRect(QtCore.QRectF(area.lower, area.first, area.upper - area.lower,
                                                    area.last - area.first))
            self._paint_box(painter, box, there, window)
        painter.restore()

    def _style(self, box: Box) -> tuple:
        """Pen, colour of the name's chip, colour on it; kept, since there are many boxes and few kinds."""
        key = box.label, box.stranger
        if key not in self._styles:
            if len(self._styles) > 1000:
                self._styles.clear()
            colour = self._look.colour(box.label, box.stranger, self._known)
            pen = QtGui.QPen(colour, 2 if box.label else 1)
            if box.stranger:
                pen.setStyle(QtCore.Qt.DashLine)
            self._styles[key] = pen, colour, on(colour)
        return self._styles[key]

    def _paint_box(self, painter, box: Box, there, window) -> None:
        near = box.number == self._near
        pen, colour, ink = self._style(box)
        if near:
            pen = QtGui.QPen(pen)
            pen.setWidth(3)
        painter.setPen(pen)
        painter.setBrush(QtCore.Qt.NoBrush)
        painter.drawRect(there.adjusted(-1, -1, 1, 1))
        text = box.text() if near else box.chip()
        chip = self._place_chip(text, there, window, near) if text else None
        if chip is not None:
            painter.fillRect(chip, colour)
            painter.setPen(ink)
            painter.drawText(chip, QtCore.Qt.AlignCenter, text)

    def _place_chip(self, text: str, there, window, near: bool):
        """Where a name is written: above its box, within the window; None where another name is."""
        if text not in self._widths:
            if len(self._widths) > 2000:
                self._widths.clear()
            self._widths[text] = self._metrics.horizontalAdvance(text) + 8
        width, height = self._widths[text], self._metrics.height() + 2
        left = min(max(there.left() - 2, window.left()), window.right() - width)
        top = there.top() - 2 - height
        if top < window.top():
            top = max(there.bottom() + 2, window.top())
        top = min(top, window.bottom() - height)
        row = int(top // height)
        beside = [entry for k in (row - 1, row, row + 1) for entry in self._taken.get(k, ())]
        if not near and any(left < right and other < left + width and abs(at - top) < height
                            for other, right, at in beside):
            return None
        self._taken.setdefault(row, []).append((left, left + width, top))
        return QtCore.QRectF(left, top, width, height)


class WaterfallPlot(pg.PlotWidget):
    """Lines and boxes of a Waterfall between two times."""

    def __init__(self, model):
        self.view, self.times, self.frequencies = WaterfallView(), TimeAxis(), FrequencyAxis()
        super().__init__(viewBox=self.view, axisItems={"left": self.times, "bottom": self.frequencies})
        self._model, self._look = model, DARK
        self._images: list[pg.ImageItem] = []
        self.boxes = BoxItem(self.view)
        self.view.addItem(self.boxes, ignoreBounds=True)
        self.times.clock_of = model.rows.clock_of
        self.hideButtons()
        self.getPlotItem().setContentsMargins(0, 6, 12, 0)
        self.times.setWidth(84)

    def set_look(self, look: Look) -> None:
        self._look = look
        self.setBackground(look.back)
        for axis in (self.times, self.frequencies):
            axis.setPen(look.text)
            axis.setTextPen(look.text)
        self.view.set_look(look)
        for image in self._images:
            image.setLookupTable(look.table())

    @property
    def lines(self) -> int:
        """Of pixels that the picture is high."""
        return max(50, round(self.view.height()))

    def draw_rows(self, first: float, last: float, low: float, high: float) -> None:
        """What lies between two times (seconds), dark where it is ``low`` dB."""
        self.view.setYRange(first, last, padding=0)
        self.view.updateMatrix()  # else while it is painted, which is then done twice
        pictures = self._model.rows.pictures(first, last, self.lines)
        while len(self._images) < len(pictures):
            image = pg.ImageItem(axisOrder="row-major")
            image.setLookupTable(self._look.table())
            self._images.append(image)
            self.view.addItem(image, ignoreBounds=True)
        for image, picture in zip(self._images, pictures, strict=False):
            image.setImage(to_colours(picture.values, low, high), autoLevels=False, levels=(0, 255))
            image.setRect(QtCore.QRectF(picture.lower, picture.first, picture.upper - picture.lower,
                                        picture.last - picture.first))
            image.show()
        for image in self._images[len(pictures):]:
            image.hide()

    def seen(self) -> Area:
        there = self.view.viewRect()
        return Area(there.top(), there.bottom(), there.left(), there.right())

    def pixel(self) -> tuple[float, float]:
        """Seconds and Hz that a pixel is."""
        wide, high = self.view.viewPixelSize()
        return abs(high), abs(wide)
