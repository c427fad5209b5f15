# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Names that ``core:dataset`` can say."""

from __future__ import annotations

import unicodedata


def is_dataset_name(name: str) -> bool:
    """Can ``core:dataset`` say it: a file in the metadata's folder, without control characters or halves of
    one (as names that are not UTF-8 have them in Python)?"""
    return (name not in ("", ".", "..") and not set(name) & set("/\\")
            and not any(unicodedata.category(c) in ("Cc", "Cs") for c in name) and len(name.encode()) <= 255)
