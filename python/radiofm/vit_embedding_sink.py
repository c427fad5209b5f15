# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""ViT Embedding Sink: spectrogram tiles become embeddings, in PDUs that say where each came from."""

import math
import time
from collections.abc import Sequence

import numpy as np

from .common import backlog, messages
from .common.lingering import PATIENCE
from .common.messages import TILE_LAYER, MessageError, TileInfo
from .common.optional import optional
from .common.origin import origins, read_tags
from .common.signal_embedder import CutSignal, SignalEmbedder, SignalWorker
from .common.stream_embedder import EmbedderSettings, Piece, StreamEmbedder, open_encoder
from .common.worker import OVERLOADS
from .radiofm_python import _flowgraph

_NAME = "ViT Embedding Sink"


class vit_embedding_sink(backlog.Reader, StreamEmbedder):
    """Embeds the tiles of IQ to Spectrogram, or the signals of Signal Cutter, with the Vision Transformer of
    a bundle. Connect one or the other, or both.

    Inference runs on a thread of its own. Where it cannot keep up, ``overload`` says what happens:
    'drop': the oldest waiting tile goes and is counted, the source never waits;
    'block': the source waits and every tile is embedded;
    'auto': 'block' where the stream comes from files or is computed (GNU Radio's file, WAV, vector, signal
    and noise sources, SigMF Source, the simulators), 'drop' where it is live: from any other source, or
    through a throttle. In all, what waits when the stream ends is embedded before the flowgraph ends, and the
    PDUs reach the blocks behind. What is dropped is said in the log and on ``status``. Of signals the newest
    and least known come first where not all can be embedded: those of which, or of whose place in the band,
    least was embedded before.

    Message input ``signals``: signal PDUs with their samples, for a bundle that reads signals.
    Message output ``embeddings``: a PDU a tile, in order (dict . f32vector[D]): ``sample_start``,
      ``sample_count`` (less padding), ``tile``, ``dropped`` (tiles lost before this one), ``model``; as far
      as tags or ``samp_rate`` tell also ``sample_rate``, ``rx_freq``, ``rx_time`` of the tile's first sample,
      ``freq_lower_edge`` and ``freq_upper_edge`` of the strongest signal (Hz; around 0 without ``rx_freq``).
      A PDU a signal, or a part of a long one, with the keys of its PDU: the embedding is of all its parts so
      far, ``rx_time`` of ``sample_start``, ``tile`` its number, ``dropped`` how many were left out before.
    Message output ``tokens``: for heads with blocks of their own and for segmentation, a PDU a tile of the
      same keys, the trunk's pass that made the embedding shared (docs/messages.md). Only with
      ``token_layers``. With overload 'block' they are not sent faster than every Task Head takes them.
    Message output ``status``: {command 'embed', ok false, reason} for every signal that is refused, when
      embedding or the file fails; once a run also when tiles or signals are dropped, when a tag cannot be
      read, and when a tag contradicts ``samp_rate``.

    bundle       a bundle: its path, its name, a Hugging Face id, or loaded
    samp_rate    samples/s of the stream before the tiles; 0: as the ``rx_rate`` tags say
    overload     'auto', 'drop' or 'block'
    max_batch    tiles that are embedded at once, at most
    max_latency  seconds that a tile waits for others to be embedded with
    max_queue    tiles that may wait
    filename     ``.npz`` to write when the flowgraph ends (as ``radiofm embed`` does), of the tiles, or where
                 no stream is connected of the signals; '' for none
    engine       'auto' or the name of an engine of ``radiofm_ml.engines``
    threads      of the engine; 1 leaves the other cores to the flowgraph
    token_layers the layers whose tokens go out: k for those before block k, the number of blocks for those
                 behind the last, -1 for the tile; none costs nothing

    Started again, also after lock() and unlock(), it counts from 0 and writes the file anew. Raises
    ValueError (BundleError among them) naming the file and the cure, and ImportError if a Python package
    is missing.
    """

    def __init__(self, bundle="radiofm-small", samp_rate: float = 0.0, overload: str = "auto",
                 max_batch: int = 8, max_latency: float = 0.05, max_queue: int = 16, filename: str = "",
                 engine: str = "auto", threads: int = 1, token_layers: Sequence[int] = ()):
        encoder = open_encoder(_NAME, bundle, "tiles", engine, threads)
        self._spec, self._signals = encoder.spec, None
        if encoder.bundle.signals is not None:
            self._signals = SignalEmbedder(encoder)
        super().__init__(_NAME, "vit_embedding_sink", encoder, (np.float32, math.prod(encoder.shape)),
                         EmbedderSettings(samp_rate, overload, max_batch, max_latency, max_queue))
        self._clean_tiles = optional("radiofm_ml.engines", _NAME).clean_tiles
        self._occupied_band = optional("radiofm_ml.spectrogram", _NAME).occupied_band
        self._embeddings = optional("radiofm_ml.embeddings", _NAME)
        self.set_token_layers(token_layers)
        self._filename, self._file, self._streaming = str(filename), None, True
        if self._filename:
            self._new_file().discard()  # to say now that it cannot be written
        self.message_port_register_out(messages.TOKENS)
        self._refused = 0
        self.read_messages({messages.SIGNALS: self.handle_signal}, stream=True)
        backlog.register(self)

    _ports = messages.EMBEDDINGS, messages.TOKENS
    _optional = True

    def _more_workers(self, settings: EmbedderSettings) -> list:
        self._signal_worker = SignalWorker(
            self._embed_signals, max_batch=settings.max_batch, max_latency=settings.max_latency,
            capacity=settings.max_queue, overload=OVERLOADS[0], on_error=self._failed,
            on_drop=self._leaving_out, name="vit_embedding_sink_signals")
        return [self._signal_worker]

    # -- life -----------------------------------------------------------------------------------------
    def start(self):
        self._streaming = bool(_flowgraph.upstream(self.to_basic_block()))
        self.reads_stream(self._streaming)
        if self._filename:
            try:
                self._file = self._new_file()
            except ValueError as error:
                self._failed(error)
        self._signals_posted = 0
        if self._signals is not None:
            self._signals.forget()
        self._undecided = not self._streaming  # whether to wait: senders may start later
        left = self.begin_run()
        if left:
            self._log.warn(f"{left} signals of the run before were not embedded, and are dropped")
        return super().start()

    def finish(self) -> None:
        """Without a stream: its senders have ended."""
        while not self._signal_worker.wait_idle(PATIENCE[1]) and not _flowgraph.stopping():
            pass
        self._report_drops()

    def _has_ended(self) -> bool:
        return self._ended_itself or super()._has_ended()

    def stop(self):
        self.end_run()
        super().stop()
        if self._file is not None:
            try:
                self._file.close()
            except ValueError as error:
                self._failed(error)
            self._file = None
        return True

    # -- the block's thread ---------------------------------------------------------------------------
    def _take(self, tiles: np.ndarray) -> int:
        """Hand tiles to the worker. They are copied, unless they are dropped on arrival."""
        if self._spec is None:
            self._say("no tiles", f"{self._engine.bundle.id} reads no tiles: connect port signals")
            return len(tiles)
        first, stride = self._next, self._spec.stride
        tags = read_tags(self.get_tags_in_range(0, first, first + len(tiles)), stride)
        ends = range((first + 1) * stride, (first + len(tiles) + 1) * stride, stride)
        found = origins(self._origin, tags, ends, self._rate, self._say)

        def piece(i: int) -> Piece:
            return Piece(first + i, (first + i) * stride, tiles[i].copy(), found[i])

        taken = self._worker.put(len(tiles), piece, PATIENCE[1])
        if taken:
            self._origin = found[taken - 1]
        return taken

    def _rest(self, seconds: float, ended) -> bool:
        if not super()._rest(seconds, lambda: False) or not self._signal_worker.wait_idle(0):
            return False
        if not ended():
            return True
        if backlog.awaits(self, messages.SIGNALS):
            time.sleep(seconds)
            return False
        self._report_drops()
        return True

    def handle_signal(self, message) -> None:
        try:
            if self._signals is None:
                raise MessageError(f"{self._engine.bundle.id} reads no signals; take a bundle that does")
            signal = self._signals.read(message)
        except Exception as error:  # else it would end the block's thread
            self._refused += 1
            reason = str(error) or repr(error)
            self._complaints.say(f"a signal is not embedded: {reason}")
            self._publish_status(reason)
            return
        if self._undecided:
            self._undecided = False
            self.set_overload(self._overload)
        while not self._signal_worker.put(1, lambda _: signal, PATIENCE[1]):
            if self._stopping or _flowgraph.stopping():
                return

    # -- the worker's thread --------------------------------------------------------------------------
    def _embed_signals(self, batch: list[CutSignal]) -> int:
        embedded, infos = self._signals.embed(batch), []
        for signal, vector in zip(batch, embedded, strict=True):
            if self._stopping:  # the blocks behind read no more
                break
            left = self._signal_worker.dropped
            infos.append(self._signals.info(signal, self._signals_posted, left, self._number))
            backlog.wait(self, messages.EMBEDDINGS, self._gives_up)
            self.message_port_pub(messages.EMBEDDINGS, messages.embedding_pdu(infos[-1], vector))
            self._signal_worker.note(signal)
            self._signals_posted += 1
        if self._file is not None and infos and not self._streaming:
            self._write(infos, embedded[:len(infos)], self._signals.model)
        return len(infos)

    def _leaving_out(self) -> None:
        self._say("leaving out", "signals come faster than they can be embedded: those that are known best "
                                 "are left out, and counted")

    def _embed(self, batch: list[Piece]) -> int:
        embedded, tokens = self._run(self._stack(batch))
        infos = []
        for i, piece in enumerate(batch):
            if self._stopping:  # the blocks behind read no more
                break
            infos.append(self._tile_info(piece, self._posted))
            self.message_port_pub(messages.EMBEDDINGS, messages.embedding_pdu(infos[-1], embedded[i]))
            if tokens:
                layers = {layer: matrices[i] for layer, matrices in tokens.items()}
                backlog.wait(self, messages.TOKENS, self._gives_up)
                self.message_port_pub(messages.TOKENS, messages.tokens_pdu(infos[-1], layers))
            self._posted += 1
        if self._file is not None and infos:
            self._write(infos, embedded[:len(infos)], self._engine.bundle.id)
        return len(infos)

    def _run(self, tiles: np.ndarray) -> tuple[np.ndarray, dict[int, np.ndarray]]:
        """Embeddings, and matrices (n, rows, columns) of the wanted layers."""
        layers = self._token_layers
        if not layers:
            return self._engine.embed(tiles), {}
        embedded, tokens = self._engine.embed_with_tokens(tiles, [k for k in layers if k != TILE_LAYER])
        if TILE_LAYER in layers:
            clean = self._clean_tiles(tiles).reshape(-1, self._spec.tile_rows, self._spec.tile_cols)
            tokens = {TILE_LAYER: clean, **tokens}
        return embedded, tokens

    def _gives_up(self) -> bool:
        """Shall tokens go out although a reader has no room for them?"""
        return self._stopping or self._worker.overload != "block"

    def _tile_info(self, tile: Piece, posted: int) -> TileInfo:
        """posted: PDUs before this tile's."""
        info = self._info(tile, self._spec.samples_per_tile, posted)
        if info.sample_rate is not None:
            band = self._occupied_band(tile.values, self._spec)
            info.freq_lower_edge, info.freq_upper_edge = self._embeddings.band_edges(
                band, info.sample_rate, info.rx_freq)
        return info

    # -- the file -------------------------------------------------------------------------------------
    def _new_file(self):
        of = self._signals if self._signals is not None and not self._streaming else None
        size, model = ((of.embedding_size, of.model) if of
                       else (self._engine.embedding_size, self._engine.bundle.id))
        return self._embeddings.EmbeddingFile(self._filename, size, model)

    def _write(self, infos: list[TileInfo], embedded: np.ndarray, model: str) -> None:
        def column(name, missing=math.nan):
            return np.array([missing if (value := getattr(info, name)) is None else value for info in infos])

        rows = self._embeddings.Embeddings(
            embedded, *map(column, ("sample_start", "sample_count", "sample_rate", "rx_freq",
                                    "freq_lower_edge", "freq_upper_edge")), model)
        try:
            self._file.add(rows)
        except ValueError as error:
            self._file = None
            self._failed(error)

    # -- settings and counters ------------------------------------------------------------------------
    def set_token_layers(self, token_layers: Sequence[int]) -> None:
        """From the next batch on; () for none. Raises ValueError for a layer that the encoder has not."""
        layers = tuple(dict.fromkeys(token_layers))
        for layer in layers:
            if isinstance(layer, bool) or (layer != TILE_LAYER and layer not in self._engine.layers):
                last = len(self._engine.layers) - 1
                has = f" or 0 to {last}" if last >= 0 else ": this encoder gives no tokens"
                raise ValueError(f"{_NAME}: token_layers must be {TILE_LAYER} (the tile){has}, got {layer!r}")
        self._token_layers = layers

    def token_layers(self) -> tuple[int, ...]:
        return self._token_layers

    def refused(self) -> int:
        """Messages that were no signals with samples, or signals that the bundle cannot read; each was
        answered on ``status``."""
        return self._refused

    def bad_tiles(self) -> int:
        """Tiles of this run with NaN or infinite values; they are embedded all the same."""
        return self._bad
