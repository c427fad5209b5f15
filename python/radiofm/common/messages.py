# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What the blocks say to one another: keys, and the PDUs built from them and read back.

Names are GNU Radio's own where it has them (``gnuradio/pdu.h``); the contracts are in docs/messages.md.
Every ``parse_*`` raises ``MessageError`` with one sentence, so that a handler refuses a message with a
reason instead of throwing.
"""

import math
from dataclasses import asdict, dataclass, field
from functools import lru_cache

import numpy as np
import pmt

from ..radiofm_python import _pdu, _tags
from .reading import (
    MessageError,
    boolean,
    frequency,
    get,
    is_dict,  # noqa: F401
    keys,  # noqa: F401
    number,
    open_dict,  # noqa: F401
    open_pdu,
    rate,
    real,
    samples,
    text,
    time_from_pmt,
    vector,  # noqa: F401
    whole,
)

EMBEDDINGS, PREDICTIONS = pmt.mp("embeddings"), pmt.mp("predictions")
TOKENS, SIGNALS = pmt.mp("tokens"), pmt.mp("signals")
ALARMS = pmt.mp("alarms")
PROTOTYPES, PROTOTYPES_OUT, STATUS = pmt.mp("prototypes"), pmt.mp("prototypes_out"), pmt.mp("status")

RX_TIME, RX_FREQ, RX_RATE = pmt.intern("rx_time"), pmt.intern("rx_freq"), pmt.intern("rx_rate")
PAD = pmt.intern("radiofm_pad")  # stream tag: absolute offset of the first padding sample
SHIFT = pmt.intern("recording_shift")  # stream tag: index in the recording, less that in the stream

TILE_LAYER = -1  # in a tokens PDU: the tile itself, before the encoder


@dataclass(frozen=True)
class Signal:
    """What is known about a signal, or a part of a long one, besides where it lies; what is None was not
    known and is left out of the PDU.

    ended: this is its last part; rate: samples/s of its cut-out; lead: samples of the cut-out before the
    first of the signal; missing: samples of the stream, at the signal's beginning, that could not be cut out
    """

    signal: int
    part: int = 0
    ended: bool = True
    snr: float | None = None  # dB
    bandwidth: float | None = None  # Hz
    duration: float | None = None  # s
    rate: float | None = None
    lead: int | None = None
    missing: int | None = None


@dataclass
class TileInfo:
    """Where a tile or a signal came from; what is None was not known and is left out of the PDU."""

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
    signal: Signal | None = None  # of a signal


@dataclass
class Prediction:
    """A decision about a tile (classification: labels and scores; regression: value and unit)."""

    info: TileInfo = field(default_factory=TileInfo)
    task: str = ""
    label: str = ""
    confidence: float | None = 0.0  # None where nobody decides
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
    meta = _pdu.tile_dict(constant, info.sample_start, info.tile, info.dropped, info.freq_lower_edge,
                          info.freq_upper_edge, info.rx_time)
    if info.signal is not None:
        for key, value in asdict(info.signal).items():
            if value is not None:
                meta = pmt.acons(pmt.intern(key), _scalar(value), meta)
    return meta


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


def signal_pdu(info: TileInfo, samples=()) -> pmt.pmt_base:
    """(dict . c32vector): the samples of a cut-out, or none."""
    meta = _info_dict(info)
    for key in ("model", "tile", "dropped"):
        meta = pmt.dict_delete(meta, pmt.intern(key))
    return pmt.cons(meta, _pdu.c32vector(np.asarray(samples, np.complex64)))


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
        signal=_parse_signal(meta),
    )


def _parse_signal(meta) -> Signal | None:
    """What a PDU says of a signal; None if it is of none."""
    number = get(meta, "signal", whole)
    return None if number is None else Signal(
        number, get(meta, "part", whole, 0), get(meta, "ended", boolean, True), get(meta, "snr", real),
        get(meta, "bandwidth", real), get(meta, "duration", real), get(meta, "rate", rate),
        get(meta, "lead", whole), get(meta, "missing", whole))


def parse_embedding(message, size: int | None = None) -> tuple[TileInfo, np.ndarray]:
    """TileInfo and float32 (D,) of an embedding PDU."""
    meta, values = open_pdu(message, "an embedding")
    if size is not None and len(values) != size:
        raise MessageError(f"an embedding must have {size} values, got {len(values)}")
    return parse_info(meta), values


def parse_signal(message) -> tuple[TileInfo, np.ndarray]:
    """TileInfo, whose ``signal`` is there, and complex64 (n,) of a signal PDU."""
    meta, values = open_pdu(message, "a signal", samples, "c32vector")
    info = parse_info(meta)
    if info.signal is None:
        raise MessageError("a signal: key 'signal' is missing")
    return info, values


def parse_tokens(message) -> tuple[TileInfo, dict[int, np.ndarray]]:
    """TileInfo and the matrices float32 (rows, columns) by layer of a tokens PDU."""
    meta, values = open_pdu(message, "a tokens PDU")
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
    meta, scores = open_pdu(message, "a prediction")
    labels = get(meta, "labels", _labels, ())
    if labels and len(labels) != len(scores):
        raise MessageError(
            f"a prediction with {len(labels)} labels must carry as many scores, got {len(scores)}"
        )
    return Prediction(
        parse_info(meta),
        get(meta, "task", text, ""),
        get(meta, "label", text, required=True),
        get(meta, "confidence", real, 0.0),
        get(meta, "unknown", boolean, False),
        labels,
        scores,
        get(meta, "unit", text),
    )


def parse_detection(message) -> Prediction:
    """A signal PDU, as a decision that it is one, labelled 'signal'."""
    info, _ = parse_signal(message)
    return Prediction(info, task="detection", label="signal", confidence=None)


def _labels(value) -> tuple[str, ...]:
    if not pmt.is_vector(value):
        raise MessageError("must be a vector of symbols")
    return tuple(text(pmt.vector_ref(value, i)) for i in range(pmt.length(value)))


def status(command: str, ok: bool, reason: str = "", **values) -> pmt.pmt_base:
    """Answer on port ``status``: {command, ok, reason, ...}; int, float, bool and str values."""
    return scalars({"command": command, "ok": ok, "reason": reason, **values})


def alarm(alarm, rx_time: tuple[int, float] | None = None, **values) -> pmt.pmt_base:
    """A dict of what a watch has to say (``radiofm_ml.watch.events.Alarm``), with the time of ``time``."""
    meta = scalars({"kind": alarm.kind, "label": alarm.label, "freq_lower_edge": float(alarm.freq_lower),
                    "freq_upper_edge": float(alarm.freq_upper), "time": float(alarm.time),
                    "since": float(alarm.since), "reason": alarm.reason, **values})
    return meta if rx_time is None else pmt.dict_add(meta, RX_TIME, time_to_pmt(*rx_time))


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
