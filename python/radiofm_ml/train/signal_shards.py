# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Shards of pictures of signals that pre-training reads: of synthetic signals, labelled by their kind, and of
those that the detector finds in recordings, without labels."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from radiofm_ml import atomic
from radiofm_ml.data.shards import SHARD_TILES, pack, write_shard
from radiofm_ml.detect.cutter import Cutter
from radiofm_ml.detect.finder import find
from radiofm_ml.detect.spectra import BLOCK
from radiofm_ml.detect.stream import Box, joined
from radiofm_ml.pictures import Measured, PictureSpec, pictures
from radiofm_ml.signals import measured_in
from radiofm_ml.spectrogram import SpectrogramSpec
from radiofm_ml.synth.cutouts import Heard, hear, kinds
from radiofm_ml.synth.scene import NOISE
from radiofm_ml.synth.signals import all_classes
from radiofm_ml.train.shards import held_out, session_of

FRONT_ENDS = range(1000)  # receivers of training
LOOKS = 2  # pictures of a signal, of different places where it is long enough, else of another box
_LONGEST = 4_000_000  # samples of a recording that are read
_WEAKEST = 0.05  # of the energy of a recording's strongest signal
_MOST_SIGNALS = 6  # of a recording


@dataclass(frozen=True)
class Seen:
    """A signal's pictures float32 (n, rows, cols), its kind ('' if not known), and what was measured."""

    pictures: np.ndarray
    kind: str
    measured: Measured


def see(heard: Heard, spec: PictureSpec, rng: np.random.Generator, looks: int = LOOKS) -> Seen:
    """Pictures of a signal at random places of it; of a short one by boxes that are drawn otherwise."""
    cut = heard.cut
    measured, start, stop = measured_in(cut, heard.sample_rate)
    made = [pictures(cut.samples, cut.rate, measured, spec, start, stop, looks, rng)]
    while sum(map(len, made)) < looks:
        other = replace(measured, centre=measured.centre + rng.normal(0, 0.04) * measured.bandwidth,
                        bandwidth=measured.bandwidth * float(np.exp(rng.normal(0, 0.08))))
        before, behind = (rng.uniform(0, 0.15, 2) * (stop - start)).astype(int)
        made.append(pictures(cut.samples, cut.rate, other, spec, start + before, stop - behind, 1, rng))
    return Seen(np.concatenate(made), heard.kind, measured)


def synthetic(spec: PictureSpec, seed: Sequence[int], front_ends: range = FRONT_ENDS,
              looks: int = LOOKS) -> Iterator[Seen]:
    """Signals of all kinds in turn, and noise, without end; the same for the same seed."""
    rng = np.random.default_rng(seed)
    while True:
        for label in (*all_classes(), NOISE):
            heard = hear(label, rng, front_ends)
            if heard is not None:
                yield see(heard, spec, rng, looks)


def of_recording(samples: np.ndarray, sample_rate: float, spec: PictureSpec, views: int,
                 rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Pictures float32 (n, rows, cols) of each of the strongest signals of a recording, ``views`` of each,
    by boxes that differ a little."""
    found = _strongest(samples, sample_rate)
    if not found:
        return
    cutter = Cutter(sample_rate, history=max(len(samples), BLOCK))
    cutter.feed(samples)
    for box in found:
        for _ in range(views):
            cut = cutter.cut(_jittered(box, sample_rate, len(samples), rng))
            yield see(Heard("", cut, sample_rate), spec, rng, 1).pictures


def _strongest(samples: np.ndarray, sample_rate: float) -> list[Box]:
    """The signals with most energy, each whole."""
    parts = (replace(box, sample_count=min(box.sample_count, len(samples) - box.sample_start))
             for box in find([samples], sample_rate))
    signals = joined(part for part in parts if part.sample_count > 0)
    found = sorted(signals, key=lambda box: box.energy, reverse=True)[:_MOST_SIGNALS]
    return [box for box in found if box.energy > _WEAKEST * found[0].energy]


def _jittered(box: Box, sample_rate: float, count: int, rng: np.random.Generator) -> Box:
    width, length = box.freq_upper - box.freq_lower, box.sample_count
    lower = max(box.freq_lower + rng.normal(0, 0.06) * width, -sample_rate / 2)
    upper = min(box.freq_upper + rng.normal(0, 0.06) * width, sample_rate / 2)
    start, stop = box.sample_start + rng.normal(0, 0.03, 2) * length + [0, length]
    if rng.random() < 0.4:  # a part of it
        part = np.exp(rng.uniform(np.log(0.15), 0)) * length
        start = box.sample_start + rng.uniform(0, length - part)
        stop = start + part
    start, stop = max(int(start), 0), min(int(stop), count)
    start = min(start, max(stop - 32, 0))
    return replace(box, sample_start=start, sample_count=max(stop - start, 1), freq_lower=lower,
                   freq_upper=upper)


def prepare_pictures(folder: Path, tiles: SpectrogramSpec, picture: PictureSpec, count: int, seed: int,
                     recordings: Path | None = None, views: int = 8,
                     track: Callable = lambda items, label: items) -> list[Path]:
    """Make what is missing of ``count`` pictures of synthetic signals, and of ``recordings``; the shards.

    tiles: whose values (``clip_db``, ``mean``, ``std``) pictures have in a shard. Sessions that ``held_out``
    names are left out. Raises ValueError if the folder was made with other settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names, note = kinds(), folder / "spec.json"
    made_with = {"spec": tiles.to_dict(), "picture": picture.to_dict(), "seed": seed, "views": views,
                 "labels": names}
    if note.exists() and json.loads(note.read_text()) != json.loads(json.dumps(made_with)):
        raise ValueError(f"{note}: these shards were made with other settings; choose another folder")
    atomic.write_json(note, made_with)
    paths = [folder / f"signals-{i:05d}.npy" for i in range(-(-count // SHARD_TILES))]
    for i in track([i for i, path in enumerate(paths) if not path.exists()], "synthesising"):
        least = min(SHARD_TILES, count - i * SHARD_TILES)
        write_shard(paths[i], *_synthetic_shard(i, least, tiles, picture, seed, names))
    if recordings is not None:
        done = folder / "recordings.json"  # written last: the shards are complete
        if not done.exists():
            shards = _recordings_shards(folder, recordings, tiles, picture, views, seed, track)
            atomic.write_json(done, {"shards": shards, "folder": str(recordings)}, indent=None)
        paths += [folder / f"recordings-{i:05d}.npy"
                  for i in range(json.loads(done.read_text(encoding="utf-8"))["shards"])]
    return paths


def _synthetic_shard(index: int, least: int, tiles, picture, seed: int,
                     names: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """``least`` pictures or a few more, whole signals."""
    made, groups, total = [], [], 0
    for number, seen in enumerate(synthetic(picture, [seed, index])):
        made.append(pack(torch.from_numpy(seen.pictures), tiles))
        group = names.index(seen.kind), index * SHARD_TILES + number
        groups.append(np.tile(np.int64(group), (len(seen.pictures), 1)))
        total += len(seen.pictures)
        if total >= least:
            break
    return np.concatenate(made), np.concatenate(groups)


def _recordings_shards(out: Path, folder: Path, tiles, picture, views: int, seed: int, track) -> int:
    """Write shards; their number. A source is a recording."""
    from radiofm_ml.sigmf.recording import find_recordings, open_recording

    made, groups = [], []
    for number, path in enumerate(track(find_recordings(folder), "recordings")):
        recording = open_recording(path)
        if recording.sample_rate is None or held_out(session_of(recording) or str(path.relative_to(folder))):
            continue
        samples = recording.read(0, min(recording.n_samples, _LONGEST))
        rng = np.random.default_rng([seed, number])
        for shown in of_recording(samples, recording.sample_rate, picture, views, rng):
            made.append(pack(torch.from_numpy(shown), tiles))
            groups.append(np.tile(np.int64((-1, number)), (len(shown), 1)))
    if not made:
        raise ValueError(f"{folder}: no signal is found in any recording that is left for pre-training")
    pictures_, owners = np.concatenate(made), np.concatenate(groups)
    order = np.random.default_rng(seed).permutation(len(pictures_))
    for shard, part in enumerate(np.array_split(order, -(-len(order) // SHARD_TILES))):
        write_shard(out / f"recordings-{shard:05d}.npy", pictures_[part], owners[part])
    return -(-len(order) // SHARD_TILES)
