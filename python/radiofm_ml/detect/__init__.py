# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Every signal of a band: rows of a spectrogram in, boxes out.

``floor`` knows the noise of every bin, ``threshold`` how high a signal must stand above it, ``boxes`` what
is one signal, ``stream`` puts them together block by block (``Detector``), ``rows`` makes rows of I/Q;
``cutter`` cuts what is boxed out of the stream.
"""
