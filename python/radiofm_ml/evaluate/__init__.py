# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Evaluation: splits that do not leak, baselines beside every number."""
