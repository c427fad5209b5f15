# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What is new here, at a stated rate of false alarms: see ``watch.Watch``."""

from radiofm_ml.watch.settings import Settings

__all__ = ["Settings"]
