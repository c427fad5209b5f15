# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Are groups of the unknown kinds of signal? Measured on scenes of kinds that the distances have not seen.

A scene is signals of some kinds, drawn at random, in random order, that come one at a time. How near one kind
is, is taken from the source domain without the kinds of the scene.

    mutual information   between groups and kinds, over the mean of their entropies: 1 if they are the same,
                         0 if they have nothing to do with one another (Strehl, Ghosh, JMLR 3, 2002). Signals
                         without a group count as one of their own.
    groups               with a number, so of three signals or more
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from radiofm_ml.fewshot import FewShot
from radiofm_ml.fewshot.groups import Groups
from radiofm_ml.fewshot.kinship import Kinship, measure

SCENE_SEED = 9_000_900  # of receptions that nothing else has heard
K_MEANS_STARTS = 10
OTHERS = ("random", "physical")  # arrays with embeddings to compare with: a random encoder's, numbers alone


@dataclass(frozen=True)
class Signals:
    """N signals: x float32 (N, D), their kinds and sessions (N,), others' embeddings of them by name, to
    compare with, and the kinship of a bundle's calibration or None."""

    x: np.ndarray
    kinds: np.ndarray
    sessions: np.ndarray | None
    others: dict[str, np.ndarray]
    calibrated: Kinship | None


def load(data: str, model: str = "", each: int = 12,
         track: Callable = lambda items, label: items) -> Signals:
    """Signals of an ``.npz``; or 'synthetic' ones: ``each`` receptions of every kind, a reception a signal,
    by the bundle ``model`` and an encoder of its size with random weights. Raises ValueError."""
    if data == "synthetic":
        return _synthetic(model or "radiofm-small", each, track)
    from radiofm_ml.evaluate.fewshot_data import read_labelled, read_others

    found = read_labelled(Path(data))
    others = read_others(Path(data), OTHERS, len(found.x))
    return Signals(found.x, found.labels, found.groups, others, _calibrated(model, found.x.shape[1]))


def _synthetic(model: str, each: int, track: Callable) -> Signals:
    from radiofm_ml import bundle as bundles
    from radiofm_ml.evaluate.identification import random_encoder
    from radiofm_ml.synth.scene import NOISE
    from radiofm_ml.train.export import encode, receptions

    bundle = bundles.load(model)
    if bundle.reads == bundles.IQ:
        raise ValueError(f"bundle {bundle.id} reads raw I/Q; give one that reads tiles or signals, or an "
                         ".npz")
    if bundle.reads == bundles.SIGNALS:
        return _synthetic_signals(bundle, each, track)
    tiles, labels, groups = receptions(bundle.spec, each, SCENE_SEED, track)
    names = np.unique(groups[labels != NOISE])
    kinds = np.array([labels[groups == name][0] for name in names])
    made = [encode(encoder, tiles) for encoder in (bundle.model, random_encoder(bundle, tiles[::4], 0))]
    x, random = (np.stack([e[groups == name].mean(0) for name in names]) for e in made)
    return Signals(x, kinds, None, {"random": random}, _calibrated(model, x.shape[1]))


def _synthetic_signals(bundle, each: int, track: Callable) -> Signals:
    """The same by an encoder of signals, cut out as the detector might."""
    from radiofm_ml.evaluate.signals import random_network
    from radiofm_ml.synth.scene import NOISE
    from radiofm_ml.train.signal_export import WEIGHTS, Source, embeddings_of, source, vectors

    heard = source(bundle.picture, each, SCENE_SEED, track)
    keep = np.flatnonzero(heard.kinds != NOISE)
    heard = Source([heard.pictures[k] for k in keep], heard.numbers[keep], heard.kinds[keep])
    of_pictures, owner = vectors(bundle.model, heard)
    x = embeddings_of(of_pictures, owner, heard.numbers, bundle.signals)
    network, reads = random_network(bundle, heard, 0)
    random = embeddings_of(network(np.concatenate(heard.pictures)), owner, heard.numbers, reads)
    few = FewShot.for_bundle(bundle, signals=True)
    return Signals(x, heard.kinds, None, {"random": random, "physical": heard.numbers[:, :2] * WEIGHTS[:2]},
                   Kinship.of(few) if bundle.signals_calibration else None)


def _calibrated(model: str, size: int) -> Kinship | None:
    """Of a bundle, if it makes embeddings of this size."""
    if not model:
        return None
    from radiofm_ml import bundle as bundles

    few = FewShot.for_bundle(bundles.load(model), shipped=False)
    return Kinship.of(few) if few.prototypes.embedding_size == size else None


def mutual_information(a: np.ndarray, b: np.ndarray) -> float:
    """Normalised, of two ways (N,) of calling the same things."""
    a, b = (np.unique(names, return_inverse=True)[1] for names in (a, b))
    joint = np.zeros((a.max() + 1, b.max() + 1))
    np.add.at(joint, (a, b), 1.0 / len(a))
    one, other, both = (-np.sum(p[p > 0] * np.log(p[p > 0])) for p in (joint.sum(1), joint.sum(0), joint))
    return float(2.0 * (one + other - both) / (one + other)) if one + other > 0 else 1.0


def check(signals: Signals, source: Signals, kinds: int = 10, scenes: int = 10, share: float = 0.65,
          normalisation: str = "cl2n", seed: int = 0,
          track: Callable = lambda items, label: items) -> list[dict]:
    """Rows {method, scenes, information, spread, groups, fewest, most, without}: means over scenes, the
    standard deviation of the information, the numbers of groups, and the share of signals without one. Raises
    ValueError."""
    names = np.unique(signals.kinds)
    if len(names) <= kinds:
        raise ValueError(f"{len(names)} kinds of signal are too few for scenes of {kinds} and others beside; "
                         "give fewer --kinds")
    played: dict[str, list] = {}
    for scene in track(range(scenes), "scenes"):
        rng = np.random.default_rng([seed, scene])
        drawn = rng.choice(names, kinds, replace=False)
        members = rng.permutation(np.flatnonzero(np.isin(signals.kinds, drawn)))
        rest = ~np.isin(source.kinds, drawn)
        for method, numbers in _methods(signals, source, members, rest, kinds, share, normalisation, scene):
            played.setdefault(method, []).append(
                (mutual_information(numbers, signals.kinds[members]), len(set(numbers.tolist()) - {0}),
                 np.mean(numbers == 0)))
    return [_row(method, np.array(found)) for method, found in played.items()]


def _methods(signals: Signals, source: Signals, members, rest, kinds: int, share: float, normalisation: str,
             seed: int):
    """(method, numbers of the members' groups)"""
    sessions = None if source.sessions is None else source.sessions[rest]
    kinship = measure(source.x[rest], source.kinds[rest], sessions, normalisation, share)
    yield "groups", _grouped(signals.x[members], kinship)
    yield "k-means, told the number", _k_means(kinship.place(signals.x[members]), kinds, seed)
    if signals.calibrated is not None:
        yield "groups, by the bundle's calibration", _grouped(signals.x[members], signals.calibrated)
    for name in sorted(set(signals.others) & set(source.others)):
        kinship = measure(source.others[name][rest], source.kinds[rest], sessions,
                          normalisation if name == "random" else "none", share)
        yield f"{name}: groups", _grouped(signals.others[name][members], kinship)
        yield f"{name}: k-means", _k_means(kinship.place(signals.others[name][members]), kinds, seed)


def _grouped(x: np.ndarray, kinship: Kinship) -> np.ndarray:
    groups = Groups(x.shape[1], kinship)
    cells = []
    for time, one in enumerate(x):
        cells += groups.add(one, float(time)).tolist()
        groups.numbers(cells[-1])  # as in use: whoever hears it asks
    return groups.numbers(cells)


def _k_means(z: np.ndarray, k: int, seed: int) -> np.ndarray:
    from scipy.cluster.vq import kmeans2

    best = None
    for start in range(K_MEANS_STARTS):
        middles, numbers = kmeans2(z, k, minit="++", seed=seed * K_MEANS_STARTS + start, missing="warn")
        error = ((z - middles[numbers])**2).sum()
        best = (error, numbers) if best is None or error < best[0] else best
    return best[1] + 1


def _row(method: str, found: np.ndarray) -> dict:
    return {"method": method, "scenes": len(found), "information": found[:, 0].mean(),
            "spread": found[:, 0].std(), "groups": found[:, 1].mean(), "fewest": int(found[:, 1].min()),
            "most": int(found[:, 1].max()), "without": found[:, 2].mean()}


def print_table(rows: list[dict], kinds: int) -> None:
    from rich.table import Table

    from radiofm_ml.terminal import console

    table = Table(title=f"groups of the unknown: scenes of {kinds} kinds, mean of {rows[0]['scenes']}")
    for name in ("method", "mutual information", "groups", "without a group"):
        table.add_column(name, justify="left" if name == "method" else "right")
    for row in rows:
        table.add_row(row["method"], f"{row['information']:.3f} ± {row['spread']:.3f}",
                      f"{row['groups']:.1f} ({row['fewest']} to {row['most']})", f"{row['without']:.1%}")
    console().print(table)
