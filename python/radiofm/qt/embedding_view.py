# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Embedding View: embeddings on a map, where what is alike lies together, to be named there."""

from gnuradio import gr

from ..common import backlog, messages
from ..common.arguments import whole
from ..common.lifetime import Held
from ..common.optional import optional
from ..common.report import Report
from .answers import ANSWERS, STATE, Listener, parse_prototypes
from .embedding_map import MOST, EmbeddingMap

_NAME = "Embedding View"


class embedding_view(Listener, backlog.Reader, Held, gr.basic_block):
    """Draws embeddings as dots on a map that shows the two directions in which they differ most, coloured by
    what they were called, with the prototypes and their shots. At the mouse: what is known of a signal, and
    its picture. Draw a rectangle around dots, or click one, and type a name: they are taught.

    Message input ``embeddings``: embedding PDUs; ``predictions``: what the classifier says of them;
      ``signals``: cut-outs of Signal Cutter, for pictures; ``answers``, ``state``: the classifier's ports
      ``status`` and ``prototypes_out``.
    Message output ``prototypes``: commands for the classifier (docs/messages.md); when a run begins it asks
      for the state.
    Message output ``status``: {command 'show', ok false, reason} for every message that is refused.

    most  embeddings that are kept, 100 to 20000

    ``qwidget()`` is the window, made with the block: a QApplication must be there. Raises ValueError naming
    the parameter, and ImportError if a Python package is missing.
    """

    def __init__(self, most: int = MOST):
        most = whole(f"{_NAME}: most", most, 100, 20000)
        gr.basic_block.__init__(self, name=_NAME, in_sig=None, out_sig=None)
        self._report = Report(gr.logger(self.alias()), self.message_port_pub, "show", Listener.COUNTERS)
        self._model = EmbeddingMap(self._ask, most)
        for port in (messages.PROTOTYPES, messages.STATUS):
            self.message_port_register_out(port)
        self.read_messages({messages.EMBEDDINGS: self.handle_embedding,
                            messages.PREDICTIONS: self.handle_prediction,
                            messages.SIGNALS: self.handle_signal},
                           {ANSWERS: self.handle_answer, STATE: self.handle_state})
        self._window = optional(f"{__package__}.embedding_window", _NAME).EmbeddingWindow(self._model)

    def qwidget(self):
        """The window, a QWidget."""
        return self._window

    # -- life -----------------------------------------------------------------------------------------
    def start(self):
        self._model.clear()
        self._report.begin_run()
        self.begin_run()
        self._ask({"command": "state"})
        return True

    def stop(self):
        self.end_run()
        return True

    # -- the block's thread ---------------------------------------------------------------------------
    def handle_embedding(self, message) -> None:
        self._read(messages.EMBEDDINGS, lambda: self._model.add_embedding(*messages.parse_embedding(message)))

    def handle_signal(self, message) -> None:
        self._read(messages.SIGNALS, lambda: self._model.add_signal(*messages.parse_signal(message)))

    def handle_state(self, message) -> None:
        self._read(STATE, lambda: self._model.add_state(parse_prototypes(message)))
