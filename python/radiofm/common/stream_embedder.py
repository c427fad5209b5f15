# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What blocks that embed a stream have in common: an encoder on a thread of its own, behind a bounded
queue."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from gnuradio import gr

from ..radiofm_python import _flowgraph
from . import backlog, messages, runs
from .complaints import Complaints
from .lingering import Lingering
from .messages import TileInfo
from .optional import optional
from .origin import Origin, rate_in_force, stated_rate
from .overload import set_overload
from .worker import OVERLOADS, BatchWorker

_BUFFER = 2 << 20  # bytes that fit into the buffer before us, about


class Piece(NamedTuple):
    """A tile or a block of samples that waits to be embedded."""

    index: int  # number in the stream
    start: int  # its first sample
    values: np.ndarray
    origin: Origin


def open_encoder(name: str, bundle, reads: str, engine: str, threads: int):
    """Engine of a bundle whose encoder reads 'tiles' (or, instead, signals) or 'iq'. Raises ValueError,
    ImportError."""
    engines = optional("radiofm_ml.engines", name)  # before torch: see there
    if not bundle:
        raise ValueError(f"{name}: name a bundle")
    bundle = optional("radiofm_ml.bundle", name).load(bundle)
    if reads == "tiles" and bundle.reads == "signals":
        reads = bundle.reads
    return engines.open_engine(bundle, engine, threads, reads=reads)


@dataclass(frozen=True)
class EmbedderSettings:
    """What the blocks that embed a stream let their user set; each explains it."""

    samp_rate: float
    overload: str
    max_batch: int
    max_latency: float
    max_queue: int


class StreamEmbedder(Lingering):
    """Base of a sink whose items are embedded on a thread of its own.

    A subclass gives ``_take(items)``, which queues new items as pieces and says how many items it took, and
    ``_embed(batch)``, which works on the worker's thread; ``_flush`` if it keeps some of what it took. In the
    end everything that was taken is embedded and sent before the flowgraph ends.
    """

    _ports = (messages.EMBEDDINGS,)  # on which what was embedded goes out
    _optional = False  # the stream: it need not be connected

    def _more_workers(self, settings: EmbedderSettings) -> list[BatchWorker]:
        """For what does not come in the stream."""
        return []

    def __init__(self, name: str, thread: str, engine, item, settings: EmbedderSettings):
        """item: type of an input item, as GNU Radio's Python blocks take it; thread: name of the worker's."""
        self._name, self._engine = name, engine
        self._running = False
        try:
            self._worker = BatchWorker(
                self._embed, max_batch=settings.max_batch, max_latency=settings.max_latency,
                capacity=settings.max_queue, overload=OVERLOADS[0], on_error=self._failed,
                on_drop=self._dropping, name=thread)
            self._workers = [self._worker, *self._more_workers(settings)]
            self.set_overload(settings.overload)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        signature = gr.py_io_signature(0 if self._optional else 1, 1, [item])
        gr.basic_block.__init__(self, name=name, in_sig=signature, out_sig=None)
        self._log = gr.logger(self.alias())
        self._complaints = Complaints(self._log)
        self.set_samp_rate(settings.samp_rate)
        self._reset()
        self.message_port_register_out(messages.EMBEDDINGS)
        self.message_port_register_out(messages.STATUS)
        self._open_stream(max(8, _BUFFER // np.dtype(item).itemsize))

    def _reset(self) -> None:
        """For a new run: all counts from 0."""
        self._origin = Origin()  # of the newest piece that was queued
        self._posted, self._bad = 0, 0
        self._complaints.forget()
        self._stopping = False

    # -- life -----------------------------------------------------------------------------------------
    def start(self):
        self._begin_stream()
        self._reset()
        self._number = runs.begin()  # of this run
        self._running = True
        self.set_overload(self._overload)
        for worker in self._workers:
            worker.start()
        backlog.begin_sending(self)
        return True

    def stop(self):
        ended = self._has_ended()
        self._stopping, self._running = True, False
        for worker in self._workers:
            worker.stop()
        if not ended:  # but was stopped: what readers that have ended before this block would never read
            self._take_back(backlog.take_back(self, self._ports))
            self._report_drops()
        self._end_stream()
        runs.end(self._number)
        backlog.end_sending(self)
        return True

    def _has_ended(self) -> bool:
        """By itself, that is, and was not stopped."""
        return _flowgraph.input_ended(self.to_basic_block(), 0)

    def _take_back(self, count: int) -> None:
        """So many that were sent have got lost."""
        for worker in self._workers:
            of_this = min(count, worker.processed)
            worker.take_back(of_this)
            count -= of_this

    def _report_drops(self) -> None:
        late = sum(worker.late for worker in self._workers)
        taken = self.embedded() + self.dropped() + self.failed()
        if late:
            text = f"{late} of {taken} were dropped: they came faster than they can be embedded"
            self._log.warn(text)
            self._publish_status(text)

    # -- the block's thread ---------------------------------------------------------------------------
    def _rest(self, seconds: float, ended) -> bool:
        """The last item stays in the buffer until all are embedded and sent."""
        if not self._flush() or not self._worker.wait_idle(seconds):
            return False
        if ended():
            self._report_drops()  # now, while somebody still reads it
        return True

    def _take(self, items: np.ndarray) -> int:
        """Queue items, the first of them number ``_next``; how many were taken. Waits a little at most."""
        raise NotImplementedError

    def _flush(self) -> bool:
        """Queue what was taken and kept; whether all of it is."""
        return True

    # -- the worker's thread --------------------------------------------------------------------------
    def _embed(self, batch: list[Piece]) -> int:
        """Embed and send pieces, and add their number to ``_posted``; how many were sent before the flowgraph
        was stopped."""
        raise NotImplementedError

    def _stack(self, batch: list[Piece]) -> np.ndarray:
        """The values of a batch, (n, values). Odd ones are counted."""
        values = np.stack([piece.values for piece in batch])
        # their energy is finite unless one of them is not, or overflows: seldom must each be looked at
        if not np.isfinite(np.vdot(values, values).real):
            bad = int(np.count_nonzero(~np.isfinite(values).all(1)))
            if bad:
                self._say("values", "there are NaN or infinite values; they are embedded all the same")
                self._bad += bad
        return values

    def _info(self, piece: Piece, count: int, posted: int) -> TileInfo:
        """count: samples that the piece was computed from, with padding; posted: PDUs before this one's."""
        origin = piece.origin
        if origin.padding is not None:
            count = max(0, min(count, origin.padding - piece.start))
        rate = rate_in_force(self._rate, origin.rate)
        return TileInfo(piece.start, count, rate, origin.frequency, origin.time_of(piece.start, rate),
                        self._engine.bundle.id, piece.index, piece.index - posted, run=self._number,
                        recording_shift=origin.recording_shift)

    # -- complaints -----------------------------------------------------------------------------------
    def _say(self, about: str, text: str) -> None:
        """Once a run, in the log and on ``status``."""
        if self._complaints.say(text, about):
            self._publish_status(text)

    def _publish_status(self, reason: str) -> None:
        self.message_port_pub(messages.STATUS, messages.status("embed", False, reason))

    def _failed(self, error: Exception) -> None:
        """Once a run in the log, always on ``status``."""
        reason = str(error) or type(error).__name__
        self._complaints.say(reason, type(error).__name__)
        self._publish_status(reason)

    def _dropping(self) -> None:
        self._say("dropping", "this comes faster than it can be embedded: the oldest that wait are dropped, "
                              "and counted. Where the source can wait, set overload to 'block'")

    # -- settings and counters ------------------------------------------------------------------------
    def set_samp_rate(self, samp_rate: float) -> None:
        """For what is to come. 0: as the ``rx_rate`` tags say. Raises ValueError."""
        self._rate = stated_rate(f"{self._name}: samp_rate", samp_rate)

    def set_overload(self, overload: str) -> None:
        """'auto', 'drop' or 'block'. Raises ValueError."""
        for worker in self._workers:
            self._overload = set_overload(overload, worker, self if self._running else None)

    def set_max_batch(self, max_batch: int) -> None:
        for worker in self._workers:
            worker.set_max_batch(max_batch)

    def set_max_latency(self, max_latency: float) -> None:
        for worker in self._workers:
            worker.set_max_latency(max_latency)

    def set_max_queue(self, max_queue: int) -> None:
        for worker in self._workers:
            worker.set_capacity(max_queue)

    def samp_rate(self) -> float:
        return self._rate or 0.0

    def overload(self) -> str:
        """As it was set."""
        return self._overload

    def waits(self) -> bool:
        """Does the source wait where inference cannot keep up? With overload 'auto' it is known while the
        flowgraph runs."""
        return self._worker.overload == "block"

    def max_batch(self) -> int:
        return self._worker.max_batch

    def max_latency(self) -> float:
        return self._worker.max_latency

    def max_queue(self) -> int:
        return self._worker.capacity

    def engine(self) -> str:
        """The engine in use, such as 'torch-bf16'."""
        return self._engine.name

    def embedding_size(self) -> int:
        return self._engine.embedding_size

    def embedded(self) -> int:
        """Pieces embedded in this run, and sent."""
        return sum(worker.processed for worker in self._workers)

    def dropped(self) -> int:
        """Pieces dropped in this run: there was no time for them, or the flowgraph was stopped."""
        return sum(worker.dropped for worker in self._workers)

    def bad_tags(self) -> int:
        """Tags of this run that could not be read and were left out."""
        return self._origin.bad

    def failed(self) -> int:
        """Pieces of this run that the engine failed on."""
        return sum(worker.failed for worker in self._workers)

    def waiting(self) -> int:
        """Pieces that wait now; up to a batch more is in work."""
        return sum(worker.waiting for worker in self._workers)
