# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Colours of the windows, for a dark and a light theme."""

from dataclasses import dataclass
from functools import lru_cache
from zlib import crc32

import numpy as np
from PyQt5 import QtCore, QtGui, QtWidgets


@dataclass(frozen=True)
class Look:
    """text, back: of the window; map: colours from the weakest to the strongest; labels: of names;
    unknown, groups, found: of what fits no name, of groups of it, of what nothing has decided on;
    good, bad: of what is said"""

    dark: bool
    text: str
    back: str
    map: tuple[str, ...]
    labels: tuple[str, ...]
    unknown: str
    groups: tuple[str, ...]
    found: str
    good: str
    bad: str

    def colour(self, label: str, unknown: bool, known: tuple[str, ...] = ()) -> QtGui.QColor:
        """Of a name. known: all that are taught, in their order; no two of them have the same colour as long
        as there are enough."""
        if not label:
            return QtGui.QColor(self.found)
        if unknown:
            number = label.rpartition(" ")[2]
            if not number.isdigit():
                return QtGui.QColor(self.unknown)
            return QtGui.QColor(self.groups[int(number) % len(self.groups)])
        return QtGui.QColor(self.labels[places(known or (label,), len(self.labels)).get(label, 0)])

    def table(self) -> np.ndarray:
        """uint8 (256, 3) of ``map``."""
        colours = np.array([QtGui.QColor(name).getRgb()[:3] for name in self.map], float)
        at = np.linspace(0, len(colours) - 1, 256)
        parts = [np.interp(at, range(len(colours)), colours[:, i]) for i in range(3)]
        return np.stack(parts, axis=1).astype(np.uint8)


DARK = Look(True, "#e8e8e8", "#101010",
            ("#000004", "#160b39", "#420a68", "#6a176e", "#932667", "#bc3754", "#dd513a", "#f37819",
             "#fca50a", "#f6d746", "#fcffa4"),
            ("#4fc3f7", "#9ccc65", "#ce93d8", "#80cbc4", "#f48fb1", "#ffab91", "#b39ddb", "#c5e1a5",
             "#90a4ff", "#bcaaa4"),
            "#cfd8dc", ("#ffd54f", "#ffb74d", "#fff59d", "#ffe082"), "#9e9e9e", "#9ccc65", "#ff8a80")
LIGHT = Look(False, "#1a1a1a", "#f7f7f7",
             ("#ffffff", "#f2f6fa", "#d6e4f0", "#a9c9e4", "#74a6d2", "#4480bd", "#235c9e", "#123d78",
              "#081d45"),
             ("#00695c", "#6a1b9a", "#c2185b", "#827717", "#1a237e", "#5d4037", "#00838f", "#455a64",
              "#9e6a00", "#33691e"),
             "#b71c1c", ("#e65100", "#bf360c", "#a84300", "#8d4a00"), "#616161", "#1b5e20", "#b71c1c")


@lru_cache(maxsize=64)
def places(labels: tuple[str, ...], count: int) -> dict[str, int]:
    """Which of ``count`` colours each label has: its own, as long as no earlier label has that."""
    found: dict[str, int] = {}
    for label in labels:
        own = crc32(label.encode()) % count
        free = [place % count for place in range(own, own + count) if place % count not in found.values()]
        found[label] = free[0] if free else own
    return found


def on(colour: QtGui.QColor) -> QtGui.QColor:
    """What can be read on a colour."""
    bright = 0.299 * colour.red() + 0.587 * colour.green() + 0.114 * colour.blue()
    return QtGui.QColor("#000000" if bright > 140 else "#ffffff")


def around(widget: QtWidgets.QWidget) -> Look:
    """The theme of the window that a widget is in."""
    widget.ensurePolished()
    return DARK if widget.palette().color(QtGui.QPalette.Window).lightness() < 128 else LIGHT


def fit_first_window(widget: QtWidgets.QWidget) -> None:
    """Make the window around a widget as large as its contents ask for, where they are cut. (GNU Radio's
    windows scroll, and open at a size that knows nothing of what is in them.)"""
    top = widget.window()
    areas = [area for area in top.findChildren(QtWidgets.QScrollArea) if area.isAncestorOf(widget)]
    if top is widget or not areas or areas[0].widget() is None:
        return
    inner, shown = areas[0].widget(), areas[0].viewport().size()
    least, wanted = inner.minimumSizeHint(), inner.sizeHint()
    if shown.width() >= least.width() and shown.height() >= least.height():
        return
    screen = top.screen().availableGeometry()
    more = (wanted - shown).expandedTo(QtCore.QSize(0, 0))
    top.resize((top.size() + more).boundedTo(screen.size()))
    frame = top.frameGeometry()
    if not screen.contains(frame):
        top.move(max(screen.left(), min(frame.left(), screen.right() - frame.width())),
                 max(screen.top(), min(frame.top(), screen.bottom() - frame.height())))
