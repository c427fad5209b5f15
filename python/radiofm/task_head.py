# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Task Head: a trained head on embeddings, for classification or regression."""

import threading

from gnuradio import gr

from . import messages
from .messages import MessageError, Prediction
from .optional import optional

_NAME = "Task Head"
_UNKNOWN = "unknown"


class task_head(gr.basic_block):
    """Runs a trained head (linear or MLP) on embedding PDUs.

    Message input ``embeddings``: embedding PDUs; each gives one prediction, in order. An embedding made by
      another model than the head was trained on is refused: its numbers mean something else.
    Message output ``predictions``: prediction PDUs. Classification: ``label``, ``confidence`` and, as the
      payload, the probabilities in the order of ``labels``. Regression: the payload holds the numbers,
      ``labels`` their names, ``unit`` their unit; ``label`` is empty and ``confidence`` 0, not being stated.
    Message output ``status``: {command 'predict', ok false, reason} for every embedding that is refused.

    head            folder of a head (radiofm_ml.heads)
    min_confidence  classification: below it the label is 'unknown' and ``unknown`` true; 0 for never

    Raises ValueError naming the file and the cure, and ImportError if a Python package is missing.
    """

    def __init__(self, head: str, min_confidence: float = 0.0):
        gr.basic_block.__init__(self, name=_NAME, in_sig=None, out_sig=None)
        self._log = gr.logger(self.alias())
        self._heads = optional("radiofm_ml.heads", _NAME)
        self._lock = threading.Lock()
        self._counts = {"received": 0, "refused": 0}
        self.set_head(head)
        self.set_min_confidence(min_confidence)
        self.message_port_register_in(messages.EMBEDDINGS)
        self.message_port_register_out(messages.PREDICTIONS)
        self.message_port_register_out(messages.STATUS)
        self.set_msg_handler(messages.EMBEDDINGS, self.handle_embedding)

    def handle_embedding(self, message) -> None:
        self._counts["received"] += 1
        try:
            with self._lock:
                head, min_confidence = self._head, self._min_confidence
            info, vector = messages.parse_embedding(message, head.embedding_size)
            if info.model and head.model and info.model != head.model:
                raise MessageError(f"embedding made by model '{info.model}', the head is for '{head.model}'")
            prediction = _prediction(head, info, vector, min_confidence)
            self.message_port_pub(messages.PREDICTIONS, messages.prediction_pdu(prediction))
        except MessageError as error:
            self._refuse(str(error))
        except Exception as error:  # would end the block's thread and leave a flowgraph that never stops
            self._refuse(f"failed: {type(error).__name__}: {error}")

    def _refuse(self, reason: str) -> None:
        if not self._counts["refused"]:
            self._log.warn(f"{reason}; it is left out (said once, then counted)")
        self._counts["refused"] += 1
        self.message_port_pub(messages.STATUS, messages.status("predict", False, reason))

    # -- settings and counters ----------------------------------------------------------------------
    def set_head(self, head: str) -> None:
        """Take another head from the next embedding on. Raises ValueError and keeps the old one."""
        try:
            loaded = self._heads.load(str(head))
        except ValueError as error:
            raise ValueError(f"{_NAME}: {error}") from None
        with self._lock:
            self._head = loaded

    def set_min_confidence(self, min_confidence: float) -> None:
        if not 0.0 <= min_confidence <= 1.0:
            raise ValueError(f"{_NAME}: min_confidence must lie in 0..1, got {min_confidence}")
        with self._lock:
            self._min_confidence = float(min_confidence)

    def min_confidence(self) -> float:
        return self._min_confidence

    def labels(self) -> tuple[str, ...]:
        """The classes, or the names of the numbers."""
        return self._head.labels

    def received(self) -> int:
        """Embeddings that came."""
        return self._counts["received"]

    def refused(self) -> int:
        """Embeddings that were malformed or of another model; each was answered on ``status``."""
        return self._counts["refused"]


def _prediction(head, info, vector, min_confidence: float) -> Prediction:
    values = head(vector[None])[0]
    if head.kind == "regression":
        return Prediction(info, head.task, labels=head.labels, scores=values, unit=head.unit)
    best = int(values.argmax())
    unknown = bool(values[best] < min_confidence)
    label = _UNKNOWN if unknown else head.labels[best]
    return Prediction(info, head.task, label, float(values[best]), unknown, head.labels, values)
