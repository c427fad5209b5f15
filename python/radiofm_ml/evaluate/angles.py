# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""ProtoAoA: angles of arrival that an encoder has not been trained on, taught with a few blocks each
(arXiv 2604.14476). "Skip-3": trained on every fourth angle of a sweep, taught the others.

The published encoder, its testbed's step and its way from classes to degrees are not public; ours: the
encoder and training of ``evaluate.beams`` ("ours"), and the mean of the taught angles, each by its
probability, which is the few-shot classifier's. Beside it, with the same shots: a random encoder, and the
same network trained on nothing but the shots ("supervised").
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from radiofm_ml.data.beam_blocks import BeamBlocks
from radiofm_ml.data.beam_files import published_split
from radiofm_ml.evaluate import reports
from radiofm_ml.evaluate.antennas import PARTS
from radiofm_ml.evaluate.beams import (
    CENTRED,
    RANDOM,
    TABLE,
    Job,
    domain_mean,
    embedder,
    run_jobs,
    split_shots,
    train_setup,
    untrained,
)
from radiofm_ml.fewshot import geometry
from radiofm_ml.fewshot.calibration import log_odds, softmax
from radiofm_ml.fewshot.prototypes import Prototype
from radiofm_ml.models.iq_encoder import IQEncoder, IQEncoderConfig

SKIP = 4  # every fourth angle is trained on
OURS, RAW, SUPERVISED = "ours", "data norm", "supervised, on the shots alone"
SUPERVISED_STEPS, SUPERVISED_RATE = 60, 2e-3  # of AdamW over all shots at once
KINDS = {"same": "same antenna", "other": "another antenna"}


@dataclass(frozen=True)
class SimulatedAngles:
    """Sweeps of the receiver in front of one beam of the transmitter, of named front ends of ``synth.beams``.
    frames: of each gain and angle, spread over a capture of 100 s; the first 60 % are there to train on."""

    names: tuple[str, ...] = ("a", "b", "c", "d")
    beam: int = 12
    frames: int = 100
    seed: int = 0

    def blocks(self, name: str, part: str) -> BeamBlocks:
        whole = _swept(self, name)
        frame = np.tile(np.arange(self.frames), len(whole) // self.frames)
        return whole.take(np.isin(frame, published_split(self.frames)[PARTS.index(part)]))

    def facts(self) -> dict:
        from radiofm_ml.synth.beams import AOA_ANGLES, VERSION

        return {"source": "simulator", "version": VERSION, "angles": list(AOA_ANGLES), **asdict(self)}


@lru_cache(maxsize=4)
def _swept(angles: SimulatedAngles, name: str) -> BeamBlocks:
    from radiofm_ml.synth.beams import GAINS_DB, BeamSimulator

    simulator = BeamSimulator(name, seed=angles.seed, aoa=True)
    number = angles.names.index(name)
    parts = [simulator.capture(angles.beam, angles.frames,
                               np.random.default_rng([angles.seed, 1, number, g, i]),
                               rx_gain_db=gain, angle=angle, blocks=1)[:, 0]
             for g, gain in enumerate(GAINS_DB) for i, angle in enumerate(simulator.angles)]
    gain, angle, _ = np.indices((len(GAINS_DB), len(simulator.angles), angles.frames)).reshape(3, -1)
    return BeamBlocks(np.concatenate(parts), angle, gain, np.zeros_like(angle),
                      tuple(f"{a:g} deg" for a in simulator.angles), np.array(simulator.angles))


@dataclass(frozen=True)
class AnglePlan:
    """What is run; see ``beams.Plan``."""

    shots: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    seeds: tuple[int, ...] = (0, 1, 2)
    draws: int = 3
    unlabelled: int = 6
    episodes: int = 300
    methods: tuple[str, ...] = (RAW, OURS, RANDOM, SUPERVISED)

    @classmethod
    def quick(cls) -> AnglePlan:
        return cls((1, 4), (0,), 2, 3, 80)


def seen_angles(count: int) -> np.ndarray:
    """Numbers of the angles that are trained on, of ``count``."""
    return np.arange(0, count, SKIP)


def estimate(z: np.ndarray, support: np.ndarray, queries: np.ndarray, degrees: np.ndarray, normalisation: str,
             metric: str, mean: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """(number of the nearest angle, degrees) of blocks.

    z: embeddings (N, D). support: indices (angles, shots) of the taught ones. queries: indices (n,).
    degrees: of the taught angles, (angles,). The second is the mean of the taught angles by their
    probabilities.
    """
    prototypes = [Prototype(str(i), z[row].mean(0, dtype=np.float64).astype(np.float32), len(row), z[row])
                  for i, row in enumerate(support)]
    fitted = geometry.fit(prototypes, normalisation, mean, metric)
    logits = log_odds(fitted.distances(z[queries]), fitted, None)
    return logits.argmax(1), softmax(logits) @ degrees


def supervised(net: IQEncoder, blocks: BeamBlocks, support: np.ndarray, queries: np.ndarray,
               degrees: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As ``estimate``, by a copy of ``net``, with an output for each of the angles, that is trained on the
    shots as a classifier."""
    net = copy.deepcopy(net)
    optimizer = torch.optim.AdamW(net.parameters(), SUPERVISED_RATE, weight_decay=1e-2)
    x = torch.from_numpy(blocks.floats(support.ravel()))
    y = torch.arange(len(support)).repeat_interleave(support.shape[1])
    for _ in range(SUPERVISED_STEPS):
        optimizer.zero_grad()
        F.cross_entropy(net(x), y).backward()
        optimizer.step()
    with torch.inference_mode():
        logits = torch.cat([net(torch.from_numpy(blocks.floats(part))) for part in
                            np.array_split(queries, max(1, len(queries) // 256))]).double().numpy()
    return logits.argmax(1), softmax(logits) @ degrees


def run_job(job: Job, angles: SimulatedAngles, plan: AnglePlan, folder: Path) -> dict:
    """Train on every fourth angle of an antenna, then teach the others, of every antenna.

    {method, source, seed, seconds, targets: {target: {shots: metrics}}, example}: metrics have accuracy,
    within_one_step, mean (error of the estimate, degrees) and mean_nearest (of the nearest taught angle),
    each at one gain of the receiver, the mean over the gains.
    """
    started = time.process_time()
    setup = TABLE.get(job.method, CENTRED)
    embed = None
    if job.method in TABLE:
        train = angles.blocks(job.source, "train")
        train = train.take(np.isin(train.beam, seen_angles(len(train.labels))))
        net = train_setup(setup, folder / "runs" / job.name, train, plan.episodes, job.seed)
        embed = embedder(net.encoder)
    elif job.method == RANDOM:
        embed = embedder(untrained(IQEncoderConfig(), angles.blocks(job.source, "train"), job.seed).eval())
    found: dict = {"targets": {}}
    for name in angles.names:
        test, earlier = angles.blocks(name, "test"), angles.blocks(name, "train")
        test = test.take(~np.isin(test.beam, seen_angles(len(test.labels))))
        if embed is None:
            config = IQEncoderConfig(level=True, embedding_size=len(np.unique(test.beam)))
            decide = partial(supervised, untrained(config, earlier, job.seed), test)
            few = replace(plan, draws=1)  # a training each
        else:
            mean = domain_mean(embed, earlier, plan.unlabelled)
            decide = partial(estimate, embed(test), normalisation=setup.normalisation, metric=setup.metric,
                             mean=mean)
            few = plan
        found["targets"][name] = {}
        for shots in plan.shots:
            metrics, example = _score(decide, test, shots, few, job.seed)
            found["targets"][name][str(shots)] = metrics
            if name == job.source and shots == plan.shots[len(plan.shots) // 3]:
                found["example"] = {"shots": shots, **example}
    return {"method": job.method, "source": job.source, "seed": job.seed,
            "seconds": round(time.process_time() - started, 1), **found}


def _score(decide: Callable, blocks: BeamBlocks, shots: int, plan: AnglePlan, seed: int) -> tuple[dict, dict]:
    """decide: ``estimate`` or ``supervised``, of (support, queries, degrees)."""
    step = np.diff(blocks.degrees).min()
    rows, truth, guess = [], [], []
    for number in range(plan.draws):
        for gain in np.unique(blocks.gain):
            group = np.flatnonzero(blocks.gain == gain)
            rng = np.random.default_rng([seed, shots, number, int(gain)])
            support, queries = (group[part] for part in split_shots(blocks.beam[group], shots, rng))
            degrees = blocks.degrees[blocks.beam[support[:, 0]]]
            nearest, angle = decide(support=support, queries=queries, degrees=degrees)
            true = blocks.degrees[blocks.beam[queries]]
            away = np.abs(degrees[nearest] - true)
            rows.append([(away == 0).mean(), (away <= step + 1e-6).mean(), np.abs(angle - true).mean(),
                         away.mean()])
            if number == 0:
                truth.append(true[::3])
                guess.append(angle[::3])
    accuracy, within, error, nearest = np.mean(rows, 0)
    return ({"accuracy": float(accuracy), "within_one_step": float(within), "mean": float(error),
             "mean_nearest": float(nearest)},
            {"truth": np.concatenate(truth).tolist(), "estimate": np.concatenate(guess).round(2).tolist()})


def run(angles: SimulatedAngles, plan: AnglePlan, folder: Path, processes: int = 1,
        on_job: Callable[[str, int, int], None] = lambda name, done, total: None) -> list[dict]:
    """All results; see ``beams.run_jobs``."""
    jobs = [Job(method, name, seed) for seed in plan.seeds for method in plan.methods
            for name in (("",) if method == SUPERVISED else angles.names)]
    work = partial(run_job, angles=angles, plan=plan, folder=folder)
    return run_jobs(jobs, work, {"plan": asdict(plan), "angles": angles.facts()}, folder, processes, on_job)


def write(folder: Path, results: Sequence[dict], angles: SimulatedAngles, plan: AnglePlan) -> dict:
    """Report and pictures (``evaluate.reports``, and angles.png) of results; returns the report."""
    from radiofm_ml.plots.beams import draw_angles

    rows, errors = [], {}
    for method in plan.methods:
        for kind, where in KINDS.items():
            for shots in plan.shots:
                per_seed = [_mean([metrics[str(shots)] for r in results
                                   if (r["method"], r["seed"]) == (method, seed)
                                   for target, metrics in r["targets"].items()
                                   if (target == r["source"]) == (kind == "same")]) for seed in plan.seeds]
                if per_seed[0]:
                    name = method if method == SUPERVISED else f"{method}, {where}"
                    rows += reports.result_rows(name, per_seed, shots)
    panels = {}
    for r in results:
        if "example" in r and (r["source"], r["seed"]) == (angles.names[0], plan.seeds[0]):
            name = f"{r['method']}, {r['example']['shots']} shots"
            panels[name] = r["example"]
            errors[name] = np.abs(np.subtract(r["example"]["truth"], r["example"]["estimate"]))
    degrees = angles.blocks(angles.names[0], "test").degrees
    seen = degrees[seen_angles(len(degrees))]
    report = {"task": "angles", "kind": "regression", "unit": "°", "title": "Angles not trained on",
              "facts": {**angles.facts(), "trained_on": seen.tolist(), "step": float(np.diff(degrees).min()),
                        "cpu_seconds": round(sum(r["seconds"] for r in results))}, "examples": panels}
    reports.write_report(folder, report, results=rows, errors=errors)
    draw_angles(folder / "angles.png", panels, seen, title="Angles of arrival that were not trained on")
    return reports.read_report(folder)


def _mean(metrics: Sequence[dict]) -> dict:
    return {key: float(np.mean([m[key] for m in metrics])) for key in metrics[0]} if metrics else {}
