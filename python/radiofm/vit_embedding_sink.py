# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""ViT Embedding Sink: spectrogram tiles become embeddings, in PDUs that say where each came from."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pmt
from gnuradio import gr

from . import backlog, messages
from .messages import TILE_LAYER, MessageError, TileInfo
from .optional import optional
from .worker import BatchWorker

_NAME = "ViT Embedding Sink"
_BUFFER = 2 << 20  # bytes of tiles that fit into the buffer before us, about
_PATIENCE = 0.001, 0.05  # seconds that the block's thread waits for the worker before it looks for more tiles


@dataclass(frozen=True)
class _Origin:
    """What the tags have said so far; a new one for every tile with tags."""

    rate: float | None = None
    frequency: float | None = None
    time: tuple[int, tuple[int, float]] | None = None  # (sample, its time)
    padding: int | None = None  # first sample that is padding


class _Tile(NamedTuple):
    index: int
    values: np.ndarray
    origin: _Origin


class vit_embedding_sink(gr.basic_block):
    """Embeds the tiles of IQ to Spectrogram with the Vision Transformer of a bundle.

    Inference runs on a thread of its own. Where it cannot keep up, ``overload`` says what happens:
    'drop' (live sources): the oldest waiting tile goes and is counted, the source never waits;
    'block' (files): the source waits and every tile is embedded. In both, what waits when the stream ends is
    embedded before the flowgraph ends, and the PDUs reach the blocks behind.

    Message output ``embeddings``: a PDU a tile, in order (dict . f32vector[D]): ``sample_start``,
      ``sample_count`` (less padding), ``tile``, ``dropped`` (tiles lost before this one), ``model``; as far
      as tags or ``samp_rate`` tell also ``sample_rate``, ``rx_freq``, ``rx_time`` of the tile's first sample,
      ``freq_lower_edge`` and ``freq_upper_edge`` of the strongest signal (Hz; around 0 without ``rx_freq``).
    Message output ``tokens``: for heads with blocks of their own and for segmentation, a PDU a tile of the
      same keys, the trunk's pass that made the embedding shared (docs/messages.md). Only with
      ``token_layers``. With overload 'block' they are not sent faster than every Task Head takes them.
    Message output ``status``: {command 'embed', ok false, reason} when embedding or the file fails.

    bundle       a bundle: its path, its name, a Hugging Face id, or loaded
    samp_rate    samples/s of the stream before the tiles, until an ``rx_rate`` tag comes; 0 if not known
    overload     'drop' or 'block'
    max_batch    tiles that are embedded at once, at most
    max_latency  seconds that a tile waits for others to be embedded with
    max_queue    tiles that may wait
    filename     ``.npz`` to write when the flowgraph ends (as ``radiofm embed`` does); '' for none
    engine       'auto' or the name of an engine of ``radiofm_ml.engine``
    threads      of the engine; 1 leaves the other cores to the flowgraph
    token_layers the layers whose tokens go out: k for those before block k, the number of blocks for those
                 behind the last, -1 for the tile; none costs nothing

    Started again, also after lock() and unlock(), it counts from 0 and writes the file anew. Raises
    ValueError (BundleError among them) naming the file and the cure, and ImportError if a Python package
    is missing.
    """

    def __init__(self, bundle="radiofm-small", samp_rate: float = 0.0, overload: str = "drop",
                 max_batch: int = 8, max_latency: float = 0.05, max_queue: int = 16, filename: str = "",
                 engine: str = "auto", threads: int = 1, token_layers: Sequence[int] = ()):
        engines = optional("radiofm_ml.engine", _NAME)  # first: see there
        self._clean_tiles = engines.clean_tiles
        self._occupied_band = optional("radiofm_ml.spectrogram", _NAME).occupied_band
        self._embeddings = optional("radiofm_ml.embeddings", _NAME)
        if not bundle:
            raise ValueError(f"{_NAME}: name a bundle")
        try:
            self._worker = BatchWorker(self._embed, max_batch=max_batch, max_latency=max_latency,
                                       capacity=max_queue, overload=overload, on_error=self._failed,
                                       name="vit_embedding_sink")
        except ValueError as error:
            raise ValueError(f"{_NAME}: {error}") from None
        self._engine = engines.open_engine(bundle, engine, threads, reads="tiles")
        self._spec = self._engine.spec
        gr.basic_block.__init__(self, name=_NAME, in_sig=[(np.float32, self._spec.tile_size)], out_sig=None)
        self._log = gr.logger(self.alias())
        self.set_samp_rate(samp_rate)
        self.set_token_layers(token_layers)
        self._filename, self._file = str(filename), None
        if self._filename:
            self._new_file().discard()  # to say now that it cannot be written
        self._origin, self._next = _Origin(), 0  # of the newest tile that was queued; the first that was not
        self._posted, self._bad_tiles = 0, 0
        self._patience = _PATIENCE[0]
        self._said = set()
        self._stopping = False
        self.message_port_register_out(messages.EMBEDDINGS)
        self.message_port_register_out(messages.TOKENS)
        self.message_port_register_out(messages.STATUS)
        self._buffered = max(8, _BUFFER // (4 * self._spec.tile_size))
        self.set_output_multiple(self._buffered)  # what the buffer before us is made for; see start

    # -- life -----------------------------------------------------------------------------------------
    def start(self):
        self.set_output_multiple(1)  # else the last tiles would never come
        self._origin, self._next = _Origin(), 0
        self._posted, self._bad_tiles = 0, 0
        self._said.clear()
        self._stopping = False
        if self._filename:
            try:
                self._file = self._new_file()
            except ValueError as error:
                self._failed(error)
        self._worker.start()
        return True

    def stop(self):
        self._stopping = True
        self._worker.stop()
        if self._file is not None:
            try:
                self._file.close()
            except ValueError as error:
                self._failed(error)
            self._file = None
        self.set_output_multiple(self._buffered)
        return True

    # -- the block's thread ---------------------------------------------------------------------------
    def forecast(self, noutput_items, ninputs):
        return [1] * ninputs

    def general_work(self, input_items, output_items):
        """Queue the new tiles. The last one stays in the buffer until all are embedded and sent: while there
        is something to read, the scheduler neither ends this block nor tells those behind that it did."""
        tiles = input_items[0]
        try:
            held = self._next - self.nitems_read(0)
            if len(tiles) > held:
                # look again soon if the buffer fills fast, else seldom: each look costs the worker time
                factor = 0.5 if len(tiles) - held > self._buffered // 4 else 2.0
                self._patience = min(max(self._patience * factor, _PATIENCE[0]), _PATIENCE[1])
                taken = self._queue(tiles[held:])
                self.consume(0, min(held + taken, len(tiles) - 1))
            elif self._worker.wait_idle(self._patience):
                self.consume(0, len(tiles))
        except Exception as error:  # an exception here would leave a flowgraph that never ends
            self._failed(error)
            self._next = self.nitems_read(0) + len(tiles)
            self.consume(0, len(tiles))
        return 0

    def _queue(self, tiles: np.ndarray) -> int:
        """Hand tiles to the worker; how many it took. They are copied, unless they are dropped on arrival."""
        first = self._next
        origins = self._origins(first, len(tiles))
        taken = self._worker.put(len(tiles), lambda i: _Tile(first + i, tiles[i].copy(), origins[i]),
                                 _PATIENCE[1])
        if taken:
            self._origin, self._next = origins[taken - 1], first + taken
        return taken

    def _origins(self, first: int, count: int) -> list[_Origin]:
        """What the tags say about each tile: the last one it carries, else the last before it."""
        origin, origins = self._origin, []
        for tag in sorted(self.get_tags_in_range(0, first, first + count), key=lambda tag: tag.offset):
            origins += [origin] * (tag.offset - first - len(origins))
            sample = tag.offset * self._spec.stride
            origin = self._read_tag(origin, pmt.write_string(tag.key), tag.value, sample)
        return origins + [origin] * (count - len(origins))

    def _read_tag(self, origin: _Origin, key: str, value, sample: int) -> _Origin:
        """``origin`` with what a tag at the tile that begins at ``sample`` adds to it."""
        try:
            if key == "rx_rate":
                rate = messages.number(value, float)
                if not (math.isfinite(rate) and rate > 0):
                    raise MessageError(f"must be positive, got {rate}")
                time = self._time(origin, sample)  # up to here it ran at the old rate
                return replace(origin, rate=rate, time=None if time is None else (sample, time))
            if key == "rx_freq":
                return replace(origin, frequency=messages.number(value, float))
            if key == "rx_time":
                return replace(origin, time=(sample, messages.time_from_pmt(value)))
            if key == "radiofm_pad":
                return replace(origin, padding=messages.number(value, int))
        except MessageError as error:
            self._say(key, f"tag {key}: {error}; it is ignored")
        return origin

    def _rate(self, origin: _Origin) -> float | None:
        return origin.rate or self._samp_rate or None

    def _time(self, origin: _Origin, sample: int) -> tuple[int, float] | None:
        """Time of a sample; whole seconds are divided off first, so that no digit is lost in a long run."""
        if origin.time is None:
            return None
        start, time = origin.time
        rate = self._rate(origin)
        if sample == start or rate is None:
            return time if sample == start else None
        seconds, rest = divmod(sample - start, rate)
        return messages.move_time((time[0] + int(seconds), time[1]), rest / rate)

    # -- the worker's thread --------------------------------------------------------------------------
    def _embed(self, batch: list[_Tile]) -> None:
        tiles = np.stack([tile.values for tile in batch])
        bad = int(np.count_nonzero(~np.isfinite(tiles).all(1)))
        if bad:
            self._say("bad tiles", "tiles hold NaN or infinite values; they are embedded all the same")
            self._bad_tiles += bad
        embedded, tokens = self._run(tiles)
        infos = [self._info(tile, self._posted + i) for i, tile in enumerate(batch)]
        for i, (info, embedding) in enumerate(zip(infos, embedded, strict=True)):
            self.message_port_pub(messages.EMBEDDINGS, messages.embedding_pdu(info, embedding))
            if tokens:
                layers = {layer: matrices[i] for layer, matrices in tokens.items()}
                backlog.wait(self, messages.TOKENS, self._gives_up)
                self.message_port_pub(messages.TOKENS, messages.tokens_pdu(info, layers))
        self._posted += len(batch)
        if self._file is not None:
            self._write(infos, embedded)

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

    def _info(self, tile: _Tile, posted: int) -> TileInfo:
        """posted: PDUs before this tile's."""
        spec, origin = self._spec, tile.origin
        start, count = tile.index * spec.stride, spec.samples_per_tile
        if origin.padding is not None:
            count = max(0, min(count, origin.padding - start))
        info = TileInfo(start, count, self._rate(origin), origin.frequency, self._time(origin, start),
                        self._engine.bundle.id, tile.index, tile.index - posted)
        if info.sample_rate is not None:
            band = self._occupied_band(tile.values, spec)
            info.freq_lower_edge, info.freq_upper_edge = self._embeddings.band_edges(
                band, info.sample_rate, origin.frequency)
        return info

    # -- the file -------------------------------------------------------------------------------------
    def _new_file(self):
        return self._embeddings.EmbeddingFile(self._filename, self._engine.embedding_size,
                                              self._engine.bundle.id)

    def _write(self, infos: list[TileInfo], embedded: np.ndarray) -> None:
        def column(name, missing=math.nan):
            return np.array([missing if (value := getattr(info, name)) is None else value for info in infos])

        rows = self._embeddings.Embeddings(
            embedded, *map(column, ("sample_start", "sample_count", "sample_rate", "rx_freq",
                                    "freq_lower_edge", "freq_upper_edge")), self._engine.bundle.id)
        try:
            self._file.add(rows)
        except ValueError as error:
            self._file = None
            self._failed(error)

    # -- complaints -----------------------------------------------------------------------------------
    def _say(self, about: str, text: str) -> None:
        """Log once a run."""
        if about not in self._said:
            self._said.add(about)
            self._log.warn(f"{text} (said once)")

    def _failed(self, error: Exception) -> None:
        """Log once a run, and say so on ``status``."""
        reason = str(error) or type(error).__name__
        self._say(type(error).__name__, reason)
        self.message_port_pub(messages.STATUS, messages.status("embed", False, reason))

    # -- settings and counters ------------------------------------------------------------------------
    def set_samp_rate(self, samp_rate: float) -> None:
        """For tiles to come, until an ``rx_rate`` tag does. 0 if not known. Raises ValueError."""
        if not (math.isfinite(samp_rate) and samp_rate >= 0):
            raise ValueError(f"{_NAME}: samp_rate must be at least 0 (0 if not known), got {samp_rate}")
        self._samp_rate = float(samp_rate)

    def set_token_layers(self, token_layers: Sequence[int]) -> None:
        """From the next batch on; () for none. Raises ValueError for a layer that the encoder has not."""
        layers = tuple(dict.fromkeys(token_layers))
        for layer in layers:
            if isinstance(layer, bool) or (layer != TILE_LAYER and layer not in self._engine.layers):
                last = len(self._engine.layers) - 1
                has = f" or 0 to {last}" if last >= 0 else ": this encoder gives no tokens"
                raise ValueError(f"{_NAME}: token_layers must be {TILE_LAYER} (the tile){has}, got {layer!r}")
        self._token_layers = layers

    def set_overload(self, overload: str) -> None:
        self._worker.set_overload(overload)

    def set_max_batch(self, max_batch: int) -> None:
        self._worker.set_max_batch(max_batch)

    def set_max_latency(self, max_latency: float) -> None:
        self._worker.set_max_latency(max_latency)

    def set_max_queue(self, max_queue: int) -> None:
        self._worker.set_capacity(max_queue)

    def samp_rate(self) -> float:
        return self._samp_rate

    def token_layers(self) -> tuple[int, ...]:
        return self._token_layers

    def overload(self) -> str:
        return self._worker.overload

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
        """Tiles embedded in this run; each gave a PDU."""
        return self._worker.processed

    def dropped(self) -> int:
        """Tiles dropped in this run: there was no time for them, or the flowgraph was stopped."""
        return self._worker.dropped

    def failed(self) -> int:
        """Tiles of this run that the engine failed on."""
        return self._worker.failed

    def bad_tiles(self) -> int:
        """Tiles of this run with NaN or infinite values; they are embedded all the same."""
        return self._bad_tiles

    def waiting(self) -> int:
        """Tiles that wait now."""
        return self._worker.waiting
