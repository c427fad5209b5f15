# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The signals of recordings: each found, cut out and embedded (``signals``), named and grouped (``naming``),
counted and drawn (``report``), by one command for one recording or many (``run``); and examples of signals to
teach by (``shots``).
"""
