# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What the blocks say to one another: keys, and the PDUs built from them and read back.

Names are GNU Radio's own where it has them (``gnuradio/pdu.h``); the contracts are in docs/messages.md.
Every ``parse_*`` raises ``MessageError`` with one sentence, so that a handler refuses a message with a
reason instead of throwing.
"""

import math
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import pmt

from ..radiofm_python import _pdu, _tags

EMBEDDINGS, PREDICTIONS = pmt.mp("embeddings"), pmt.mp("predictions")
TOKENS = pmt.mp("tokens")
PROTOTYPES, PROTOTYPES_OUT, STATUS = pmt.mp("prototypes"), pmt.mp("prototypes_out"), pmt.mp("status")

RX_TIME, RX_FREQ, RX_RATE = pmt.intern("rx_time"), pmt.intern("rx_freq"), pmt.intern("rx_rate")
PAD = pmt.intern("radiofm_pad")  # stream tag: absolute offset of the first padding sample
SHIFT = pmt.intern("recording_shift")  # stream tag: index in the recording, less that in the stream

TILE_LAYER = -1  # in a tokens PDU: the tile itself, before the encoder


class MessageError(ValueError):
    """A message that does not keep its contract; the text says how."""


@dataclass
class TileInfo:
    """Where a tile came from; what is None was not known and is left out of the PDU."""

    sample_start: int = 0
    sample_count: int = 0
    sample_rate: float | None = None
    rx_freq: float | None = None
    rx_time: tuple[int, float] | None = None
    model: str = ""
    tile: int = 0
    dropped: int = 0
    freq_lower_edge: float | None = None
    freq_upper_edge: float | None = None
    run: int | None = None  # see runs.py
    recording_shift: int | None = None  # index in the recording that is played, less that in the stream


@dataclass
class Prediction:
    """A decision about a tile (classification: labels and scores; regression: value and unit)."""

    info: TileInfo = field(default_factory=TileInfo)
    task: str = ""
    label: str = ""
    confidence: float = 0.0
    unknown: bool = False
    labels: tuple[str, ...] = ()
    scores: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    unit: str | None = None


def to_pmt_vector(values) -> pmt.pmt_base:
    """f32vector of a one-dimensional array."""
    return _pdu.f32vector(np.asarray(values, np.float32))


# A PDU is made for every tile: what stays the same from one to the next is kept, as the tail of the dict.
# PMTs are never changed once they are out.
@lru_cache(maxsize=64)
def _constant(sample_count, sample_rate, rx_freq, model: str, run=None, recording_shift=None):
    meta = pmt.make_dict()
    if run is not None:
        meta = pmt.acons(pmt.intern("run"), pmt.from_uint64(run), meta)
    if recording_shift is not None:
        meta = pmt.acons(pmt.intern("recording_shift"), pmt.from_long(recording_shift), meta)
    for key, value in (("sample_rate", sample_rate), ("rx_freq", rx_freq)):
        if value is not None:
            meta = pmt.acons(pmt.intern(key), pmt.from_double(float(value)), meta)
    meta = pmt.acons(pmt.intern("sample_count"), pmt.from_uint64(int(sample_count)), meta)
    return pmt.acons(pmt.intern("model"), pmt.intern(model), meta)


@lru_cache(maxsize=64)
def _constant_decision(sample_count, sample_rate, rx_freq, model: str, run, recording_shift, task: str,
                       labels: tuple, unit):
    meta = _constant(sample_count, sample_rate, rx_freq, model, run, recording_shift)
    names = pmt.make_vector(len(labels), pmt.PMT_NIL)
    for i, label in enumerate(labels):
        pmt.vector_set(names, i, pmt.intern(label))
    meta = pmt.acons(pmt.intern("labels"), names, meta)
    if unit is not None:
        meta = pmt.acons(pmt.intern("unit"), pmt.intern(unit), meta)
    return pmt.acons(pmt.intern("task"), pmt.intern(task), meta)


def _info_dict(info: TileInfo, constant=None):
    """The keys of ``info``, in front of ``constant`` if that is given."""
    if constant is None:
        constant = _constant(info.sample_count, info.sample_rate, info.rx_freq, info.model, info.run,
                             info.recording_shift)
    return _pdu.tile_dict(constant, info.sample_start, info.tile, info.dropped, info.freq_lower_edge,
                          info.freq_upper_edge, info.rx_time)


def embedding_pdu(info: TileInfo, embedding) -> pmt.pmt_base:
    """(dict . f32vector[D])"""
    return pmt.cons(_info_dict(info), to_pmt_vector(embedding))


def tokens_pdu(info: TileInfo, layers: dict[int, np.ndarray]) -> pmt.pmt_base:
    """(dict . f32vector): the matrices of ``layers``, one after the other."""
    meta = _info_dict(info)
    for key, values in (("layers", layers), ("rows", [len(m) for m in layers.values()]),
                        ("columns", [m.shape[1] for m in layers.values()])):
        meta = pmt.dict_add(meta, pmt.intern(key), pmt.init_s32vector(len(layers), list(values)))
    return pmt.cons(meta, to_pmt_vector(np.concatenate([m.ravel() for m in layers.values()])))


def prediction_pdu(prediction: Prediction) -> pmt.pmt_base:
    """(dict . f32vector): scores in the order of ``labels``, or a regression's value."""
    info = prediction.info
    meta = _info_dict(info, _constant_decision(
        info.sample_count, info.sample_rate, info.rx_freq, info.model, info.run, info.recording_shift,
        prediction.task,
        tuple(prediction.labels), prediction.unit))
    return _pdu.decision(meta, prediction.label, prediction.confidence, bool(prediction.unknown),
                         np.asarray(prediction.scores))


def time_to_pmt(seconds: int, fraction: float) -> pmt.pmt_base:
    """{uint64 seconds, double fraction}, as UHD writes rx_time."""
    return _pdu.time_tuple(int(seconds), float(fraction))


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


def move_time(time: tuple[int, float], seconds: float) -> tuple[int, float] | None:
    """``time`` plus ``seconds``, the fraction kept in 0..1; None before 1970 or beyond 9999."""
    return _tags.move_time(time, seconds)


def time_after(time: tuple[int, float], samples: int, rate: float) -> tuple[int, float] | None:
    """``time`` so many samples later (earlier below 0), at a rate; no digit is lost in a long run. None
    before 1970 or beyond 9999."""
    return _tags.move_time(time, samples, rate)


def time_of_item(time: tuple[int, float], sample: int, samples: int,
                 rate: float | None) -> tuple[tuple[int, float], bool]:
    """The time of an item's first sample, from that of the sample ``sample`` of its ``samples``; and whether
    it is the next item's (where the clock was set to 0 within this one). MessageError if no rate tells."""
    found, later, why = _tags.time_of_item(time, sample, samples, rate or 0.0)
    if found is None:
        raise MessageError(why)
    return found, later


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


def _float(value) -> float:
    return number(value, float)


def parse_info(meta) -> TileInfo:
    return TileInfo(
        sample_start=get(meta, "sample_start", whole, required=True),
        sample_count=get(meta, "sample_count", whole, required=True),
        sample_rate=get(meta, "sample_rate", rate),
        rx_freq=get(meta, "rx_freq", frequency),
        rx_time=get(meta, "rx_time", time_from_pmt),
        model=get(meta, "model", text, ""),
        tile=get(meta, "tile", whole, 0),
        dropped=get(meta, "dropped", whole, 0),
        freq_lower_edge=get(meta, "freq_lower_edge", frequency),
        freq_upper_edge=get(meta, "freq_upper_edge", frequency),
        run=get(meta, "run", whole),
        recording_shift=get(meta, "recording_shift", lambda value: number(value, int)),
    )


def _open_pdu(message, what: str):
    if not pmt.is_pair(message) or not is_dict(pmt.car(message)):
        raise MessageError(f"{what} must be a PDU (dict . f32vector)")
    try:
        return pmt.car(message), vector(pmt.cdr(message))
    except MessageError as error:
        raise MessageError(f"{what}: the payload {error}") from None


def parse_embedding(message, size: int | None = None) -> tuple[TileInfo, np.ndarray]:
    """TileInfo and float32 (D,) of an embedding PDU."""
    meta, values = _open_pdu(message, "an embedding")
    if size is not None and len(values) != size:
        raise MessageError(f"an embedding must have {size} values, got {len(values)}")
    return parse_info(meta), values


def parse_tokens(message) -> tuple[TileInfo, dict[int, np.ndarray]]:
    """TileInfo and the matrices float32 (rows, columns) by layer of a tokens PDU."""
    meta, values = _open_pdu(message, "a tokens PDU")
    layers, rows, columns = (get(meta, key, _int_vector, required=True)
                             for key in ("layers", "rows", "columns"))
    if not len(layers) == len(rows) == len(columns) or len(set(layers)) != len(layers):
        raise MessageError("keys 'layers', 'rows' and 'columns' must be of one length, no layer there twice")
    shapes = list(zip(rows, columns, strict=True))
    if min(rows + columns, default=0) < 0 or sum(map(math.prod, shapes)) != len(values):
        raise MessageError(f"the payload has {len(values)} values, 'rows' and 'columns' say otherwise")
    found, at = {}, 0
    for layer, shape in zip(layers, shapes, strict=True):
        found[layer] = values[at:at + math.prod(shape)].reshape(shape)
        at += math.prod(shape)
    return parse_info(meta), found


def _int_vector(value) -> list[int]:
    if not pmt.is_s32vector(value):
        raise MessageError("must be an s32vector")
    return pmt.s32vector_elements(value)


def parse_prediction(message) -> Prediction:
    """Prediction of a prediction PDU."""
    meta, scores = _open_pdu(message, "a prediction")
    labels = get(meta, "labels", _labels, ())
    if labels and len(labels) != len(scores):
        raise MessageError(
            f"a prediction with {len(labels)} labels must carry as many scores, got {len(scores)}"
        )
    return Prediction(
        parse_info(meta),
        get(meta, "task", text, ""),
        get(meta, "label", text, required=True),
        get(meta, "confidence", _float, 0.0),
        get(meta, "unknown", boolean, False),
        labels,
        scores,
        get(meta, "unit", text),
    )


def _labels(value) -> tuple[str, ...]:
    if not pmt.is_vector(value):
        raise MessageError("must be a vector of symbols")
    return tuple(text(pmt.vector_ref(value, i)) for i in range(pmt.length(value)))


def status(command: str, ok: bool, reason: str = "", **values) -> pmt.pmt_base:
    """Answer on port ``status``: {command, ok, reason, ...}; int, float, bool and str values."""
    return scalars({"command": command, "ok": ok, "reason": reason, **values})


def scalars(values: dict) -> pmt.pmt_base:
    """PMT dict of int, float, bool and str values."""
    meta = pmt.make_dict()
    for key, value in values.items():
        meta = pmt.dict_add(meta, pmt.intern(key), _scalar(value))
    return meta


def _scalar(value):
    if isinstance(value, bool):
        return pmt.from_bool(value)
    if isinstance(value, int):
        return pmt.from_uint64(value) if value >= 0 else pmt.from_long(value)
    if isinstance(value, float):
        return pmt.from_double(value)
    return pmt.intern(str(value).encode("utf-8", "replace").decode())  # a lone surrogate is not UTF-8
