# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The tiles that a bundle reads, for blocks that make or pad them."""

from .optional import optional


def spec_of(bundle, block: str):
    """SpectrogramSpec of a bundle, of its name or path, or as it is. Raises ValueError, ImportError."""
    if isinstance(bundle, str) and not bundle:
        raise ValueError(f"{block}: name a bundle")
    if isinstance(bundle, str) or hasattr(bundle, "reads"):
        bundle = optional("radiofm_ml.bundle", block).load(bundle, "tiles")
    spec = getattr(bundle, "spec", bundle)
    if not hasattr(spec, "samples_per_tile"):
        raise ValueError(f"{block}: bundle must be a bundle, its name or a SpectrogramSpec, got {bundle!r}")
    return spec


def tile_size(bundle) -> int:
    """Values in a tile of a bundle, or in a picture of a signal where it reads only those: the vector length
    of streams of tiles, for the companion's ports."""
    if isinstance(bundle, str) and bundle:
        loaded = optional("radiofm_ml.bundle", "tile_size").load(bundle)
        if loaded.reads == "signals":
            return loaded.shape[0] * loaded.shape[1]
    return spec_of(bundle, "tile_size").tile_size
