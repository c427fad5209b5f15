# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What a PMT says, in whichever form it says it.

Everything here raises ``MessageError`` with one sentence, so that a handler refuses a message with a reason
instead of throwing.
"""

import numpy as np
import pmt

from ..radiofm_python import _pdu, _tags


class MessageError(ValueError):
    """A message that does not keep its contract; the text says how."""


def _read(reader, value):
    """What a reader of lib/tags.h finds; MessageError with its reason otherwise."""
    found, why = reader(value)
    if found is None:
        raise MessageError(why)
    return found


def time_from_pmt(value) -> tuple[int, float]:
    """(seconds, fraction) of a time: a tuple, vector or pair of two numbers of any kind, or one number of
    seconds; MessageError otherwise."""
    return _read(_tags.read_time, value)


def number(value, kind):
    """int or float of a PMT number of any kind; a whole number may come as a real (5.0). MessageError
    otherwise, also for what is not finite, and for whole numbers beyond 2^62."""
    return _read(_tags.read_whole if kind is int else _tags.read_number, value)


def whole(value) -> int:
    """A whole number from 0 to 2^62; MessageError otherwise."""
    result = number(value, int)
    if result < 0:
        raise MessageError(f"must not be negative, got {result}")
    return result


def rate(value) -> float:
    """Samples/s, 1e-6 to 1e12; MessageError otherwise."""
    return _read(_tags.read_rate, value)


def frequency(value) -> float:
    """Hz, -1e12 to 1e12; MessageError otherwise."""
    return _read(_tags.read_frequency, value)


def text(value) -> str:
    """str of a PMT symbol in UTF-8; MessageError otherwise."""
    return _read(_tags.read_text, value)


def vector(value) -> np.ndarray:
    """float32 array of a PMT f32 or f64 vector with finite values; MessageError otherwise."""
    if pmt.is_f32vector(value):
        values = _pdu.f32values(value)
    elif pmt.is_f64vector(value):
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused below
            values = np.asarray(pmt.f64vector_elements(value), np.float32)
    else:
        raise MessageError("must be an f32vector")
    if not np.isfinite(values).all():
        raise MessageError("holds NaN or infinite values")
    return values


def samples(value) -> np.ndarray:
    """complex64 array of a PMT c32 or c64 vector; MessageError otherwise."""
    if pmt.is_c32vector(value):
        return _pdu.c32values(value)
    if pmt.is_c64vector(value):
        with np.errstate(over="ignore"):
            return np.asarray(pmt.c64vector_elements(value), np.complex64)
    raise MessageError("must be a c32vector")


def boolean(value) -> bool:
    if pmt.is_bool(value):
        return pmt.to_bool(value)
    raise MessageError(f"must be true or false, got {_tags.describe(value)}")


def is_dict(value) -> bool:
    """True for a PMT dict. (pmt.is_dict is also true for any pair and for the empty list.)"""
    if not pmt.is_dict(value):
        return False
    while pmt.is_pair(value):
        if not pmt.is_pair(pmt.car(value)):
            return False
        value = pmt.cdr(value)
    return pmt.is_null(value)


def open_dict(message):
    """The dict in a message: it itself, the metadata of a PDU, or that of a pair (key . value), as GNU
    Radio's widgets send it. MessageError otherwise."""
    if pmt.is_pair(message):
        first = pmt.car(message)
        if pmt.is_pair(first) and is_dict(first):
            return first
        if is_dict(message):
            return message
        if pmt.is_symbol(first):
            return pmt.dict_add(pmt.make_dict(), first, pmt.cdr(message))
    raise MessageError("must be a dict, or a pair (key . value)")


def keys(meta) -> list[str]:
    """The keys of a PMT dict; MessageError if one is no symbol in UTF-8."""
    found = []
    while pmt.is_pair(meta):
        try:
            found.append(text(pmt.car(pmt.car(meta))))
        except MessageError as error:
            raise MessageError(f"a key {error}") from None
        meta = pmt.cdr(meta)
    return found


def get(meta, key: str, read, default=None, required: bool = False):
    """``read`` (number, text, vector …) of ``meta[key]``; MessageError names the key."""
    value = pmt.dict_ref(meta, pmt.intern(key), pmt.PMT_NIL)
    if pmt.is_null(value):
        if required:
            raise MessageError(f"key '{key}' is missing")
        return default
    try:
        return read(value)
    except MessageError as error:
        raise MessageError(f"key '{key}' {error}") from None


def real(value) -> float:
    return number(value, float)


def open_pdu(message, what: str, read=vector, form: str = "f32vector"):
    """The dict of a PDU, and its payload as ``read`` has it."""
    if not pmt.is_pair(message) or not is_dict(pmt.car(message)):
        raise MessageError(f"{what} must be a PDU (dict . {form})")
    try:
        return pmt.car(message), read(pmt.cdr(message))
    except MessageError as error:
        raise MessageError(f"{what}: the payload {error}") from None
