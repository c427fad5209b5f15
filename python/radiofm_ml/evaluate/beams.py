# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Beams of antennas that a network has not seen: ProtoBeam's Table I, every pair of antennas, and baselines.

    TTSA   trained on an antenna's first frames, taught and tested on its last
    TOTA   trained on one antenna, taught and tested on another's last frames

A few blocks of each beam are taught ("shots"), the others are asked for. Gains of the receiver are mixed in
training. What is taught and asked is, by 'gains': 'mixed', a shot at any gain for a query at any other, as
DeepBeam is tested; 'each', all at one gain, as in a receiver that is taught and runs with its gain set, and
the mean over the gains.

Every training with its tests is a job of its own, whose result is kept in a file: the same command goes on
where it was stopped. Jobs know nothing of each other and may run in processes.
"""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from radiofm_ml import atomic
from radiofm_ml.data.beam_blocks import BeamBlocks, join
from radiofm_ml.evaluate.antennas import RecordedAntennas, SimulatedAntennas
from radiofm_ml.fewshot import geometry
from radiofm_ml.fewshot.prototypes import Prototype
from radiofm_ml.heads.metrics import confusion_matrix
from radiofm_ml.models.deepbeam import DeepBeam
from radiofm_ml.models.iq_encoder import IQEncoder, IQEncoderConfig
from radiofm_ml.train import checkpoints, deepbeam, protobeam
from radiofm_ml.train.beam_augment import BeamAugmentation, VirtualFrontEnd
from radiofm_ml.train.deepbeam import FineTuneConfig, FitConfig
from radiofm_ml.train.protobeam import ProtoConfig

GAINS = ("mixed", "each")
FULL_SHOTS = (2, 4, 8, 16, 32)


@dataclass(frozen=True)
class Setup:
    """A way to train an encoder by prototypes and to compare its embeddings.

    encoder, train   the network and its training (episodes and seed are the plan's)
    normalisation    of ``geometry``, when it is tested
    metric           of ``geometry``
    centre           what 'cl2n' subtracts: 'shots', the mean of what is taught; 'unlabelled', the mean of the
                     target's earlier blocks
    """

    encoder: IQEncoderConfig
    train: ProtoConfig
    normalisation: str
    metric: str = "euclidean"
    centre: str = "unlabelled"


_AUGMENTED = BeamAugmentation(snr_db=(20.0, 45.0), cfo=1e-2)
# The four rows of the published Table I, each of which adds to the one before; then ours.
TABLE = {
    "none": Setup(IQEncoderConfig(normalise="none"), ProtoConfig(), "none"),
    "data norm": Setup(IQEncoderConfig(), ProtoConfig(), "none"),
    "data norm + augm": Setup(IQEncoderConfig(), ProtoConfig(augmentation=_AUGMENTED), "none"),
    "proto norm + data norm + augm": Setup(
        IQEncoderConfig(), ProtoConfig(augmentation=_AUGMENTED, prototypes="cl2n", temperature=30.0), "cl2n",
        centre="shots"),
    "ours": Setup(
        # Without the augmentation: virtual front ends have their noise, levels and gains.
        IQEncoderConfig(level=True), ProtoConfig(prototypes="cl2n", front_ends="virtual",
                                                 virtual=VirtualFrontEnd(share=0.5)), "cl2n",
        "mahalanobis"),
}
# Not in Table I's terms: it sees many front ends of the simulator, though none that is tested.
SIMULATED = "trained over simulated front ends"
SETUPS = {**TABLE, SIMULATED: Setup(
    IQEncoderConfig(level=True), ProtoConfig(prototypes="cl2n", front_ends="given"), "cl2n", "mahalanobis")}
RANDOM, STATISTICS = "random encoder", "autocorrelation and spectrum"
DEEPBEAM, MIXED = "DeepBeam", "DeepBeam, mixed antennas"
TUNED = {"head": "DeepBeam, last layer tuned", "dense": "DeepBeam, dense layers tuned",
         "all": "DeepBeam, all layers tuned"}
CENTRED = Setup(IQEncoderConfig(), ProtoConfig(), "cl2n")  # how what is not trained is compared
SHOWN = (RANDOM, "ours")  # whose embeddings are projected: before and after


@dataclass(frozen=True)
class Plan:
    """What is run.

    shots       taught of each beam; those that the test part does not have are left out
    draws       of shots, for each target and number of shots
    unlabelled  blocks of each gain and beam of the target's first frames, whose mean centres the embeddings
    episodes    of a training; simulated_episodes, of the one over simulated front ends
    simulated   how many of them, and blocks of each gain and beam
    deepbeam    its training, one after the other
    tune        ways to tune it to shots, and for which numbers of shots
    """

    shots: tuple[int, ...] = FULL_SHOTS
    seeds: tuple[int, ...] = (0, 1, 2)
    draws: int = 4
    unlabelled: int = 6
    episodes: int = 400
    simulated_episodes: int = 1200
    simulated: tuple[int, int] = (48, 6)
    # as the simulator was calibrated: bench/calibrate_beams.py
    deepbeam: tuple[FitConfig, ...] = (FitConfig(6, 25, 1e-3), FitConfig(2, 25, 2e-4))
    tune: tuple[tuple[FineTuneConfig, tuple[int, ...]], ...] = (
        (FineTuneConfig("head", 1e-3, 200), FULL_SHOTS), (FineTuneConfig("all", 3e-4, 60), (2,)))

    @classmethod
    def quick(cls) -> Plan:
        return cls((2, 8), (0,), 2, 3, 80, 100, (8, 4), (FitConfig(3, 50, 1e-3),),
                   ((FineTuneConfig("head", 1e-3, 200), FULL_SHOTS),))


@dataclass(frozen=True)
class Job:
    """A training with its tests. source: name of an antenna, '' for what belongs to none."""

    method: str
    source: str
    seed: int

    @property
    def name(self) -> str:
        text = "-".join(str(part) for part in (self.method, self.source, self.seed) if part != "")
        return "".join(c if c.isalnum() else "-" for c in text).replace("---", "-").replace("--", "-")


def jobs_of(antennas: RecordedAntennas | SimulatedAntennas, plan: Plan) -> list[Job]:
    """All jobs, those that show something first."""
    jobs = []
    for seed in plan.seeds:
        for method in (*reversed(TABLE), RANDOM):
            jobs += [Job(method, name, seed) for name in antennas.names]
        jobs.append(Job(STATISTICS, "", seed))
        if isinstance(antennas, SimulatedAntennas):
            jobs.append(Job(SIMULATED, "", seed))
    for seed in plan.seeds:
        jobs += [Job(DEEPBEAM, name, seed) for name in antennas.names] + [Job(MIXED, "", seed)]
    return jobs


# -- a few shots -------------------------------------------------------------------------------------------
def embedder(encoder: torch.nn.Module) -> Callable[[BeamBlocks], np.ndarray]:
    return lambda blocks: protobeam.embed(encoder, blocks)


def domain_mean(embed: Callable[[BeamBlocks], np.ndarray], blocks: BeamBlocks, each: int) -> np.ndarray:
    """Mean embedding (D,) of blocks spread over a sweep, about ``each`` for a gain and beam. Whose beams they
    are is not looked at: they are taken at even distances in the order of capture."""
    settings = len(blocks.labels) * (int(blocks.gain.max()) + 1)
    index = np.linspace(0, len(blocks) - 1, min(len(blocks), each * settings)).astype(int)
    return embed(blocks.take(index)).mean(0, dtype=np.float64)


def split_shots(beam: np.ndarray, shots: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Indices to teach, (beams, shots), and all others. Raises ValueError where a beam has none left."""
    members = [rng.permutation(np.flatnonzero(beam == b)) for b in np.unique(beam)]
    if min(map(len, members)) <= shots:
        raise ValueError(f"a beam has {min(map(len, members))} blocks, too few for {shots} shots and a query")
    return np.stack([m[:shots] for m in members]), np.concatenate([m[shots:] for m in members])


def groups_of(blocks: BeamBlocks, gains: str) -> list[np.ndarray]:
    """Indices among which shots and queries are drawn: all, or those of each gain."""
    if gains == "mixed":
        return [np.arange(len(blocks))]
    return [np.flatnonzero(blocks.gain == g) for g in np.unique(blocks.gain)]


def decide(z: np.ndarray, taught: np.ndarray, asked: np.ndarray, normalisation: str, metric: str,
           mean: np.ndarray | None) -> np.ndarray:
    """Which row of ``taught`` (beams, shots) each of ``asked`` (n,) is nearest to. z: embeddings (N, D).
    mean: what 'cl2n' subtracts; None for the mean of what is taught."""
    if mean is None:
        mean = z[taught.ravel()].mean(0, dtype=np.float64)
    prototypes = [Prototype(str(i), z[row].mean(0, dtype=np.float64).astype(np.float32), len(row), z[row])
                  for i, row in enumerate(taught)]
    return geometry.fit(prototypes, normalisation, mean, metric).distances(z[asked]).argmin(1)


def score(draw: Callable[[np.ndarray, np.ndarray, int], np.ndarray], blocks: BeamBlocks, plan: Plan,
          seed: int, kinds: Sequence[str] = GAINS) -> dict:
    """Accuracy and confusion of ``draw(taught, asked, number of the draw)``, over gains and shots.

    kinds: of GAINS. Returns {gains: {shots: {"accuracy": [of each draw], "confusion": counts}}}.
    """
    found: dict = {}
    for gains in kinds:
        for shots in plan.shots:
            groups = groups_of(blocks, gains)
            if min(np.bincount(blocks.beam[g])[np.unique(blocks.beam[g])].min() for g in groups) <= shots:
                continue
            accuracies, counts = [], 0
            for number in range(plan.draws):
                right = []
                for group in groups:
                    rng = np.random.default_rng([seed, shots, number, GAINS.index(gains), int(group[0])])
                    taught, asked = split_shots(blocks.beam[group], shots, rng)
                    beams = np.unique(blocks.beam[group])
                    decided = beams[draw(group[taught], group[asked], number)]
                    truth = blocks.beam[group[asked]]
                    right.append(float((decided == truth).mean()))
                    counts = counts + confusion_matrix(truth, decided, len(blocks.labels))
                accuracies.append(float(np.mean(right)))
            found.setdefault(gains, {})[str(shots)] = {"accuracy": accuracies, "confusion": counts.tolist()}
    return found


def score_embeddings(embed: Callable, antennas: RecordedAntennas | SimulatedAntennas, names: Sequence[str],
                     how: Setup, plan: Plan, seed: int) -> dict:
    """``score`` of every target by nearest prototypes, {target: found}. how: normalisation, metric and centre
    count."""
    found = {}
    for name in names:
        test = antennas.blocks(name, "test")
        z = embed(test)
        mean = None
        if how.normalisation == "cl2n" and how.centre == "unlabelled":
            mean = domain_mean(embed, antennas.blocks(name, "train"), plan.unlabelled)

        def draw(taught, asked, number, z=z, mean=mean):
            return decide(z, taught, asked, how.normalisation, how.metric, mean)

        found[name] = score(draw, test, plan, seed)
    return found


# -- jobs --------------------------------------------------------------------------------------------------
def train_setup(setup: Setup, folder: Path, blocks: BeamBlocks, episodes: int, seed: int,
                **more: Any) -> protobeam.ProtoNet:
    """Train a setup's encoder; the run is kept in ``folder``."""
    config = replace(setup.train, episodes=episodes, seed=seed)
    return protobeam.train(folder, blocks, setup.encoder, config, **more)


def untrained(config: IQEncoderConfig, blocks: BeamBlocks, seed: int) -> IQEncoder:
    """An encoder with random weights, its features standardised on every eighth of the blocks."""
    torch.manual_seed(seed)
    encoder = IQEncoder(config)
    encoder.fit_features(torch.from_numpy(blocks.floats(slice(None, None, 8))))
    return encoder


def run_job(job: Job, antennas: RecordedAntennas | SimulatedAntennas, plan: Plan, folder: Path) -> dict:
    """Train and test; {method, source, seed, seconds, targets: {target: found}, ...}."""
    started = time.process_time()
    found: dict = {}
    embed = None
    if job.method in SETUPS:
        setup = SETUPS[job.method]
        if job.method == SIMULATED:
            blocks = antennas.numbered(plan.simulated[0] * job.seed, *plan.simulated)
            episodes = plan.simulated_episodes
        else:
            blocks, episodes = antennas.blocks(job.source, "train"), plan.episodes
        net = train_setup(setup, folder / "runs" / job.name, blocks, episodes, job.seed)
        embed = embedder(net.encoder)
        found["targets"] = score_embeddings(embed, antennas, antennas.names, setup, plan, job.seed)
    elif job.method in (RANDOM, STATISTICS):
        blocks = antennas.blocks(job.source or antennas.names[0], "train")
        encoder = untrained(IQEncoderConfig(), blocks, job.seed).eval()
        embed = embedder(encoder) if job.method == RANDOM else _statistics(encoder)
        found["targets"] = score_embeddings(embed, antennas, antennas.names, CENTRED, plan, job.seed)
    else:
        found = _deepbeam(job, antennas, plan, folder)
    if (job.method, job.source, job.seed) in [(m, antennas.names[0], plan.seeds[0]) for m in SHOWN]:
        found["projections"] = {f"antenna {name}": project(embed, antennas.blocks(name, "test"))
                                for name in antennas.names[:2]}
    return {"method": job.method, "source": job.source, "seed": job.seed,
            "seconds": round(time.process_time() - started, 1), **found}


def project(embed: Callable[[BeamBlocks], np.ndarray], blocks: BeamBlocks, each: int = 20) -> dict:
    """Embeddings at the highest gain on their two principal axes: {points, beam, share}."""
    from radiofm_ml.plots.embedding import principal_axes

    top = np.flatnonzero(blocks.gain == blocks.gain.max())
    index = np.concatenate([top[blocks.beam[top] == b][:each] for b in np.unique(blocks.beam)])
    z = embed(blocks.take(index)).astype(np.float64)
    mean, axes, share = principal_axes(z)
    return {"points": ((z - mean) @ axes.T).round(4).tolist(), "beam": blocks.beam[index].tolist(),
            "share": share.tolist()}


def _statistics(encoder: IQEncoder) -> Callable[[BeamBlocks], np.ndarray]:
    """The standardised features themselves, without a network: spectrum in 96 bands and autocorrelation."""
    def embed(blocks: BeamBlocks) -> np.ndarray:
        with torch.inference_mode():
            parts = [(encoder.statistics(torch.from_numpy(blocks.floats(slice(i, i + 256)))) - encoder.offset)
                     / encoder.scale for i in range(0, len(blocks), 256)]
        return torch.cat(parts).numpy()

    return embed


def _deepbeam(job: Job, antennas, plan: Plan, folder: Path) -> dict:
    """Accuracy without a shot on every antenna ('plain'); of one trained on one antenna, also tuned."""
    if job.method == MIXED:
        parts = [antennas.blocks(name, "train") for name in antennas.names]
        shares = deepbeam.mixed_shares(min(map(len, parts)), len(parts), job.seed)
        blocks = join([part.take(share) for part, share in zip(parts, shares, strict=True)])
    else:
        blocks = antennas.blocks(job.source, "train")
    torch.manual_seed(job.seed)
    model = DeepBeam(len(blocks.labels), length=blocks.iq.shape[1])
    for number, config in enumerate(plan.deepbeam):
        deepbeam.fit(model, blocks.iq, blocks.beam, replace(config, seed=job.seed),
                     sources=blocks.front_end if job.method == MIXED else None,
                     folder=folder / "runs" / f"{job.name}-{number}")
    found: dict = {"plain": {}, "targets": {}, "tuned": {}}
    for name in antennas.names:
        test = antennas.blocks(name, "test")
        seen = deepbeam.features(model, test.iq)
        decided = deepbeam.decide(model, seen).argmax(1)
        found["plain"][name] = {
            "accuracy": float((decided == test.beam).mean()),
            "confusion": confusion_matrix(test.beam, decided, len(test.labels)).tolist()}
        for tune, numbers in plan.tune if job.method == DEEPBEAM else ():
            def draw(taught, asked, number, test=test, tune=tune, seen=seen):
                y = np.repeat(np.arange(len(taught)), taught.shape[1])
                shots = test.iq[taught.ravel()]
                tuned = deepbeam.fine_tune(model, shots, y, replace(tune, seed=job.seed)).model
                if tune.layers == "head":  # the others are as they were
                    return deepbeam.decide(tuned, seen[asked]).argmax(1)
                return deepbeam.predict(tuned, test.iq[asked]).argmax(1)

            # One draw, and gains mixed only: a tuning takes as long as a hundred draws of prototypes.
            few = replace(plan, draws=1, shots=tuple(n for n in plan.shots if n in numbers))
            found["tuned"].setdefault(tune.layers, {})[name] = score(draw, test, few, job.seed, GAINS[:1])
    return found


def run(antennas: SimulatedAntennas | RecordedAntennas, plan: Plan, folder: Path, processes: int = 1,
        on_job: Callable[[str, int, int], None] = lambda name, done, total: None) -> list[dict]:
    """All results; see ``run_jobs``."""
    settings = {"plan": asdict(plan), "antennas": antennas.facts()}
    work = partial(run_job, antennas=antennas, plan=plan, folder=folder)
    return run_jobs(jobs_of(antennas, plan), work, settings, folder, processes, on_job)


def run_jobs(jobs: Sequence[Job], work: Callable[[Job], dict], settings: Mapping, folder: Path,
             processes: int = 1,
             on_job: Callable[[str, int, int], None] = lambda name, done, total: None) -> list[dict]:
    """Do ``work`` for all jobs that have no result in ``folder`` yet, and return all results.

    settings: what the results depend on. processes: of one thread each. on_job: called with the name of a job
    that has ended, how many have, of how many. Raises ValueError where the folder holds results of other
    settings.
    """
    (folder / "jobs").mkdir(parents=True, exist_ok=True)
    checkpoints.keep_settings(folder / "plan.json", settings)
    files = [folder / "jobs" / f"{job.name}.json" for job in jobs]
    missing = [(job, file) for job, file in zip(jobs, files, strict=True) if not file.exists()]
    done = len(jobs) - len(missing)
    on_job("", done, len(jobs))
    if processes == 1:
        for job, file in missing:
            _run_and_keep(job, work, file)
            on_job(job.name, done := done + 1, len(jobs))
    elif missing:
        # A new interpreter each: torch's threads do not outlive a fork.
        with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
            waiting = {pool.submit(_run_and_keep, job, work, file): job for job, file in missing}
            try:
                for ended in as_completed(waiting):
                    ended.result()
                    on_job(waiting[ended].name, done := done + 1, len(jobs))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    return [json.loads(file.read_text(encoding="utf-8")) for file in files]


def _run_and_keep(job: Job, work: Callable[[Job], dict], file: Path) -> None:
    torch.set_num_threads(1)
    atomic.write_json(file, work(job), indent=None)
