# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Detection on synthetic scenes: how many of the emissions are found, by kind, and how many boxes are right.

Each scene has one signal of a kind, some neighbours, a channel and a receiver (``radiofm_ml.synth.scene``).
An emission counts as found where one box has at least 0.4 of its union in common with it, and as covered
where boxes cover at least half of it; each box finds one. Kinds that come in bursts of one message are
judged by message: emissions of one signal that follow each other within ``--pause`` of their own length.
Beside it a plain energy threshold: a row averages 8 of 1024 bins, the floor of a bin is its 20 % quantile
over time under a median over 201 bins, the threshold 5 dB above it, and regions are closed over 5 rows and
9 bins.
"""

import argparse
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from radiofm_ml.detect.finder import find
from radiofm_ml.detect.rows import row_format, rows_of
from radiofm_ml.detect.settings import Settings
from radiofm_ml.synth.scene import Scene, compose
from radiofm_ml.synth.signals import all_classes
from scipy import ndimage

OVERLAP, COVERED = 0.4, 0.5
THRESHOLD_DB, CLOSING, WIDE, QUANTILE = 5.0, (5, 9), 201, 0.2


@dataclass(frozen=True)
class Place:
    """Samples [start, stop), ``lower`` to ``upper`` Hz."""

    start: float
    stop: float
    lower: float
    upper: float

    @property
    def area(self) -> float:
        return (self.stop - self.start) * (self.upper - self.lower)

    def common(self, other) -> float:
        time = min(self.stop, other.stop) - max(self.start, other.start)
        return max(time, 0) * max(min(self.upper, other.upper) - max(self.lower, other.lower), 0)

    def overlap(self, other) -> float:
        both = self.common(other)
        return both / max(self.area + other.area - both, 1e-9)


def energy(scene: Scene) -> list[Place]:
    """Boxes of a plain threshold."""
    form = row_format(scene.sample_rate, 1024)
    rows = [*rows_of([scene.samples], form)]
    if not rows:
        return []
    level = np.concatenate(rows)
    floor = ndimage.median_filter(np.quantile(level, QUANTILE, axis=0), WIDE, mode="nearest")
    mask = ndimage.binary_closing(np.pad(level - floor > THRESHOLD_DB, 9), np.ones(CLOSING))[9:-9, 9:-9]
    regions, _ = ndimage.label(mask)
    return [Place(t.start * form.stride, t.stop * form.stride, form.frequency(f.start),
                  form.frequency(f.stop)) for t, f in ndimage.find_objects(regions)]


def ours(scene: Scene) -> list[Place]:
    boxes = find([scene.samples], scene.sample_rate, Settings(longest=1e3))
    return [Place(b.sample_start, b.sample_start + b.sample_count, b.freq_lower, b.freq_upper) for b in boxes]


def truth(scene: Scene, pause: float) -> list[tuple[Place, bool]]:
    """(place, of the main signal?) of each message."""
    out: list[tuple[Place, bool, str]] = []
    for box in scene.boxes:
        place = Place(box.start, box.start + box.count, box.lower, box.upper)
        for i, (before, main, label) in enumerate(out):
            gap = place.start - before.stop
            width = min(before.upper - before.lower, box.upper - box.lower)
            band = min(before.upper, box.upper) - max(before.lower, box.lower)
            if (main, label) == (box.main, box.label) and band > 0.7 * width and gap <= pause * box.count:
                out[i] = (Place(before.start, max(before.stop, place.stop), min(before.lower, box.lower),
                                max(before.upper, box.upper)), main, label)
                break
        else:
            out.append((place, box.main, box.label))
    return [(place, main) for place, main, _ in out]


def matched(places: list[Place], boxes: list[Place]) -> list[bool]:
    """Which places a box of its own finds, the best pairs first."""
    pairs = sorted(((p.overlap(b), i, j) for i, p in enumerate(places) for j, b in enumerate(boxes)),
                   reverse=True)
    places_left, boxes_left = set(range(len(places))), set(range(len(boxes)))
    for overlap, i, j in pairs:
        if overlap >= OVERLAP and i in places_left and j in boxes_left:
            places_left.discard(i)
            boxes_left.discard(j)
    return [i not in places_left for i in range(len(places))]


def judge(find_boxes, scene: Scene, pause: float) -> tuple[list[bool], list[bool], int, int]:
    """Of the main signal's messages, which are found and which covered; boxes that find any; all boxes."""
    places, boxes = truth(scene, pause), find_boxes(scene)
    found = matched([place for place, _ in places], boxes)
    covered = [sum(place.common(box) for box in boxes) >= COVERED * place.area for place, _ in places]
    mine = [main for _, main in places]
    return ([f for f, m in zip(found, mine, strict=True) if m], [c for c, m in zip(covered, mine, strict=True)
                                                                  if m], sum(found), len(boxes))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=20, help="of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--samples", type=int, default=1 << 18, help="of a scene")
    parser.add_argument("--snr", type=float, nargs=2, default=(10.0, 30.0), help="dB, from and to")
    parser.add_argument("--pause", type=float, default=1.0)
    parser.add_argument("--kinds", nargs="*", default=sorted(all_classes()))
    options = parser.parse_args()
    ways = {"finder": ours, "energy": energy}
    print(f"{'':22}" + "".join(f"{way:>8}: found covered precision" for way in ways), flush=True)
    totals: dict[str, list[np.ndarray]] = defaultdict(list)
    for kind in options.kinds:
        rng = np.random.default_rng([options.seed, sorted(all_classes()).index(kind)])
        snr = tuple(options.snr)
        scenes = [compose(rng, kind, options.samples, snr_db=snr) for _ in range(options.scenes)]
        line = f"{kind:22}"
        for way, find_boxes in ways.items():
            shares = []
            right = boxes = 0
            for scene in scenes:
                found, covered, good, count = judge(find_boxes, scene, options.pause)
                right, boxes = right + good, boxes + count
                if found:  # each scene counts alike, however many bursts it has
                    shares.append((np.mean(found), np.mean(covered)))
            score = np.array([*np.mean(shares, axis=0), right / max(boxes, 1)])
            totals[way].append(score)
            line += f"{'':>8}  {score[0]:5.2f}   {score[1]:5.2f}     {score[2]:5.2f}"
        print(line, flush=True)
    print(f"{'mean':22}" + "".join(f"{'':>8}  {s[0]:5.2f}   {s[1]:5.2f}     {s[2]:5.2f}"
                                  for s in (np.mean(totals[way], axis=0) for way in ways)))


main()
