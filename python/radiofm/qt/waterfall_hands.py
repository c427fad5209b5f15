# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What hands do in the window of a labelled waterfall: names, the menu of the right button, files."""

from datetime import UTC, datetime

from PyQt5 import QtCore, QtWidgets

from . import export, words
from .boxes import Box
from .waterfall import Area, Note


class Hands:
    """Mixin of the window: it gives ``model``, ``plot``, ``prompt``, ``menu``, ``show_whole_band`` and
    ``show_next``."""

    # -- names ----------------------------------------------------------------------------------------
    def _drawn_area(self, area: Area) -> None:
        """A rectangle was drawn: what is in it, or the place, gets a name."""
        boxes = self.model.chosen(area)
        if boxes:
            self._ask_name(boxes, area.last, area.upper)
            return
        there = words.frequency((area.lower + area.upper) / 2, self.plot.pixel()[1])
        self.prompt.ask(f"Nothing is found here yet. Teach what is at {there}:",
                        self._point(area.last, area.upper), self.model.labels,
                        lambda name: self.model.teach_place(name, area))

    def _clicked(self, seconds: float, frequency: float) -> None:
        self.setFocus()
        box = self._box_at(seconds, frequency)
        if box is not None:
            self._ask_name([box], seconds, frequency)
        elif self.prompt.isVisible():
            self.prompt.leave()

    def _ask_name(self, boxes: list[Box], seconds: float, frequency: float) -> None:
        about = (f"What is this? {self.model.describe(boxes[0])}" if len(boxes) == 1
                 else f"What are these {len(boxes)} signals?")
        self.prompt.ask(about, self._point(seconds, frequency), self.model.labels,
                        lambda name: self.model.teach(name, boxes))

    def _point(self, seconds: float, frequency: float) -> QtCore.QPoint:
        """Beside a place in the picture."""
        view = self.plot.view
        there = view.mapViewToScene(QtCore.QPointF(frequency, seconds))
        return self.plot.mapFromScene(there) + QtCore.QPoint(8, 8)

    def _open_menu(self, seconds: float, frequency: float, at: QtCore.QPoint) -> None:
        box = self._box_at(seconds, frequency)
        self.menu = QtWidgets.QMenu(self)
        if box is None:
            pixel = self.plot.pixel()
            area = Area(seconds - pixel[0], seconds + pixel[0], frequency - pixel[1], frequency + pixel[1])
            self.menu.addAction("Teach what is here…", lambda: self._drawn_area(area))
            self.menu.addAction("Whole band", self.show_whole_band)
        else:
            self.menu.addSection(self.model.describe(box))
            self.menu.addAction("Teach…", lambda: self._ask_name([box], seconds, frequency))
            if box.label and not box.stranger:
                self.menu.addAction(f"Rename '{box.label}'…",
                                    lambda: self._ask_rename(box, seconds, frequency))
                self.menu.addAction(f"Forget '{box.label}'", lambda: self.model.forget(box.label))
                self.menu.addAction(f"This is not '{box.label}'", lambda: self.model.not_this(box))
            jump = self.menu.addAction("Next of its kind", lambda: self.show_next(box))
            jump.setEnabled(self.model.boxes.next_of_kind(box) is not None)
        self.menu.popup(at)

    def _ask_rename(self, box: Box, seconds: float, frequency: float) -> None:
        self.prompt.ask(f"New name of all '{box.label}':", self._point(seconds, frequency), (),
                        lambda name: self.model.rename(box.label, name), box.label, "rename")

    # -- files ----------------------------------------------------------------------------------------
    def _ask_picture(self) -> None:
        path, _ = QtWidgets.QFileDialog.getSaveFileName(self, "Save picture", _stamped("png"),
                                                        "Pictures (*.png)")
        if path:
            self.save_picture(path)

    def _ask_annotations(self) -> None:
        path, _ = QtWidgets.QFileDialog.getSaveFileName(self, "Save annotations", _stamped("sigmf-meta"),
                                                        "SigMF metadata (*.sigmf-meta)")
        if path:
            self.save_annotations(path)

    def save_picture(self, path: str) -> bool:
        """What is seen, as PNG; whether it was written (else why not is said)."""
        return self._write(path, lambda: export.picture(self.plot.grab(), path))

    def save_annotations(self, path: str) -> bool:
        """Of the boxes that are seen, as SigMF metadata."""
        return self._write(path, lambda: export.annotations(self.model, self.plot.seen(), path))

    def _write(self, path: str, write) -> bool:
        try:
            written = write()
        except (OSError, ValueError, ImportError) as error:
            self.model.notes.append(Note(f"Not saved: {error}", False))
            return False
        self.model.notes.append(Note(f"Saved: {written}"))
        return True


def _stamped(ending: str) -> str:
    return f"waterfall-{datetime.now(UTC):%Y-%m-%dT%H-%M-%SZ}.{ending}"
