# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What goes wrong with heads."""


class HeadError(ValueError):
    """A head that cannot be used; one line that names the file and the key."""
