# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""IQ to Spectrogram: a complex stream becomes model-ready spectrogram tiles."""

import numpy as np
import pmt
from gnuradio import gr

from .common import messages
from .common.complaints import Complaints
from .common.lifetime import Held
from .common.messages import MessageError
from .common.optional import optional
from .common.origin import rate_in_force, stated_rate
from .common.specs import spec_of
from .radiofm_python import stft

_NAME = "IQ to Spectrogram"


class rows_to_tiles(Held, gr.decim_block):
    """dB rows to model-ready tiles: groups ``spec.rows`` rows, and scales them as the spec says.

    A tag goes to the tile that holds its row; ``rx_time`` is moved back to the tile's first sample by
    ``samp_rate``, or where that is 0 by the latest ``rx_rate``. Rows that do not fill a tile at the end of
    the stream are dropped (SigMF Source's ``pad_to`` sees to it that there are none worth keeping).
    """

    def __init__(self, spec, samp_rate: float):
        gr.decim_block.__init__(self, name="Rows to Tiles", in_sig=[(np.float32, spec.fft_size)],
                                out_sig=[(np.float32, spec.tile_size)], decim=spec.rows)
        self._complaints = Complaints(gr.logger(self.alias()))
        # before torch is loaded, so that its threads wait without spinning
        self._torch_threads = optional("radiofm_ml.engines", _NAME).torch_threads
        self._torch = optional("torch", _NAME)
        self._tiles_from_rows = optional("radiofm_ml.spectrogram", _NAME).tiles_from_rows
        self._spec = spec
        self._samp_rate, self._rx_rate = samp_rate, None
        self.failed = 0  # tiles that could not be made and left as zeros
        self.bad_tags = 0
        self.set_tag_propagation_policy(gr.TPP_DONT)

    def set_samp_rate(self, samp_rate: float) -> None:
        self._samp_rate = samp_rate

    def start(self):
        self._rx_rate, self.failed, self.bad_tags = None, 0, 0
        self._complaints.forget()
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
            self._complaints.say(f"tiles could not be made and are zero: {error}", "tiles")
            self.failed += len(tiles)
        self._pass_tags(len(tiles))
        return len(tiles)

    def _pass_tags(self, n_tiles: int) -> None:
        first = self.nitems_read(0)
        tags = self.get_tags_in_window(0, 0, n_tiles * self._spec.rows)
        # at one row the rate comes first: it is in force there
        for tag in sorted(tags, key=lambda tag: (tag.offset, not pmt.eq(tag.key, messages.RX_RATE))):
            tile, row = divmod(tag.offset - first, self._spec.rows)
            try:
                value, later = self._read(tag, row)
            except MessageError as error:
                self.bad_tags += 1
                self._complaints.say(f"a tag {tag.key} is left out: it {error}", str(tag.key))
                continue
            self.add_item_tag(0, self.nitems_written(0) + tile + later, tag.key, value, tag.srcid)

    def _read(self, tag, row: int) -> tuple:
        """What a tag at a row of its tile says of that tile's first sample, and 1 if of the next tile's."""
        if pmt.eq(tag.key, messages.RX_RATE):
            self._rx_rate = messages.rate(tag.value)
        if not pmt.eq(tag.key, messages.RX_TIME):
            return tag.value, 0
        time, later = messages.time_of_item(
            messages.time_from_pmt(tag.value), row * self._spec.averaging * self._spec.hop,
            self._spec.stride, rate_in_force(self._samp_rate, self._rx_rate))
        return messages.time_to_pmt(*time), later


class iq_to_spectrogram(gr.hier_block2):
    """Complex samples in, model-ready spectrogram tiles out: float32 vectors of tile_rows * tile_cols.

    The tile is that of ``radiofm_ml.spectrogram.tiles_from_iq``, with the STFT in C++. Tile k covers the
    samples from k * spec.stride on. Every tile whose samples arrived is delivered, at any chunking; what
    remains at the end is shorter than a tile and is dropped.

    Tags go to the tile that holds their sample, ``rx_time`` moved back to its first sample (where that was
    before the clock's zero, on to the next tile's). ``rx_rate`` leaves as the rate in force. Tags
    ``rx_time``, ``rx_rate``, ``rx_freq`` that cannot be read are left out, said once and counted.

    bundle     a bundle (its path, its name, or loaded) whose spectrogram to make, or a SpectrogramSpec
    samp_rate  samples/s; 0: as the ``rx_rate`` tags say

    Raises ValueError (BundleError among them) naming the file and the cure, and ImportError if a Python
    package is missing.
    """

    def __init__(self, bundle="radiofm-small", samp_rate: float = 0.0):
        spec = spec_of(bundle, _NAME)
        rate = stated_rate(f"{_NAME}: samp_rate", samp_rate) or 0.0
        gr.hier_block2.__init__(self, _NAME, gr.io_signature(1, 1, gr.sizeof_gr_complex),
                                gr.io_signature(1, 1, spec.tile_size * gr.sizeof_float))
        self._spec, self._samp_rate = spec, rate
        self._stft = stft(spec.fft_size, spec.hop, spec.window_taps().tolist(), spec.averaging, "db", True,
                          rate)
        self._tiles = rows_to_tiles(spec, rate)
        self.connect(self, self._stft, self._tiles, self)

    def spec(self):
        """The SpectrogramSpec."""
        return self._spec

    def samp_rate(self) -> float:
        return self._samp_rate

    def set_samp_rate(self, samp_rate: float) -> None:
        """Takes effect with the next tag. 0: as the ``rx_rate`` tags say. Raises ValueError."""
        self._samp_rate = stated_rate(f"{_NAME}: samp_rate", samp_rate) or 0.0
        self._stft.set_samp_rate(self._samp_rate)
        self._tiles.set_samp_rate(self._samp_rate)

    def failed(self) -> int:
        """Tiles of this run that could not be made, and are zeros."""
        return self._tiles.failed

    def bad_tags(self) -> int:
        """Tags of this run that could not be read and were left out."""
        return self._stft.bad_tags() + self._tiles.bad_tags
