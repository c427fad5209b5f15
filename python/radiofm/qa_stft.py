# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Tests of the stft block in a flowgraph."""

import numpy as np
from gnuradio import blocks, gr, gr_unittest, radiofm


class qa_stft(gr_unittest.TestCase):
    def test_full_scale_tone_reads_0_db(self):
        fft_size, rows = 64, 5
        n = np.arange(fft_size * rows)
        tone = np.exp(2j * np.pi * 10 / fft_size * n).astype(np.complex64)
        self.tb = gr.top_block()
        self.source = blocks.vector_source_c(tone.tolist())
        self.stft = radiofm.stft(fft_size, fft_size)
        self.sink = blocks.vector_sink_f(fft_size)
        self.tb.connect(self.source, self.stft, self.sink)
        self.tb.run()
        db = np.array(self.sink.data()).reshape(-1, fft_size)
        self.assertEqual(db.shape, (rows, fft_size))
        np.testing.assert_array_equal(db.argmax(axis=1), fft_size // 2 + 10)
        np.testing.assert_allclose(db.max(axis=1), 0, atol=1e-4)


if __name__ == "__main__":
    gr_unittest.run(qa_stft)
