# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The window of RadioFM Receiver: the waterfall, and the panel beside it."""

from PyQt5 import QtCore, QtWidgets


def beside(left, right) -> QtWidgets.QWidget:
    """Two widgets with a handle between them; the left one grows."""
    splitter = QtWidgets.QSplitter(QtCore.Qt.Horizontal)
    for widget in (left, right):
        splitter.addWidget(widget)
    splitter.setStretchFactor(0, 1)
    splitter.setStretchFactor(1, 0)
    splitter.setChildrenCollapsible(False)
    return splitter


def has_application() -> bool:
    return QtWidgets.QApplication.instance() is not None
