# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Training: tile shards, masked pre-training, and the making of a bundle."""
