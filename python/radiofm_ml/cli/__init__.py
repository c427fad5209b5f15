# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The command ``radiofm``. Each module holds the commands of one subject; this one joins them."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point: expected failures end in one line on stderr and exit status 1 (2 for wrong usage)."""
    from radiofm_ml.cli.app import app

    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except (ValueError, OSError, ImportError, FloatingPointError) as error:
        # BundleError, RecordingError and the like are ValueErrors whose text names the file and the cure
        print(f"radiofm: {error}", file=sys.stderr)
        sys.exit(1)
