# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""IQ to Spectrogram: a complex stream becomes model-ready spectrogram tiles."""

import math

import numpy as np
import pmt
from gnuradio import gr

from .common import messages
from .common.lifetime import Held
from .common.messages import MessageError
from .common.optional import optional
from .common.specs import spec_of
from .radiofm_python import stft

_NAME = "IQ to Spectrogram"


class rows_to_tiles(Held, gr.decim_block):
    """dB rows to model-ready tiles: groups ``spec.rows`` rows, and scales them as the spec says.

    A tag goes to the tile that holds its row; ``rx_time`` is moved back to the tile's first sample by the
    ``rx_rate`` in force, or ``samp_rate`` before the first. Rows that do not fill a tile at the end of the
    stream are dropped (SigMF Source's ``pad_to`` sees to it that there are none worth keeping).
    """

    def __init__(self, spec, samp_rate: float):
        gr.decim_block.__init__(self, name="Rows to Tiles", in_sig=[(np.float32, spec.fft_size)],
                                out_sig=[(np.float32, spec.tile_size)], decim=spec.rows)
        self._log = gr.logger(self.alias())
        # before torch is loaded, so that its threads wait without spinning
        self._torch_threads = optional("radiofm_ml.engines", _NAME).torch_threads
        self._torch = optional("torch", _NAME)
        self._tiles_from_rows = optional("radiofm_ml.spectrogram", _NAME).tiles_from_rows
        self._spec = spec
        self._samp_rate, self._rx_rate = float(samp_rate), None
        self.failed = 0  # tiles that could not be made and left as zeros
        self.set_tag_propagation_policy(gr.TPP_DONT)

    def set_samp_rate(self, samp_rate: float) -> None:
        self._samp_rate = float(samp_rate)

    def start(self):
        self._rx_rate = None
        return True

    def work(self, input_items, output_items):
        tiles = output_items[0]
        rows = input_items[0].reshape(len(tiles), self._spec.rows, self._spec.fft_size)
        try:
            with self._torch_threads(1):
                made = self._tiles_from_rows(self._torch.from_numpy(rows), self._spec)
            tiles[:] = made.numpy().reshape(tiles.shape)
        except Exception as error:  # an exception here would leave a flowgraph that never ends
            tiles[:] = 0.0
            if not self.failed:
                self._log.error(f"tiles could not be made and are zero: {error} (said once, then counted)")
            self.failed += len(tiles)
        self._pass_tags(len(tiles))
        return len(tiles)

    def _pass_tags(self, n_tiles: int) -> None:
        first = self.nitems_read(0)
        tags = self.get_tags_in_window(0, 0, n_tiles * self._spec.rows)
        # at one row the rate comes first: it is in force there
        for tag in sorted(tags, key=lambda tag: (tag.offset, not pmt.eq(tag.key, messages.RX_RATE))):
            value = tag.value
            tile, row = divmod(tag.offset - first, self._spec.rows)
            try:
                if pmt.eq(tag.key, messages.RX_RATE):
                    self._rx_rate = messages.number(value, float)
                elif pmt.eq(tag.key, messages.RX_TIME):
                    value = self._moved_back(value, row)
            except MessageError:
                pass  # not ours to refuse: it goes on as it is
            self.add_item_tag(0, self.nitems_written(0) + tile, tag.key, value, tag.srcid)

    def _moved_back(self, time, rows: int):
        rate = self._rx_rate or self._samp_rate
        if not (math.isfinite(rate) and rate > 0):
            return time
        samples = rows * self._spec.averaging * self._spec.hop
        return messages.time_to_pmt(*messages.move_time(messages.time_from_pmt(time), -samples / rate))


class iq_to_spectrogram(gr.hier_block2):
    """Complex samples in, model-ready spectrogram tiles out: float32 vectors of tile_rows * tile_cols.

    The tile is that of ``radiofm_ml.spectrogram.tiles_from_iq``, with the STFT in C++. Tile k covers the
    samples from k * spec.stride on. Every tile whose samples arrived is delivered, at any chunking; what
    remains at the end is shorter than a tile and is dropped.

    Tags go to the tile that holds their sample, ``rx_time`` moved back to its first sample.

    bundle     a bundle (its path, its name, or loaded) whose spectrogram to make, or a SpectrogramSpec
    samp_rate  samples/s, for ``rx_time`` until an ``rx_rate`` tag comes

    Raises ValueError (BundleError among them) naming the file and the cure, and ImportError if a Python
    package is missing.
    """

    def __init__(self, bundle="radiofm-small", samp_rate: float = 1.0):
        spec = spec_of(bundle, _NAME)
        _check_rate(samp_rate)
        gr.hier_block2.__init__(self, _NAME, gr.io_signature(1, 1, gr.sizeof_gr_complex),
                                gr.io_signature(1, 1, spec.tile_size * gr.sizeof_float))
        self._spec, self._samp_rate = spec, float(samp_rate)
        self._stft = stft(spec.fft_size, spec.hop, spec.window_taps().tolist(), spec.averaging, "db", True,
                          float(samp_rate))
        self._tiles = rows_to_tiles(spec, samp_rate)
        self.connect(self, self._stft, self._tiles, self)

    def spec(self):
        """The SpectrogramSpec."""
        return self._spec

    def samp_rate(self) -> float:
        return self._samp_rate

    def set_samp_rate(self, samp_rate: float) -> None:
        """Takes effect with the next ``rx_time`` tag. Raises ValueError."""
        _check_rate(samp_rate)
        self._samp_rate = float(samp_rate)
        self._stft.set_samp_rate(float(samp_rate))
        self._tiles.set_samp_rate(float(samp_rate))

    def failed(self) -> int:
        """Tiles that could not be made, and are zeros."""
        return self._tiles.failed


def _check_rate(samp_rate) -> None:
    if not (math.isfinite(samp_rate) and samp_rate > 0):
        raise ValueError(f"{_NAME}: samp_rate must be positive, in samples/s, got {samp_rate}")
