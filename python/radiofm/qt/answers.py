# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What blocks say on ports ``status`` and ``prototypes_out``, as windows read it, on ports of their own."""

import numpy as np
import pmt

from ..common import messages
from ..common.messages import MessageError, Prediction, get, open_dict, text, whole

ANSWERS, STATE = pmt.mp("answers"), pmt.mp("state")  # ports
_MOST_WAITING = 500  # messages at a port, beyond which not all are read


def parse_answer(message) -> dict:
    """command, ok, reason, label, shots and rate of an answer. Raises MessageError."""
    meta = open_dict(message)
    return {"command": get(meta, "command", text, required=True),
            "ok": get(meta, "ok", messages.boolean, required=True), "reason": get(meta, "reason", text, ""),
            "label": get(meta, "label", text, ""), "shots": get(meta, "shots", whole, 0),
            "rate": get(meta, "rate", messages.real)}


def parse_taught(message) -> dict[str, int]:
    """The labels of a state, each with its shots. Raises MessageError."""
    entries = get(open_dict(message), "prototypes", _entries, required=True)
    return {get(entry, "label", text, required=True): get(entry, "shots", whole, 1) for entry in entries}


def parse_prototypes(message) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """label, vector float32 (D,) and shots (n, D) of all that a state has. Raises MessageError."""
    found = []
    for entry in get(open_dict(message), "prototypes", _entries, required=True):
        vector = get(entry, "vector", messages.vector, required=True)
        shots = get(entry, "support", messages.vector, np.zeros(0, np.float32))
        if not len(vector) or len(shots) % len(vector):
            raise MessageError(f"key 'support' must have {len(vector)} values for each shot")
        found.append((get(entry, "label", text, required=True), vector, shots.reshape(-1, len(vector))))
    return found


def _entries(value) -> list:
    if not pmt.is_vector(value):
        raise MessageError("must be a vector of dicts")
    return [open_dict(pmt.vector_ref(value, i)) for i in range(pmt.length(value))]


class Listener:
    """Mixin of the blocks that show what messages say: those that are bad are refused on ``status``; of those
    that come too fast to be read some are left out and counted. Needs ``_report`` and ``_model``."""

    COUNTERS = "received", "refused", "left_out", "skipped", "failed"

    def _read(self, port, action) -> None:
        self._report.count("received")
        if self.to_basic_block().nmsgs(port) > _MOST_WAITING:
            self._report.count("left_out")
            return
        try:
            action()
        except MessageError as error:
            self._report.refuse(str(error))
        except Exception as error:  # would end the block's thread and leave a flowgraph that never stops
            self._report.refuse(f"failed: {type(error).__name__}: {error}")

    def handle_prediction(self, message) -> None:
        self._read(messages.PREDICTIONS,
                   lambda: self._model.add_prediction(messages.parse_prediction(message)))

    def handle_answer(self, message) -> None:
        self._read(ANSWERS, lambda: self._model.answered(**parse_answer(message)))

    def _ask(self, command: dict) -> None:
        """From the window: a command for the classifier."""
        self.message_port_pub(messages.PROTOTYPES, messages.scalars(command))

    def received(self) -> int:
        """Messages that came."""
        return self._report["received"]

    def refused(self) -> int:
        """Messages that did not keep their contract; each was answered on ``status``."""
        return self._report["refused"]

    def left_out(self) -> int:
        """Messages that were not read, because more came than could be."""
        return self._report["left_out"]


def label_of(prediction: Prediction) -> str:
    """What a prediction says: a label, 'unknown', or the values of a regression."""
    if prediction.label or prediction.unknown:
        return prediction.label or "unknown"
    values = ", ".join(f"{value:.4g}" for value in prediction.scores)
    return f"{values} {prediction.unit or ''}".strip()
