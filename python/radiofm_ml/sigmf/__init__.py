# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""SigMF recordings in and annotations out: every sample type, archives, metadata that tools agree on."""
