# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Teach Panel: what is taught, how it is heard, and buttons to teach more."""

from gnuradio import gr

from ..common import backlog, messages
from ..common.arguments import number, whole
from ..common.lifetime import Held
from ..common.optional import optional
from ..common.report import Report
from .answers import ANSWERS, STATE, Listener, parse_taught
from .panel import Panel

_NAME = "Teach Panel"


class teach_panel(Listener, backlog.Reader, Held, gr.basic_block):
    """A table of the labels that a classifier knows, with how often and when each was heard; a name typed
    above it is taught with the next signals or tiles that come, or with the last that came. Rename, remove,
    undo (it says what that undid), save, load, and the rate of false alarms. Refusals are said in plain
    words.

    Message input ``predictions``: of the classifier; ``signals``: signal PDUs, to count those that wait;
      ``answers``: what the classifier, and blocks before it, say on ``status``; ``state``: the classifier's
      port ``prototypes_out``.
    Message output ``prototypes``: commands for the classifier (docs/messages.md); when a run begins it asks
      for the state.
    Message output ``status``: {command 'show', ok false, reason} for every message that is refused.

    shots    that *Next* teaches at first, 1 to 1024
    seconds  that *Last* teaches at first, 0.1 to 600

    ``qwidget()`` is the window, made with the block: a QApplication must be there. Raises ValueError naming
    the parameter, and ImportError if a Python package is missing.
    """

    def __init__(self, shots: int = 5, seconds: float = 3.0):
        shots = whole(f"{_NAME}: shots", shots, 1, 1024)
        seconds = number(f"{_NAME}: seconds", seconds, 0.1, 600.0)
        gr.basic_block.__init__(self, name=_NAME, in_sig=None, out_sig=None)
        self._report = Report(gr.logger(self.alias()), self.message_port_pub, "show", Listener.COUNTERS)
        self._model = Panel(self._ask)
        for port in (messages.PROTOTYPES, messages.STATUS):
            self.message_port_register_out(port)
        self.read_messages({messages.PREDICTIONS: self.handle_prediction,
                            messages.SIGNALS: self.handle_signal},
                           {ANSWERS: self.handle_answer, STATE: self.handle_state})
        self._window = optional(f"{__package__}.panel_window", _NAME).PanelWindow(self._model, shots, seconds)

    def qwidget(self):
        """The window, a QWidget."""
        return self._window

    # -- life -----------------------------------------------------------------------------------------
    def start(self):
        self._model.clear()
        self._report.begin_run()
        self.begin_run()
        self._model.begin()
        return True

    def stop(self):
        self.end_run()
        return True

    # -- the block's thread ---------------------------------------------------------------------------
    def handle_signal(self, message) -> None:
        self._read(messages.SIGNALS, lambda: self._model.add_signal(messages.parse_signal(message)[0]))

    def handle_state(self, message) -> None:
        self._read(STATE, lambda: self._model.add_state(parse_taught(message)))

    # -- settings -------------------------------------------------------------------------------------
    def set_shots(self, shots: int) -> None:
        """That *Next* teaches. From the window's thread. Raises ValueError."""
        self._window.shots.setValue(whole(f"{_NAME}: shots", shots, 1, 1024))

    def set_seconds(self, seconds: float) -> None:
        """That *Last* teaches. From the window's thread. Raises ValueError."""
        self._window.seconds.setValue(number(f"{_NAME}: seconds", seconds, 0.1, 600.0))
