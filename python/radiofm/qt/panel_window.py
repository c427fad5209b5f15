# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The window of a teach panel: a name and what to teach it with, a table of labels, and buttons for them."""

from PyQt5 import QtCore, QtWidgets

from . import look
from .panel import Panel, Row
from .waterfall import Note, Said, said_now

_TICK = 200  # ms between looks at what has come
_SAID = 10.0  # seconds that a note stands
_HEADS = ("Label", "Shots", "Share (1 min)", "Last heard")


class PanelWindow(QtWidgets.QWidget):
    """model: a Panel. All that comes from other threads is looked for by a timer."""

    def __init__(self, model: Panel, shots: int, seconds: float):
        super().__init__()
        self.model, self._look = model, look.DARK
        self._said: Said | None = None
        self._rows: list[Row] = []
        self._rate: float | None = None
        self._build(shots, seconds)
        self._connect()
        self._timer = QtCore.QTimer(self)
        self._timer.timeout.connect(self.look)
        self._timer.start(_TICK)

    def sizeHint(self):  # noqa: N802
        return QtCore.QSize(600, 330)

    # -- how it is made -------------------------------------------------------------------------------
    def _build(self, shots: int, seconds: float) -> None:
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        for part in (self._teaching(shots, seconds), self._table(), self._doing(), self._saying()):
            (layout.addLayout if isinstance(part, QtWidgets.QLayout) else layout.addWidget)(part)
        layout.setStretch(1, 1)

    def _teaching(self, shots: int, seconds: float):
        self.name = QtWidgets.QLineEdit()
        self.name.setPlaceholderText("name of what is on")
        self.name.setMaxLength(128)
        self.name.setMinimumWidth(140)
        self.next, self.last = QtWidgets.QPushButton("Next"), QtWidgets.QPushButton("Last")
        self.next.setToolTip("Teach the next signals that come (Enter)")
        self.last.setToolTip("Teach all that was heard just now")
        self.shots, self.seconds = QtWidgets.QSpinBox(), QtWidgets.QDoubleSpinBox()
        self.shots.setRange(1, 1024)
        self.shots.setValue(shots)
        self.seconds.setRange(0.1, 600.0)
        self.seconds.setDecimals(1)
        self.seconds.setValue(seconds)
        self.seconds.setSuffix(" s")
        row = QtWidgets.QHBoxLayout()
        row.addWidget(self.name, 1)
        for widget in (self.next, self.shots, self.last, self.seconds):
            row.addWidget(widget)
        return row

    def _table(self):
        self.table = QtWidgets.QTableWidget(0, len(_HEADS))
        self.table.setHorizontalHeaderLabels(_HEADS)
        self.table.verticalHeader().hide()
        self.table.setSelectionBehavior(QtWidgets.QAbstractItemView.SelectRows)
        self.table.setSelectionMode(QtWidgets.QAbstractItemView.SingleSelection)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(0, QtWidgets.QHeaderView.Stretch)
        for column in range(1, len(_HEADS)):
            header.setSectionResizeMode(column, QtWidgets.QHeaderView.ResizeToContents)
        self.table.setMinimumHeight(150)
        self.table.setSizePolicy(QtWidgets.QSizePolicy.Expanding, QtWidgets.QSizePolicy.Preferred)
        return self.table

    def _doing(self):
        self.rename, self.remove, self.undo, self.save, self.load = (
            QtWidgets.QPushButton(text) for text in ("Rename", "Remove", "Undo", "Save…", "Load…"))
        self.rate = QtWidgets.QDoubleSpinBox()
        self.rate.setRange(0.1, 50.0)
        self.rate.setDecimals(1)
        self.rate.setSuffix(" %")
        self.rate.setKeyboardTracking(False)
        self.rate.setEnabled(False)  # until the classifier says what it is
        self.rate.setToolTip("Of signals of taught labels at most so many are called unknown. Less: fewer "
                             "false alarms, and more strangers under a label's name")
        row = QtWidgets.QHBoxLayout()
        row.setSpacing(4)
        for widget in (self.rename, self.remove, self.undo, self.save, self.load):
            row.addWidget(widget)
        row.addStretch(1)
        row.addWidget(QtWidgets.QLabel("False alarms"))
        row.addWidget(self.rate)
        return row

    def _saying(self):
        self.advice, self.note, self.counts = (QtWidgets.QLabel() for _ in range(3))
        for text in (self.advice, self.note):  # what does not fit stands in their tips, too
            text.setSizePolicy(QtWidgets.QSizePolicy.Ignored, QtWidgets.QSizePolicy.Fixed)
        self.advice.hide()
        column = QtWidgets.QVBoxLayout()
        for widget in (self.advice, self.note, self.counts):
            column.addWidget(widget)
        return column

    def _connect(self) -> None:
        self.next.clicked.connect(lambda: self._teach(self.model.teach_next, self.shots.value()))
        self.name.returnPressed.connect(self.next.click)
        self.last.clicked.connect(lambda: self._teach(self.model.teach_last, self.seconds.value()))
        self.rename.clicked.connect(self._edit_name)
        self.remove.clicked.connect(self._remove)
        self.undo.clicked.connect(self.model.undo)
        self.save.clicked.connect(self._save)
        self.load.clicked.connect(self._load)
        self.rate.valueChanged.connect(lambda percent: self.model.set_false_alarm_rate(percent / 100))
        self.table.itemChanged.connect(self._named)
        self.table.itemSelectionChanged.connect(self._selected)

    def showEvent(self, event):  # noqa: N802
        super().showEvent(event)
        self._look = look.around(self)
        self._paint_rows()
        QtCore.QTimer.singleShot(0, lambda: look.fit_first_window(self))

    # -- what has come --------------------------------------------------------------------------------
    def look(self) -> None:
        """The timer's."""
        self._say()
        self.counts.setText(self.model.counts())
        self.advice.setText(self.model.advice)
        self.advice.setToolTip(self.model.advice)
        self.advice.setVisible(bool(self.model.advice))
        self.advice.setStyleSheet(f"color: {self._look.bad}; font-weight: bold")
        if self.model.rate is not None and self.model.rate != self._rate:
            self._rate = self.model.rate
            self.rate.blockSignals(True)
            self.rate.setValue(100 * self._rate)
            self.rate.setEnabled(True)
            self.rate.blockSignals(False)
        rows = self.model.rows()
        if self.table.state() != QtWidgets.QAbstractItemView.EditingState and (
                [row.texts() for row in rows] != [row.texts() for row in self._rows]):
            self._rows = rows
            self._paint_rows()

    def _say(self) -> None:
        """What has happened; else how far teaching is, or what is missing."""
        self._said = said_now(self._said, self.model.notes, _SAID)
        if self._said:
            note = self._said[1]
            text, colour = note.text, self._look.good if note.good else self._look.bad
        else:
            text, colour = self.model.progress() or self.model.honesty(), self._look.text
        self.note.setText(text)
        self.note.setToolTip(text)
        self.note.setStyleSheet(f"color: {colour}")

    def _paint_rows(self) -> None:
        chosen, known = self.chosen(), tuple(row.label for row in self._rows if row.shots is not None)
        self.table.blockSignals(True)
        self.table.setRowCount(len(self._rows))
        for i, row in enumerate(self._rows):
            for column, text in enumerate(row.texts()):
                item = QtWidgets.QTableWidgetItem(text)
                editable = column == 0 and row.shots is not None
                item.setFlags(QtCore.Qt.ItemIsEnabled | QtCore.Qt.ItemIsSelectable
                              | (QtCore.Qt.ItemIsEditable if editable else QtCore.Qt.NoItemFlags))
                if column == 0:
                    item.setForeground(self._look.colour(row.label, row.shots is None, known))
                elif column < 3:
                    item.setTextAlignment(QtCore.Qt.AlignRight | QtCore.Qt.AlignVCenter)
                if row.shots is None:
                    font = item.font()
                    font.setItalic(True)
                    item.setFont(font)
                self.table.setItem(i, column, item)
        self.table.clearSelection()
        labels = [row.label for row in self._rows]
        if chosen in labels:
            self.table.selectRow(labels.index(chosen))
        self.table.blockSignals(False)
        self._selected()

    # -- hands ----------------------------------------------------------------------------------------
    def chosen(self) -> str:
        """The label of the row that is selected; '' for none."""
        rows = self.table.selectionModel().selectedRows()
        return self._rows[rows[0].row()].label if rows and rows[0].row() < len(self._rows) else ""

    def _selected(self) -> None:
        taught = self.chosen() in self.model.shots
        self.rename.setEnabled(taught)
        self.remove.setEnabled(taught)

    def _teach(self, teach, how_many) -> None:
        name = self.name.text().strip() or self.chosen()
        if not name or (name == self.chosen() and name not in self.model.shots):
            self.model.notes.append(Note("Type the name of what is on first", False))
            self.name.setFocus()
            return
        teach(name, how_many)
        self.name.clear()

    def _edit_name(self) -> None:
        rows = self.table.selectionModel().selectedRows()
        if rows:
            self.table.editItem(self.table.item(rows[0].row(), 0))

    def _named(self, item) -> None:
        """A label was typed over in the table. The table shows it when the classifier has done it."""
        old, new = self._rows[item.row()].label, item.text().strip()
        if new and new != old:
            self.model.rename(old, new)
        self.table.blockSignals(True)
        item.setText(old)
        self.table.blockSignals(False)

    def _remove(self) -> None:
        if self.chosen():
            self.model.remove(self.chosen())

    def keyPressEvent(self, event):  # noqa: N802
        if event.key() == QtCore.Qt.Key_Delete and self.remove.isEnabled():
            self._remove()
        elif event.key() == QtCore.Qt.Key_Z and event.modifiers() & QtCore.Qt.ControlModifier:
            self.model.undo()
        else:
            super().keyPressEvent(event)

    def _save(self) -> None:
        path, _ = QtWidgets.QFileDialog.getSaveFileName(self, "Save what is taught", "taught.safetensors",
                                                        "Prototypes (*.safetensors)")
        if path:
            self.model.save(path)

    def _load(self) -> None:
        path, _ = QtWidgets.QFileDialog.getOpenFileName(self, "Load what was taught", "",
                                                        "Prototypes (*.safetensors)")
        if path:
            self.model.load(path)
