# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What blocks say on port ``status``, as windows read it."""

import pmt

from ..common import messages
from ..common.messages import get, open_dict, text, whole

ANSWERS, STATE = pmt.mp("answers"), pmt.mp("state")  # ports


def parse_answer(message) -> dict:
    """command, ok, reason, label and shots of an answer. Raises MessageError."""
    meta = open_dict(message)
    return {"command": get(meta, "command", text, required=True),
            "ok": get(meta, "ok", messages.boolean, required=True), "reason": get(meta, "reason", text, ""),
            "label": get(meta, "label", text, ""), "shots": get(meta, "shots", whole, 0)}
