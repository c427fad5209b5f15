# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""ProtoBeam Classifier: labels for blocks of raw I/Q, taught by message while the flowgraph runs."""

import numpy as np

from .common import backlog, messages
from .common.arguments import is_whole, whole
from .common.lingering import PATIENCE
from .common.origin import origins, read_tags
from .common.prototype_block import PrototypeBlock, PrototypeSettings
from .common.stream_embedder import EmbedderSettings, Piece, StreamEmbedder, open_encoder

_NAME = "ProtoBeam Classifier"


class protobeam_classifier(PrototypeBlock, backlog.Reader, StreamEmbedder):
    """Embeds blocks of I/Q with the encoder of a bundle and classifies them by the nearest of a few taught
    prototypes: which beam they came by, from which angle, or whatever else was taught. Says 'unknown' where
    none fits.

    Inference runs on a thread of its own. Where it cannot keep up, ``overload`` says what happens:
    'drop': the oldest waiting block goes and is counted, the source never waits;
    'block': the source waits and every block is decided;
    'auto': 'block' where the stream comes from files or is computed, 'drop' where it is live, as of *ViT
    Embedding Sink*. In all, what waits when the stream ends is decided before the flowgraph ends.

    Input: complex samples in any unit, or vectors of ``vlen`` of them. A stream is cut into blocks of the
    bundle's length, ``hop`` samples apart; what is left at its end is shorter than a block and is left out.
    Every vector is cut for itself: blocks that lie in it whole, ``hop`` samples apart.
    Message input ``prototypes``: commands, as *Prototype Classifier* takes them. A tile is a block here.
    Message output ``predictions``: prediction PDUs, one a block, in order: ``sample_start``, ``sample_count``
      (less padding), ``tile`` (the block's number), ``dropped`` (blocks lost before it), ``model``; as far as
      tags or ``samp_rate`` tell also ``sample_rate``, ``rx_freq`` and ``rx_time`` of its first sample.
    Message output ``embeddings``: embedding PDUs of the same keys, for other blocks.
    Message output ``status``: an answer to every command; 'drift' as from *Prototype Classifier*; {command
      'embed', ok false, reason} when inference fails; once a run also when blocks are dropped, when a tag
      cannot be read, and when a tag contradicts ``samp_rate``.
    Message output ``prototypes_out``: the whole state after every change.

    bundle       a bundle of an encoder of I/Q: its path, its name, a Hugging Face id, or loaded
    hop          samples from a block to the next, 0 for the bundle's block: every sample is used once
    vlen         samples in an input item: 1 for a stream
    samp_rate    samples/s; 0: as the ``rx_rate`` tags say
    prototypes, shipped, normalisation, metric, centre, false_alarm_rate, drift_rate, history, task
                 as of *Prototype Classifier*
    overload     'auto', 'drop' or 'block'
    max_batch    blocks that are embedded at once, at most
    max_latency  seconds that a block waits for others to be embedded with
    max_queue    blocks that may wait
    engine       'auto' or the name of an engine of ``radiofm_ml.engines``
    threads      of the engine; 1 leaves the other cores to the flowgraph

    Started again, also after lock() and unlock(), it counts from 0; what was taught stays. Raises ValueError
    (BundleError among them) naming the file and the cure, and ImportError if a Python package is missing.
    """

    def __init__(self, bundle="protobeam-sim", hop: int = 0, vlen: int = 1, samp_rate: float = 0.0,
                 prototypes: str = "", shipped: bool = True, normalisation: str = "auto",
                 metric: str = "euclidean", centre: str = "source", false_alarm_rate: float = 0.01,
                 history: int = 256, task: str = "beam", overload: str = "auto", max_batch: int = 64,
                 max_latency: float = 0.05, max_queue: int = 256, engine: str = "auto", threads: int = 1,
                 drift_rate: float = 1e-6):
        encoder = open_encoder(_NAME, bundle, "iq", engine, threads)
        self._block = encoder.block
        if not is_whole(vlen, 1) or 1 < vlen < self._block:
            raise ValueError(f"{_NAME}: vlen must be 1 (a stream) or at least the {self._block} samples of a "
                             f"block of {encoder.bundle.id}, got {vlen!r}")
        self._vlen = vlen = int(vlen)
        super().__init__(_NAME, "protobeam_classifier", encoder,
                         np.complex64 if vlen == 1 else (np.complex64, vlen),
                         EmbedderSettings(samp_rate, overload, max_batch, max_latency, max_queue))
        self._open_prototypes(_NAME, encoder.bundle, PrototypeSettings(
            prototypes, shipped, history, task, normalisation, metric, centre, false_alarm_rate, drift_rate))
        self.set_hop(hop)
        self.read_messages({}, {messages.PROTOTYPES: self.handle_command}, stream=True)

    _ports = messages.EMBEDDINGS, messages.PREDICTIONS

    def _reset(self) -> None:
        super()._reset()
        self._samples = np.zeros(0, np.complex64)  # taken, and not yet queued as blocks
        self._first = 0  # number of the first of them
        self._tags = []  # that no queued block carries
        self._index, self._start = 0, 0  # of the block to be queued next

    # -- life -----------------------------------------------------------------------------------------
    def start(self):
        self._port.start()
        self.begin_run()
        return super().start()

    def stop(self):
        super().stop()
        self._port.stop()
        return True

    # -- the block's thread ---------------------------------------------------------------------------
    def _take(self, items: np.ndarray) -> int:
        if not self._flush():
            return 0
        tags = self.get_tags_in_range(0, self._next, self._next + len(items))
        self._tags += read_tags(tags, self._vlen)
        first = self._next * self._vlen  # sample of the new ones
        kept = max(0, first - self._start)  # none where hop is larger than a block
        self._samples = np.concatenate([self._samples[len(self._samples) - kept:], items.reshape(-1)])
        self._first = first - kept
        self._flush()
        return len(items)

    def _flush(self) -> bool:
        """Queue the whole blocks among the samples that are kept; whether all have found room."""
        starts = self._starts()
        if not starts:
            return True
        ends = [start + self._block for start in starts]
        found = origins(self._origin, self._tags, ends, self._rate, self._say)
        samples, first, index = self._samples, self._first, self._index

        def block(i: int) -> Piece:
            """A view: the samples themselves are never written to."""
            return Piece(index + i, starts[i], samples[starts[i] - first:ends[i] - first], found[i])

        taken = self._worker.put(len(starts), block, PATIENCE[1])
        if taken:
            self._origin = found[taken - 1]
            self._tags = [tag for tag in self._tags if tag.sample >= ends[taken - 1]]
            self._index += taken
            self._start = starts[taken] if taken < len(starts) else self._behind(starts[-1])
        return taken == len(starts)

    def _starts(self) -> list[int]:
        """Of the blocks that lie whole in the samples that are kept."""
        starts, start = [], self._start
        while start + self._block <= self._first + len(self._samples):
            starts.append(start)
            start = self._behind(start)
        return starts

    def _behind(self, start: int) -> int:
        """Where the block behind the one at ``start`` begins."""
        following = start + self._hop
        if self._vlen == 1 or start % self._vlen + self._hop + self._block <= self._vlen:
            return following
        return (start // self._vlen + 1) * self._vlen

    # -- the worker's thread --------------------------------------------------------------------------
    def _embed(self, batch: list[Piece]) -> int:
        embedded = self._engine.embed(self._stack(batch))
        if self._stopping:  # the blocks behind read no more
            return 0
        infos = [self._info(piece, self._block, self._posted + i) for i, piece in enumerate(batch)]
        if backlog.is_read(self, messages.EMBEDDINGS):
            for info, embedding in zip(infos, embedded, strict=True):
                self.message_port_pub(messages.EMBEDDINGS, messages.embedding_pdu(info, embedding))
        for prediction in self._port.decide(infos, embedded):
            self.message_port_pub(messages.PREDICTIONS, messages.prediction_pdu(prediction))
        self._posted += len(batch)
        return len(batch)

    # -- settings and counters ------------------------------------------------------------------------
    def set_hop(self, hop: int) -> None:
        """From the block behind the next one on. 0 for the bundle's block. Raises ValueError."""
        self._hop = whole(f"{_NAME}: hop", hop, 0, 2**31 - 1) or self._block

    def hop(self) -> int:
        """In use; never 0."""
        return self._hop

    def block(self) -> int:
        """Samples in a block."""
        return self._block

    def bad_blocks(self) -> int:
        """Blocks of this run with NaN or infinite samples; they are decided all the same."""
        return self._bad
