# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Task Head: a trained head of any kind on what ViT Embedding Sink sends."""

import math
import threading
from dataclasses import replace

import numpy as np
from gnuradio import gr

from .common import backlog, messages
from .common.arguments import whole
from .common.complaints import Complaints
from .common.lifetime import Held
from .common.messages import TILE_LAYER, MessageError, Prediction, TileInfo
from .common.optional import optional

_NAME = "Task Head"
_UNKNOWN = "unknown"


class task_head(backlog.Reader, Held, gr.basic_block):
    """Runs a trained head: on embeddings, or with blocks of its own on tokens; classification, regression or
    segmentation.

    Several heads on one ViT Embedding Sink share its pass through the encoder. Messages wait in the block's
    own queue and are worked off on its own thread, as many at once as have come; what waits when the stream
    ends is worked off before the flowgraph ends. When more than ``max_queue`` tokens wait, the oldest go and
    are counted; a sink with overload 'block' lets it not come so far.

    Message input ``embeddings``: embedding PDUs, for heads that begin there.
    Message input ``tokens``: tokens PDUs with the layers of ``layers()``, for all others. In both, PDUs of
      another model than the head was trained on are refused: their numbers mean something else. A head that
      knows the sample rate takes it from the PDU's ``sample_rate``, and refuses one without.
    Message output ``predictions``: prediction PDUs, in order. Classification: one a tile, with ``label``,
      ``confidence`` and, as the payload, the probabilities in the order of ``labels``. Regression: one a
      tile; the payload holds the numbers, ``labels`` their names, ``unit`` their unit; ``label`` is empty and
      ``confidence`` 0, not being stated. Segmentation: one for every box, with the box's own
      ``sample_start``, ``sample_count``, ``rx_time``, ``freq_lower_edge`` and ``freq_upper_edge``; the
      payload is the mean probability of each class over the box's pixels.
    Message output ``status``: {command 'predict', ok false, reason} for every PDU that is refused.

    head            a head: its folder, or 'BUNDLE/NAME' of one that ships (radiofm_ml.heads)
    min_confidence  classification, segmentation: below it the label is 'unknown'; 0 for never
    bundle          of the head; '' for the one that it lies in or was trained on
    min_pixels      segmentation: smaller boxes are left out
    max_batch       tiles that are decided at once, at most
    max_queue       tokens PDUs that may wait
    threads         of inference

    Raises ValueError (BundleError among them) naming the file and the cure, and ImportError if a Python
    package is missing.
    """

    def __init__(self, head: str, min_confidence: float = 0.0, bundle: str = "", min_pixels: int = 16,
                 max_batch: int = 8, max_queue: int = 256, threads: int = 1):
        gr.basic_block.__init__(self, name=_NAME, in_sig=None, out_sig=None)
        self._log = gr.logger(self.alias())
        self._complaints = Complaints(self._log)
        self._lock = threading.Lock()
        self._counts = {"received": 0, "refused": 0, "dropped": 0}
        self._bundle, self._threads = str(bundle), _whole("threads", threads)
        self.set_head(head)
        self.set_min_confidence(min_confidence)
        self.set_min_pixels(min_pixels)
        self.set_max_batch(max_batch)
        self.set_max_queue(max_queue)
        self.read_messages({messages.EMBEDDINGS: self.handle_embedding, messages.TOKENS: self.handle_tokens})
        self.message_port_register_out(messages.PREDICTIONS)
        self.message_port_register_out(messages.STATUS)
        backlog.register(self)

    def start(self):
        self._complaints.forget()
        left = self.begin_run()
        if left:
            self._log.warn(f"{left} PDUs of the run before were not decided, and are dropped")
        backlog.begin_sending(self)
        return True

    def stop(self):
        self.end_run()
        if not self._ended_itself:
            backlog.take_back(self, (messages.PREDICTIONS,))
        if self.dropped():
            self._publish_status(f"{self.dropped()} of {self.received()} were dropped")
        backlog.end_sending(self)
        return True

    # -- the block's thread ---------------------------------------------------------------------------
    def handle_embedding(self, message) -> None:
        self._handle(messages.EMBEDDINGS, message)

    def handle_tokens(self, message) -> None:
        self._handle(messages.TOKENS, message)

    def _handle(self, port, message) -> None:
        """Decide ``message`` and those that wait behind it, up to a batch."""
        batch = [message, *self._waiting(port)]
        self._counts["received"] += len(batch)
        try:
            with self._lock:
                head, min_confidence, min_pixels = self._head, self._min_confidence, self._min_pixels
            batch = self._newest(port, batch)
            read = self._read_embedding if port is messages.EMBEDDINGS else self._read_tokens
            infos, inputs = self._read_all(batch, lambda m: read(m, head))
            if infos:
                for prediction in _predictions(head, infos, inputs, min_confidence, min_pixels):
                    self.message_port_pub(messages.PREDICTIONS, messages.prediction_pdu(prediction))
        except Exception as error:  # would end the block's thread and leave a flowgraph that never stops
            self._refuse(f"failed: {type(error).__name__}: {error}")

    def _waiting(self, port) -> list:
        """More messages of a port, to make the batch full; tokens beyond ``max_queue`` as well."""
        block = self.to_basic_block()
        waiting = block.nmsgs(port)
        excess = max(0, waiting + 1 - self._max_queue) if port is messages.TOKENS else 0
        return [block.delete_head_nowait(port) for _ in range(min(waiting, self._max_batch - 1 + excess))]

    def _newest(self, port, batch: list) -> list:
        """The newest of a batch that was too many, the rest counted."""
        excess = max(0, len(batch) - self._max_batch)
        if excess:
            self._say("tokens come faster than this head decides; the oldest are dropped, and counted")
            self._counts["dropped"] += excess
        return batch[excess:]

    def _read_all(self, batch: list, read) -> tuple[list[TileInfo], list]:
        """What can be read of a batch; the rest is refused."""
        infos, inputs = [], []
        for message in batch:
            try:
                info, values = read(message)
            except MessageError as error:
                self._refuse(str(error))
                continue
            infos.append(info)
            inputs.append(values)
        return infos, inputs

    def _read_embedding(self, message, engine) -> tuple[TileInfo, np.ndarray]:
        if engine.layers:
            raise MessageError(
                f"this head does not begin at the embedding; connect port tokens, with {_list(engine)} "
                "among its layers"
            )
        info, vector = messages.parse_embedding(message, engine.head.embedding_size)
        _check(info, engine, "embedding")
        return info, vector

    def _read_tokens(self, message, engine) -> tuple[TileInfo, dict[int, np.ndarray]]:
        if not engine.layers:
            raise MessageError("this head begins at the embedding; connect port embeddings")
        info, found = messages.parse_tokens(message)
        _check(info, engine, "tokens")
        for layer, shape in engine.shapes.items():
            if layer not in found:
                raise MessageError(f"layer {layer} is missing; this head reads {_list(engine)}: set Token "
                                   "Layers of ViT Embedding Sink")
            if found[layer].shape != shape:
                raise MessageError(f"layer {layer} must be {shape[0]} x {shape[1]}, got "
                                   f"{found[layer].shape[0]} x {found[layer].shape[1]}")
        return info, {layer: found[layer] for layer in engine.layers}

    def _refuse(self, reason: str) -> None:
        self._complaints.say(f"a tile is not decided: {reason}")
        self._counts["refused"] += 1
        self._publish_status(reason)

    def _say(self, text: str) -> None:
        """Once a run, in the log and on ``status``."""
        if self._complaints.say(text):
            self._publish_status(text)

    def _publish_status(self, reason: str) -> None:
        self.message_port_pub(messages.STATUS, messages.status("predict", False, reason))

    # -- settings and counters ----------------------------------------------------------------------
    def set_head(self, head: str) -> None:
        """Take another head from the next batch on. Raises ValueError and keeps the old one."""
        try:
            loaded = optional("radiofm_ml.heads", _NAME).load(str(head))
            if loaded.input == "embedding":
                engine = _Plain(loaded)
            else:
                library = optional("radiofm_ml.heads.running", _NAME)
                engine = library.open_head(str(head), self._bundle, self._threads)
        except ValueError as error:
            raise ValueError(f"{_NAME}: {error}") from None
        with self._lock:
            self._head = engine

    def set_min_confidence(self, min_confidence: float) -> None:
        if not 0.0 <= min_confidence <= 1.0:
            raise ValueError(f"{_NAME}: min_confidence must lie in 0..1, got {min_confidence}")
        with self._lock:
            self._min_confidence = float(min_confidence)

    def set_min_pixels(self, min_pixels: int) -> None:
        self._min_pixels = _whole("min_pixels", min_pixels)

    def set_max_batch(self, max_batch: int) -> None:
        self._max_batch = _whole("max_batch", max_batch)

    def set_max_queue(self, max_queue: int) -> None:
        self._max_queue = _whole("max_queue", max_queue)

    def min_confidence(self) -> float:
        return self._min_confidence

    def min_pixels(self) -> int:
        return self._min_pixels

    def max_batch(self) -> int:
        return self._max_batch

    def max_queue(self) -> int:
        return self._max_queue

    def labels(self) -> tuple[str, ...]:
        """The classes, or the names of the numbers."""
        return self._head.head.labels

    def layers(self) -> tuple[int, ...]:
        """The layers that the head reads: Token Layers of the sink must have them; () for embeddings."""
        return self._head.layers

    def received(self) -> int:
        """PDUs that came."""
        return self._counts["received"]

    def refused(self) -> int:
        """PDUs that were malformed, of another model, or without a layer or the sample rate that the head
        needs; each was answered on ``status``."""
        return self._counts["refused"]

    def dropped(self) -> int:
        """Tokens PDUs that were dropped because more than ``max_queue`` waited."""
        return self._counts["dropped"]


def token_layers(heads: list[str]) -> list[int]:
    """Layers that these heads read, for Token Layers of the ViT Embedding Sink before them. Raises
    ValueError."""
    load = optional("radiofm_ml.heads", _NAME).load
    layers = set()
    for head in map(load, heads):
        if head.input == "tokens":
            layers.add(head.from_layer)
        if head.input == "tile" or getattr(head, "reads_tile", False):
            layers.add(TILE_LAYER)
    return sorted(layers)


class _Plain:
    """A head on embeddings, which needs no torch, with the face of
    ``radiofm_ml.heads.running.HeadEngine``."""

    layers, shapes = (), {}

    def __init__(self, head):
        self.head, self.predict = head, head


def _predictions(engine, infos: list[TileInfo], inputs: list, min_confidence: float, min_pixels: int):
    """Prediction of every tile, or of every box in it."""
    rates = [info.sample_rate for info in infos] if engine.head.rate else None
    if engine.layers:
        inputs = {layer: np.stack([values[layer] for values in inputs]) for layer in engine.layers}
    else:
        inputs = np.stack(inputs)
    head = engine.head
    kind = optional("radiofm_ml.heads.kinds", _NAME).KINDS[head.kind]
    for info, values in zip(infos, engine.predict(inputs, rates), strict=True):
        for decision in kind.decisions(engine, values, min_pixels):
            place = info if decision.place is None else _placed(info, *decision.place)
            if place is not None:
                yield _prediction(head, place, decision.label, decision.scores, min_confidence)


def _prediction(head, info: TileInfo, best: int | None, scores: np.ndarray, min_confidence: float):
    """Of a label, or of numbers where ``best`` is None."""
    if best is None:
        return Prediction(info, head.task, labels=head.labels, scores=scores, unit=head.unit)
    confidence = float(scores[best])
    unknown = confidence < min_confidence
    label = _UNKNOWN if unknown else head.labels[best]
    return Prediction(info, head.task, label, confidence, unknown, head.labels, scores)


def _placed(info: TileInfo, start: int, count: int, band: tuple[float, float]) -> TileInfo | None:
    """``info`` of a box in the tile; None if it lies in the padding."""
    count = min(count, info.sample_count - start)
    if count <= 0:
        return None
    rate, time, lower, upper = info.sample_rate, None, None, None
    if rate:
        centre = info.rx_freq or 0.0
        lower, upper = (centre + edge * rate for edge in band)
        if info.rx_time is not None:
            time = messages.time_after(info.rx_time, start, rate)
    return replace(info, sample_start=info.sample_start + start, sample_count=count, rx_time=time,
                   freq_lower_edge=lower, freq_upper_edge=upper)


def _check(info: TileInfo, engine, what: str) -> None:
    if engine.head.rate and not (info.sample_rate and 0 < info.sample_rate < math.inf):
        raise MessageError("the head needs sample_rate; give samp_rate to ViT Embedding Sink")
    if info.model and engine.head.model and info.model != engine.head.model:
        raise MessageError(f"{what} made by model '{info.model}', the head is for '{engine.head.model}'")


def _list(engine) -> str:
    return " and ".join(
        f"{layer} (the tile)" if layer == TILE_LAYER else str(layer) for layer in engine.layers
    )


def _whole(name: str, value) -> int:
    return whole(f"{_NAME}: {name}", value, 1, 65536)
