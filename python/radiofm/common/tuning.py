# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The centre frequency that a block was told, put onto its stream for the blocks behind."""

import numpy as np
import pmt
from gnuradio import gr

from . import messages
from .arguments import number
from .lifetime import Held


class tuning(Held, gr.sync_block):
    """Passes complex samples on, with a tag ``rx_freq`` where the frequency begins and where it is changed.

    A frequency that is set counts: ``rx_freq`` tags of the stream are left out. With 0 they are passed on;
    where 0 is set while it runs, with the latest one at that sample. All other tags stay where they are.
    """

    def __init__(self, name: str, center_freq: float):
        gr.sync_block.__init__(self, name="Tuning", in_sig=[np.complex64], out_sig=[np.complex64])
        self._name = name
        self.set_center_freq(center_freq)
        self._said, self._heard = None, None  # the frequency set last, the value of the stream's latest tag
        self.set_tag_propagation_policy(gr.TPP_DONT)

    def set_center_freq(self, center_freq: float) -> None:
        """From the next samples on. Raises ValueError."""
        self._centre = number(f"{self._name}: center_freq", center_freq, -1e12, 1e12)

    def center_freq(self) -> float:
        return self._centre

    def start(self):
        self._said, self._heard = None, None
        return True

    def work(self, input_items, output_items):
        samples, centre = input_items[0], self._centre
        output_items[0][:] = samples
        first = self.nitems_written(0)
        if centre != self._said:
            value = pmt.from_double(centre) if centre else self._heard
            if value is not None:
                self.add_item_tag(0, first, messages.RX_FREQ, value)
            self._said = centre
        for tag in self.get_tags_in_window(0, 0, len(samples)):
            if pmt.eq(tag.key, messages.RX_FREQ):
                self._heard = tag.value
                if centre:
                    continue
            self.add_item_tag(0, tag.offset, tag.key, tag.value, tag.srcid)
        return len(samples)
