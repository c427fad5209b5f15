# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Windows of a flowgraph: blocks, what they show (no Qt), and the widgets, which alone import PyQt5 and
pyqtgraph."""
