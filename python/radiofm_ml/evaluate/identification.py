# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Few-shot identification of real recordings: which signal is this, taught with a few tiles from other
sessions?

A benchmark is a folder with ``index.csv`` (label, session, file, sample_rate; may be receiver, benchmark)
and SigMF recordings. For every episode the sessions of each label are halved at random: the shots come from
one half (spread over its recordings), all tiles of the other half are queries. Where a label was recorded in
one session only, its receivers are halved, and where there is one receiver only, its recordings. Balanced
accuracy: tiles are averaged in a recording, recordings in a label, labels in the end. The classifier is that
of the blocks (``geometry``); its mean for 'cl2n' is that of the episode's shots. No feature sees the sample
rate, except the baseline that sees nothing else.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from radiofm_ml import bundle as bundles
from radiofm_ml import models
from radiofm_ml.evaluate.reports import over_seeds
from radiofm_ml.evaluate.supervised import train_and_predict
from radiofm_ml.fewshot import geometry
from radiofm_ml.fewshot.prototypes import Prototype
from radiofm_ml.sigmf.recording import open_recording
from radiofm_ml.spectrogram import SpectrogramSpec, tiles_from_iq
from radiofm_ml.tasks import take_turns
from radiofm_ml.train.export import add_projection, encode
from radiofm_ml.train.shards import held_out

if TYPE_CHECKING:
    from radiofm_ml.sigmf.recording import Recording

TILES_PER_RECORDING = 8
# What two recordings of the same physical kind are called in the index; on-off keying is one label.
MERGED = {"ism_ook_sensor": "ism_ook", "ism_ook_remote": "ism_ook"}


class Split:
    """N tiles or signals of recordings, for a split that divides no group: of each its label, session,
    recording number and group."""

    labels: np.ndarray
    sessions: np.ndarray
    recordings: np.ndarray
    groups: np.ndarray

    @cached_property
    def held_out(self) -> np.ndarray:
        """bool (N,): of a session that pre-training never reads."""
        return np.array([held_out(session) for session in self.sessions])

    def usable(self) -> list[str]:
        """Labels with two groups or more."""
        return [
            label
            for label in np.unique(self.labels)
            if len(np.unique(self.groups[self.labels == label])) >= 2
        ]


@dataclass(frozen=True)
class Benchmark(Split):
    """Tiles of all recordings: tiles float32 (N, rows, cols), then N labels, sessions, recording numbers,
    rates, and names of the groups that a split must not divide."""

    tiles: torch.Tensor
    labels: np.ndarray
    sessions: np.ndarray
    recordings: np.ndarray
    rates: np.ndarray
    groups: np.ndarray


def read_index(folder: Path, everything: bool = False) -> tuple[list[dict], list[str]]:
    """The rows of ``folder/index.csv`` that a benchmark takes, and the group of each (see ``groups_of``).
    Raises ValueError.

    Where the index has a column ``benchmark``, recordings that say 'no' there (a rate that was guessed, a
    label with too few recordings) are left out. everything: take them too, and split by session alone.
    """
    index = folder / "index.csv"
    if not index.is_file():
        raise ValueError(f"{index}: missing; a benchmark folder lists its recordings there")
    with index.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    missing = {"label", "session", "file", "sample_rate"} - set(rows[0] if rows else ())
    if missing:
        raise ValueError(f"{index}: column {sorted(missing)[0]!r} is missing")
    for row in rows:
        row["label"] = MERGED.get(row["label"], row["label"])
    if not everything:
        rows = [row for row in rows if not row.get("benchmark", "").startswith("no")]
    return rows, [row["session"] for row in rows] if everything else groups_of(rows)


def load_benchmark(folder: Path, spec: SpectrogramSpec, everything: bool = False,
                   track: Callable = lambda items, label: items) -> Benchmark:
    """Read the recordings of ``read_index``, evenly spaced tiles of each. Raises ValueError."""
    rows, groups = read_index(folder, everything)
    tiles, labels, sessions, recordings, rates = [], [], [], [], []
    for number, row in enumerate(track(rows, "reading recordings")):
        recording = open_recording(folder / row["file"])
        made = recording_tiles(recording, spec)
        tiles.append(made)
        labels += [row["label"]] * len(made)
        sessions += [row["session"]] * len(made)
        recordings += [number] * len(made)
        rates += [float(row["sample_rate"])] * len(made)
    return Benchmark(
        torch.cat(tiles),
        np.array(labels),
        np.array(sessions),
        np.array(recordings),
        np.array(rates),
        np.array(groups)[recordings],
    )


def groups_of(rows: Sequence[dict]) -> list[str]:
    """For every recording the name of what a split must not divide: its session, in a label of one session
    its receiver, in a label of one receiver the recording itself."""

    def several(column: str) -> set[str]:
        values: dict[str, set[str]] = {}
        for row in rows:
            values.setdefault(row["label"], set()).add(row.get(column, ""))
        return {label for label, found in values.items() if len(found) > 1}

    sessions, receivers = several("session"), several("receiver")

    def group(row: dict) -> str:
        if row["label"] in sessions:
            return row["session"]
        return row["receiver"] if row["label"] in receivers else row["file"]

    return [group(row) for row in rows]


def recording_tiles(recording: Recording, spec: SpectrogramSpec) -> torch.Tensor:
    """At most TILES_PER_RECORDING evenly spaced tiles of a recording, the completed last one among them."""
    n = recording.n_samples
    starts = np.unique(np.linspace(0, spec.n_tiles(n) - 1, TILES_PER_RECORDING).astype(int)) * spec.stride
    pieces = (recording.read(int(s), min(spec.samples_per_tile, n - int(s))) for s in starts)
    return torch.cat(
        [tiles_from_iq(torch.from_numpy(np.resize(p, spec.samples_per_tile)), spec) for p in pieces]
    )


def draw_episode(bench: Split, labels: Sequence[str], shots: int,
                 rng: np.random.Generator) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Indices of the shots and of the queries, a list of each with an entry a label."""
    support, queries = [], []
    for label in labels:
        members = np.flatnonzero(bench.labels == label)
        groups = rng.permutation(np.unique(bench.groups[members]))
        taught = np.isin(bench.groups[members], groups[: max(1, len(groups) // 2)])
        support.append(_spread(members[taught], bench.recordings, shots, rng))
        queries.append(members[~taught])
    return support, queries


def _spread(members: np.ndarray, recordings: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """``count`` of the members (all if there are fewer), from as many recordings as possible."""
    members = rng.permutation(members)
    return take_turns(members, recordings[members])[:count]


def nearest_prototypes(
    features: np.ndarray,
    bench: Benchmark,
    labels: Sequence[str],
    shots: int,
    seed: int,
    episodes: int,
    normalisation: str = "cl2n",
) -> Iterator[tuple[np.ndarray, list[np.ndarray]]]:
    """Of each episode the label number of the prototype nearest to every tile, and the queries."""
    rng = np.random.default_rng(seed)
    for _ in range(episodes):
        support, queries = draw_episode(bench, labels, shots, rng)
        mean = features[np.concatenate(support)].mean(0)
        taught = [
            Prototype(label, features[s].mean(0), len(s), features[s])
            for label, s in zip(labels, support, strict=True)
        ]
        yield geometry.fit(taught, normalisation, mean).distances(features).argmin(1), queries


def prototype_accuracy(
    features: np.ndarray,
    bench: Benchmark,
    labels: Sequence[str],
    shots: int,
    seed: int,
    episodes: int,
    normalisation: str = "cl2n",
) -> tuple[float, float]:
    """Balanced accuracy of nearest prototypes, mean over episodes: (all queries, see ``score``; held out)."""
    played = nearest_prototypes(features, bench, labels, shots, seed, episodes, normalisation)
    return tuple(np.mean([score(nearest, bench, queries) for nearest, queries in played], 0).tolist())


def supervised_accuracy(
    bench: Benchmark, labels: Sequence[str], shots: int, seed: int, episodes: int
) -> tuple[float, float]:
    """The same for a network trained from scratch on the same shots, over fewer episodes."""
    rng = np.random.default_rng(seed)
    scores = []
    for episode in range(episodes):
        support, queries = draw_episode(bench, labels, shots, rng)
        scores.append(score(train_and_predict(bench.tiles, support, 1000 * seed + episode), bench, queries))
    return tuple(np.mean(scores, 0).tolist())


def score(predicted: np.ndarray, bench: Benchmark, queries: list[np.ndarray]) -> tuple[float, float]:
    """Balanced accuracy of label numbers predicted for every tile of ``bench``.

    Returns it over all queries, and over those of sessions that pre-training never reads (``held_out``).
    """
    everything = np.ones(len(bench.labels), bool)
    return tuple(balanced(predicted, bench, queries, asked) for asked in (everything, bench.held_out))


def balanced(
    predicted: np.ndarray, bench: Benchmark, queries: list[np.ndarray], asked: np.ndarray
) -> float:
    """Balanced accuracy over those of the queries that ``asked``, bool (N,), names; NaN if there are none."""
    per_label = []
    for label, members in enumerate(q[asked[q]] for q in queries):
        right = predicted[members] == label
        owner = bench.recordings[members]
        if len(members):
            per_label.append(np.mean([right[owner == r].mean() for r in np.unique(owner)]))
    return float(np.mean(per_label)) if per_label else float("nan")


def random_encoder(bundle: bundles.Bundle, background: torch.Tensor, seed: int) -> torch.nn.Module:
    """The bundle's architecture with random weights; its projection is fitted as the bundle's was, on
    ``background`` tiles."""
    torch.manual_seed(seed)
    architecture = {**bundle.config["architecture"], "projection": 0}
    encoder = models.build(architecture).eval()
    size = bundle.config["architecture"]["projection"]
    if not size:
        return encoder
    power = bundle.config.get("provenance", {}).get("projection_power", 0.5)
    return add_projection(encoder, encode(encoder, background), size, power)


def evaluate(
    ref: str | os.PathLike,
    folder: Path,
    shots: Sequence[int] = (1, 5),
    seeds: Sequence[int] = (0, 1, 2),
    episodes: int = 40,
    supervised_episodes: int = 3,
    everything: bool = False,
    track: Callable = lambda items, label: items,
) -> dict:
    """All numbers: {labels, rows: [{method, shots, queries, mean, std, seeds}]}; ``std`` is over the seeds.

    everything: see ``load_benchmark``.
    """
    from radiofm_ml.train.export import CALIBRATION_SEED, receptions

    bundle = bundles.load(ref, bundles.TILES)
    bench = load_benchmark(folder, bundle.spec, everything, track)
    labels = bench.usable()
    if len(labels) < 2:
        raise ValueError(f"{folder}: fewer than two labels can be split; record each in two sessions or more")
    background, _, _ = receptions(bundle.spec, 3, CALIBRATION_SEED + 1, track)
    own = encode(bundle.model, bench.tiles)
    randoms = [
        encode(random_encoder(bundle, background, seed), bench.tiles)
        for seed in track(list(seeds), "random encoders")
    ]
    spectrum = bench.tiles.mean(1).numpy()
    rate = np.log(bench.rates)[:, None]
    prototypes = {
        bundle.id: ([own] * len(seeds), "cl2n"),
        "random encoder": (randoms, "cl2n"),
        "log power spectrum": ([spectrum] * len(seeds), "cl2n"),
        "sample rate alone": ([rate] * len(seeds), "none"),
    }
    rows = []
    for count, seed_index in track([(c, i) for c in shots for i in range(len(seeds))], "episodes"):
        seed = seeds[seed_index]
        for method, (features, normalisation) in prototypes.items():
            pair = prototype_accuracy(
                features[seed_index], bench, labels, count, seed, episodes, normalisation
            )
            rows.append((method, count, *pair))
        pair = supervised_accuracy(bench, labels, count, seed, supervised_episodes)
        rows.append(("CNN from scratch", count, *pair))
    return {
        "model": bundle.id,
        "folder": folder.name,
        "recordings": len(np.unique(bench.recordings)),
        "tiles": len(bench.tiles),
        "labels": [str(label) for label in labels],
        "episodes": episodes,
        "chance": 1 / len(labels),
        "rows": _summary(rows),
    }


def _summary(rows: list[tuple]) -> list[dict]:
    """Mean and spread over the seeds of (method, shots, all, held out), an entry for each method, shots and
    queries."""
    summary = []
    for method, count in dict.fromkeys((r[0], r[1]) for r in rows):
        for column, queries in ((2, "all"), (3, "held out of pre-training")):
            values = [r[column] for r in rows if r[:2] == (method, count)]
            summary.append({"method": method, "shots": count, "queries": queries, **over_seeds(values)})
    return summary


def print_table(result: dict) -> None:
    from rich.table import Table

    from radiofm_ml.terminal import console

    table = Table(
        title=f"balanced accuracy, {len(result['labels'])} labels, shots and queries from different sessions",
        caption=f"mean ± spread over seeds, {result['episodes']} episodes; chance {result['chance']:.2f}",
    )
    columns = [
        (s, q)
        for s in dict.fromkeys(r["shots"] for r in result["rows"])
        for q in dict.fromkeys(r["queries"] for r in result["rows"])
    ]
    table.add_column("features")
    for count, queries in columns:
        table.add_column(f"{count} shot{'s' * (count > 1)}\nqueries: {queries}", justify="right")
    for method in dict.fromkeys(r["method"] for r in result["rows"]):
        cells = {(r["shots"], r["queries"]): r for r in result["rows"] if r["method"] == method}
        table.add_row(method, *(f"{cells[c]['mean']:.3f} ± {cells[c]['std']:.3f}" for c in columns))
    console().print(table)
