# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What several blocks share: messages, tags, the worker's thread, the prototype port."""
