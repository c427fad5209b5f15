# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Which tiles of recordings to teach by: evenly spread, chosen from the metadata without reading samples.

Numbers of tiles are kept as ranges, so that a long recording costs no more than a short one.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from itertools import accumulate

from radiofm_ml.sigmf.recording import Recording
from radiofm_ml.spectrogram import SpectrogramSpec


class TileRanges(Sequence):
    """Numbers of tiles, ascending, in a few ranges."""

    def __init__(self, ranges: Sequence[range]):
        self._ranges = [r for r in ranges if len(r)]
        self._ends = list(accumulate(map(len, self._ranges)))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, index: int) -> int:
        if not 0 <= index < len(self):
            raise IndexError(index)
        at = bisect.bisect_right(self._ends, index)
        return self._ranges[at][index - self._ends[at]]


def all_tiles(recording: Recording, spec: SpectrogramSpec) -> TileRanges:
    """Every tile of a recording."""
    return TileRanges([range(spec.n_tiles(recording.n_samples))])


def labelled_tiles(recording: Recording, spec: SpectrogramSpec) -> dict[str, TileRanges]:
    """The tiles that each label of a recording's annotations covers at least half of, and more of than any
    other; annotations that name nothing (``Annotation.is_named``) are passed over."""
    n_samples, n_tiles = recording.n_samples, spec.n_tiles(recording.n_samples)
    spans = [(a.sample_start, min(a.sample_start + a.sample_count, n_samples), a.label)
             for a in recording.annotations if a.is_named]
    spans = [span for span in spans if span[0] < span[1]]
    found: dict[str, list[range]] = {}
    active: list[tuple[int, int, str]] = []
    waiting = iter(sorted(spans, key=lambda span: span[0]))
    following = next(waiting, None)
    for tiles in _alike(spans, spec, n_tiles):
        start = tiles[0] * spec.stride
        count = min(spec.samples_per_tile, n_samples - start)
        active = [span for span in active if span[1] > start]
        while following and following[0] < start + count:
            active.append(following)
            following = next(waiting, None)
        label = _label(active, start, count)
        if label:
            found.setdefault(label, []).append(tiles)
    return {label: TileRanges(ranges) for label, ranges in found.items()}


def _alike(spans: Sequence[tuple[int, int, str]], spec: SpectrogramSpec, n_tiles: int) -> Iterator[range]:
    """All tiles: one by one where an annotation begins or ends and at the end, else in ranges that the same
    annotations cover whole."""
    single = {n_tiles - 1}
    for start, end, _ in spans:
        for edge in (start, end):
            first = (edge - spec.samples_per_tile) // spec.stride + 1
            single.update(range(max(0, first), min(n_tiles, -(-edge // spec.stride))))
    after = 0
    for tile in sorted(single):
        if tile > after:
            yield range(after, tile)
        yield range(tile, tile + 1)
        after = tile + 1


def _label(active: Sequence[tuple[int, int, str]], start: int, count: int) -> str:
    covered: dict[str, int] = {}
    for first, end, label in active:
        overlap = min(start + count, end) - max(start, first)
        if overlap > 0:
            covered[label] = covered.get(label, 0) + overlap
    best = max(covered, key=covered.get, default="")
    return best if best and 2 * covered[best] >= count else ""


def choose(sets: Sequence[Sequence[int]], count: int) -> list[tuple[int, int]]:
    """``count`` (number of the set, tile), all for 0, evenly spread over the sets and over each: the first
    tile of every set, then those farthest from them, and so on."""
    orders = [(number, tiles, _spread(len(tiles))) for number, tiles in enumerate(sets)]
    chosen: list[tuple[int, int]] = []
    while orders:
        remaining = []
        for number, tiles, order in orders:
            at = next(order, None)
            if at is None:
                continue
            chosen.append((number, tiles[at]))
            if len(chosen) == count:
                return chosen
            remaining.append((number, tiles, order))
        orders = remaining
    return chosen


def _spread(length: int) -> Iterator[int]:
    """0 .. length - 1 in the van der Corput order, which visits them at ever finer, even spacing."""
    bits = max(1, (length - 1).bit_length())
    for number in range(1 << bits):
        index = int(f"{number:0{bits}b}"[::-1], 2)
        if index < length:
            yield index
