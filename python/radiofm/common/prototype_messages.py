# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Prototypes as messages: one in a ``set`` command, a whole state in a ``load`` command."""

import numpy as np
import pmt

from . import messages
from .messages import MessageError, get, text, whole

_COMMAND = pmt.intern("command")


def open_command(message) -> pmt.pmt_base:
    """The dict of a command, as ``messages.open_dict`` takes it; what a button sends, (command . value), may
    be its name or a dict. Raises MessageError."""
    try:
        message = messages.open_dict(message)
    except MessageError as error:
        raise MessageError(f"a command {error}, with the key 'command'") from None
    value = pmt.dict_ref(message, _COMMAND, pmt.PMT_NIL)
    return value if pmt.is_pair(value) and messages.is_dict(value) else message


def state_message(state: dict) -> pmt.pmt_base:
    """A whole state (``FewShot.state``) as the ``load`` command that puts it into another classifier."""
    meta = _dict(command=pmt.intern("load"), format=pmt.intern(state["format"]),
                 format_version=pmt.from_long(state["format_version"]), model=pmt.intern(state["model"]),
                 embedding_size=pmt.from_long(state["embedding_size"]))
    if state["mean"] is not None:
        meta = pmt.dict_add(meta, pmt.intern("mean"), messages.to_pmt_vector(state["mean"]))
    prototypes = pmt.make_vector(len(state["prototypes"]), pmt.PMT_NIL)
    for i, p in enumerate(state["prototypes"]):
        pmt.vector_set(prototypes, i, _dict(
            label=pmt.intern(p["label"]), vector=messages.to_pmt_vector(p["vector"]),
            shots=pmt.from_long(p["shots"]), support=messages.to_pmt_vector(p["support"].ravel())))
    return pmt.dict_add(meta, pmt.intern("prototypes"), prototypes)


def parse_state(message, size: int) -> dict:
    """The state in a ``load`` command, for ``PrototypeSet.load_state``. Raises MessageError."""
    state = {"format": get(message, "format", text, required=True), "model": get(message, "model", text, ""),
             "format_version": get(message, "format_version", whole, required=True),
             "embedding_size": get(message, "embedding_size", whole, required=True)}
    if state["embedding_size"] != size:
        raise MessageError(f"prototypes have {state['embedding_size']} values, embeddings here have {size}")
    state["mean"] = get(message, "mean", lambda value: _vector(value, size))
    entries = get(message, "prototypes", _entries, required=True)
    state["prototypes"] = [{"label": get(e, "label", text, required=True), **parse_prototype(e, size)}
                           for e in entries]
    return state


def parse_prototype(message, size: int) -> dict:
    """vector, shots and support of a ``set`` command or of an entry in a state."""
    shots = get(message, "shots", whole, 1)
    support = get(message, "support", lambda value: _vector(value, size, rows=shots))
    return {"vector": get(message, "vector", lambda value: _vector(value, size), required=True),
            "shots": shots, "support": None if support is None else support.reshape(-1, size)}


def _vector(value, size: int, rows: int | None = None) -> np.ndarray:
    """float32 vector of ``size`` values, or of up to ``rows`` times as many; measured before it is read."""
    if not (pmt.is_f32vector(value) or pmt.is_f64vector(value)):
        raise MessageError("must be an f32vector")
    length = pmt.length(value)
    if rows is None and length != size:
        raise MessageError(f"must have {size} values, got {length}")
    if rows is not None and (length % size or length > rows * size):
        raise MessageError(f"must have {size} values for each of at most {rows} shots, got {length}")
    return messages.vector(value)


def _entries(value) -> list:
    if not pmt.is_vector(value):
        raise MessageError("must be a vector of dicts")
    entries = [pmt.vector_ref(value, i) for i in range(pmt.length(value))]
    if not all(messages.is_dict(e) and not pmt.is_null(e) for e in entries):
        raise MessageError("must be a vector of dicts")
    return entries


def _dict(**values):
    meta = pmt.make_dict()
    for key, value in values.items():
        meta = pmt.dict_add(meta, pmt.intern(key), value)
    return meta
