# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Where a name is typed, over the picture: nothing stops meanwhile."""

from PyQt5 import QtCore, QtWidgets

from .look import Look


class NamePrompt(QtWidgets.QFrame):
    """Asks for a name near a point. Enter takes it, Escape leaves."""

    closed = QtCore.pyqtSignal()

    def __init__(self, parent: QtWidgets.QWidget):
        super().__init__(parent)
        self.setFrameShape(QtWidgets.QFrame.StyledPanel)
        self.setAutoFillBackground(True)
        self.about, self.edit = QtWidgets.QLabel(), QtWidgets.QLineEdit()
        self.edit.setMaxLength(128)
        self.edit.setPlaceholderText("name")
        hint = QtWidgets.QLabel("Enter: teach    Esc: leave")
        self._hint = hint
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(8, 6, 8, 6)
        for widget in (self.about, self.edit, hint):
            layout.addWidget(widget)
        self.edit.returnPressed.connect(self._take)
        self._then = None
        self.hide()

    def set_look(self, look: Look) -> None:
        back = "#2b2b2b" if look.dark else "#ffffff"
        self.setStyleSheet(f"NamePrompt {{ background: {back}; border: 1px solid {look.text}; "
                           f"border-radius: 4px }} QLabel {{ background: transparent; color: {look.text} }} "
                           f"QLineEdit {{ background: {look.back}; color: {look.text}; "
                           f"border: 1px solid {look.found}; padding: 3px }}")

    def ask(self, about: str, at: QtCore.QPoint, known: tuple[str, ...], then, name: str = "",
            what: str = "teach") -> None:
        """then: called with the name; at: in the parent; known: names to choose from."""
        self._then = then
        self.about.setText(about)
        self._hint.setText(f"Enter: {what}    Esc: leave")
        self.edit.setText(name)
        self.edit.selectAll()
        completer = QtWidgets.QCompleter(list(known), self.edit)
        completer.setCaseSensitivity(QtCore.Qt.CaseInsensitive)
        self.edit.setCompleter(completer)
        self.adjustSize()
        room = self.parentWidget().size() - self.size()
        self.move(max(0, min(at.x(), room.width())), max(0, min(at.y(), room.height())))
        self.show()
        self.raise_()
        self.edit.setFocus(QtCore.Qt.OtherFocusReason)

    def keyPressEvent(self, event):  # noqa: N802
        if event.key() == QtCore.Qt.Key_Escape:
            self.leave()
        else:
            super().keyPressEvent(event)

    def leave(self) -> None:
        self._then = None
        self.hide()
        self.closed.emit()

    def _take(self) -> None:
        name, then = self.edit.text().strip(), self._then
        if not name:
            return
        self.leave()
        if then is not None:
            then(name)
