# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Radio foundation models for raw I/Q: spectrograms, encoders, few-shot heads, SigMF in and out.

This package knows no GNU Radio; the blocks in ``gnuradio.radiofm`` build on it.
"""

__version__ = "0.1.0"
