# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Labelled blocks of I/Q samples in memory, of beams or of angles, from one or several front ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class BeamBlocks:
    """N blocks of L samples.

    iq         complex64 (N, L)
    beam       int64 (N,): index into ``labels``
    gain       int64 (N,): index of the receiver's gain setting, ascending
    front_end  int64 (N,): which antenna with its front end; 0 where there is one
    labels     names of the classes
    degrees    float64 (classes,) where the classes are angles, else None

    Raises ValueError where these do not fit each other.
    """

    iq: np.ndarray
    beam: np.ndarray
    gain: np.ndarray
    front_end: np.ndarray
    labels: tuple[str, ...]
    degrees: np.ndarray | None = None

    def __post_init__(self):
        if self.iq.ndim != 2 or self.iq.dtype != np.complex64:
            raise ValueError(f"blocks must be complex64 (N, L), got {self.iq.dtype} {self.iq.shape}")
        for name in ("beam", "gain", "front_end"):
            if getattr(self, name).shape != (len(self.iq),):
                raise ValueError(f"{name} must have {len(self.iq)} entries, got {getattr(self, name).shape}")
        if len(self.iq) and not 0 <= self.beam.min() <= self.beam.max() < len(self.labels):
            raise ValueError(f"beam must lie in 0..{len(self.labels) - 1}")
        if self.degrees is not None and len(self.degrees) != len(self.labels):
            raise ValueError(f"{len(self.degrees)} angles for {len(self.labels)} labels")

    def __len__(self) -> int:
        return len(self.iq)

    def take(self, index: np.ndarray) -> BeamBlocks:
        """The blocks at an index array or mask."""
        return BeamBlocks(self.iq[index], self.beam[index], self.gain[index], self.front_end[index],
                          self.labels, self.degrees)

    def floats(self, index: np.ndarray | slice = slice(None)) -> np.ndarray:
        """float32 (n, L, 2), I and Q last, as the networks take it."""
        part = np.ascontiguousarray(self.iq[index])
        return part.view(np.float32).reshape(*part.shape, 2)


def join(parts: Sequence[BeamBlocks]) -> BeamBlocks:
    """One set of several of the same labels; their front ends are numbered anew, in their order. Raises
    ValueError for different labels."""
    if any(part.labels != parts[0].labels for part in parts):
        raise ValueError("sets of blocks with different labels cannot be joined")
    front_ends, first = [], 0
    for part in parts:
        _, number = np.unique(part.front_end, return_inverse=True)
        front_ends.append(number + first)
        first += number.max(initial=-1) + 1
    return BeamBlocks(np.concatenate([p.iq for p in parts]), np.concatenate([p.beam for p in parts]),
                      np.concatenate([p.gain for p in parts]), np.concatenate(front_ends).astype(np.int64),
                      parts[0].labels, parts[0].degrees)
