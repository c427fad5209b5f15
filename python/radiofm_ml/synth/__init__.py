# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Synthetic I/Q for pre-training: waveform families, front ends, streams. Everything here is a simulation."""
