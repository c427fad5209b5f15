# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Tiles or blocks of I/Q in, embeddings out: the inference engines behind one call.

    engine = open_engine("radiofm-small")
    embeddings = engine.embed(tiles)        # float32 (N, tile_rows, tile_cols) -> float32 (N, D)
    embeddings, tokens = engine.embed_with_tokens(tiles, [6])       # and those before block 6
    embeddings = open_engine("protobeam-sim").embed(blocks)         # complex64 (N, block) -> float32 (N, D)

An engine is a class in ``ENGINES``; ``open_engine(..., engine="auto")`` takes the first that runs here.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if "torch" not in sys.modules:
    # OpenMP's idle threads spin by default and take the cores that the flowgraph's threads need.
    # It reads this once, when torch loads it.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np  # noqa: E402

from radiofm_ml import bundle as bundles  # noqa: E402
from radiofm_ml.arguments import whole  # noqa: E402
from radiofm_ml.bundle import BundleError  # noqa: E402
from radiofm_ml.engines.base import Engine, EngineError, clean_iq, clean_tiles, is_sound  # noqa: E402
from radiofm_ml.engines.threads import torch_threads  # noqa: E402
from radiofm_ml.engines.torch_engine import TorchEngine, accelerate, cpu_has_bf16  # noqa: E402

if TYPE_CHECKING:
    from radiofm_ml.bundle import Bundle

__all__ = ["ENGINES", "PRECISIONS", "Engine", "EngineError", "accelerate", "clean_iq", "clean_tiles",
           "cpu_has_bf16", "is_sound", "open_engine", "torch_threads"]

PRECISIONS = ("auto", "fp32", "bf16")

# In order of preference for "auto".
ENGINES: dict[str, type[Engine]] = {"torch": TorchEngine}


def open_engine(ref: str | os.PathLike | Bundle, engine: str = "auto", threads: int = 1,
                precision: str = "auto", reads: str | None = None) -> Engine:
    """The encoder of a bundle, loaded and warmed up.

    ref        a Bundle, or what ``bundle.load`` takes
    engine     'auto' or a key of ``ENGINES``
    threads    of one pass
    precision  'fp32', 'bf16', or 'auto' for the fastest that keeps the embeddings (cosine to fp32 >= 0.999)
    reads      'tiles', 'signals' or 'iq': refuse a bundle whose encoder reads none of these

    Raises BundleError for a bundle that cannot be used, ValueError for other arguments, EngineError for an
    engine that does not run here.
    """
    if engine != "auto" and engine not in ENGINES:
        raise ValueError(f"engine must be one of auto, {', '.join(ENGINES)}, got {engine!r}")
    whole("threads", threads, 1)
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
    if engine == "auto":
        engine = next(name for name, kind in ENGINES.items() if kind.available())
    elif not ENGINES[engine].available():
        raise EngineError(f"engine {engine!r} is not installed; install it, or use engine 'auto'")
    bundle = bundles.load(ref, reads)
    opened = ENGINES[engine](bundle, threads, precision)
    try:  # the first pass is slow, and shows whether encoder and input fit each other
        opened.embed(_silence(bundle))
    except (RuntimeError, ValueError) as error:
        if bundle.block is None:
            rows, cols = bundle.shape
            read = f"{rows}x{cols} tiles of the spectrogram"
        else:
            read = f"blocks of {bundle.block} I/Q samples"
        raise BundleError(f"{bundle.path / 'config.json'}: the architecture does not take the {read} "
                          f"({str(error).splitlines()[0]})") from None
    return opened


def _silence(bundle: bundles.Bundle) -> np.ndarray:
    """One empty input of a bundle's encoder."""
    if bundle.block is None:
        return np.zeros((1, *bundle.shape), np.float32)
    return np.zeros((1, bundle.block), np.complex64)
