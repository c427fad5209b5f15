# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Batches from shards: order, groups, augmentation, threads."""

import json

import numpy as np
import pytest
import torch
from radiofm_ml.data.shards import find_shards, groups_path, pack, write_shard
from radiofm_ml.spectrogram import SpectrogramSpec, tiles_from_iq
from radiofm_ml.train.augment import Augmentation, add_noise
from radiofm_ml.train.reader import ShardReader, pair, prefetch

SPEC = SpectrogramSpec(fft_size=32, hop=32, rows=16, tile_rows=16, tile_cols=32)
STEP = (SPEC.clip_db[1] - SPEC.clip_db[0]) / 255  # dB
STILL = Augmentation(mirror=0, frequency_roll=0)
LABELS = ["fm", "lora", "vor"]


def numbered(folder, name="synthetic", n=40, label=True):
    """A shard whose tile k is filled with k, two tiles of each source, labels in turn."""
    tiles = np.tile(np.arange(n, dtype=np.uint8)[:, None, None], (1, 16, 32))
    source = np.arange(n) // 2
    groups = np.stack([source % 3 if label else np.full(n, -1), source], 1).astype(np.int64)
    folder.mkdir(exist_ok=True)
    (folder / "spec.json").write_text(json.dumps({"spec": SPEC.to_dict(), "labels": LABELS}))
    path = folder / f"{name}-00000.npy"
    write_shard(path, tiles, groups)
    return path


def seen(reader, steps):
    return np.concatenate([reader.batch(i).tiles[:, 0, 0] for i in steps])


def test_epoch_has_every_tile_once(tmp_path):
    reader = ShardReader([numbered(tmp_path)], SPEC, 8, seed=0, augmentation=STILL)
    assert len(reader) == 5
    for epoch in range(2):
        assert sorted(seen(reader, range(5 * epoch, 5 * epoch + 5))) == list(range(40))
    assert not np.array_equal(seen(reader, range(5)), seen(reader, range(5, 10)))


def test_batch_is_a_function_of_the_step(tmp_path):
    paths = [numbered(tmp_path)]
    a, b = (ShardReader(paths, SPEC, 8, seed=0, augmentation=Augmentation(noise_db=3)) for _ in range(2))
    a.batch(0)
    np.testing.assert_array_equal(a.batch(13).tiles, b.batch(13).tiles)


@pytest.mark.parametrize("grouping", [None, "label"])
def test_parts_of_the_processes_make_the_batch(tmp_path, grouping):
    reader = ShardReader([numbered(tmp_path)], SPEC, 8, seed=0, grouping=grouping)
    parts = [reader.batch(7, rank, 2) for rank in range(2)]
    for field in ("tiles", "labels", "groups"):
        whole = getattr(reader.batch(7), field)
        np.testing.assert_array_equal(np.concatenate([getattr(p, field) for p in parts]), whole)


@pytest.mark.parametrize("grouping", ["label", "source"])
def test_tiles_of_a_group_come_two_by_two(tmp_path, grouping):
    reader = ShardReader([numbered(tmp_path)], SPEC, 8, seed=0, augmentation=STILL, grouping=grouping)
    assert sorted(seen(reader, range(5))) == list(range(40))
    together = 0
    for step in range(5):
        batch = reader.batch(step)
        number = batch.tiles[:, 0, 0] // 2  # the source
        np.testing.assert_array_equal(batch.labels, number % 3)
        same = number % 3 if grouping == "label" else number
        together += (same[::2] == same[1::2]).sum()
        equal_groups = batch.groups[:, None] == batch.groups
        np.testing.assert_array_equal(equal_groups, same[:, None] == same)
    assert together >= 19, "of 20 pairs; labels with an odd number of tiles leave one over"


def test_unlabelled_tiles_are_grouped_by_recording(tmp_path):
    paths = [numbered(tmp_path), numbered(tmp_path, "recordings", 20, label=False)]
    reader = ShardReader(paths, SPEC, 60, seed=0, augmentation=STILL, grouping="label")
    batch = reader.batch(0)
    recorded = batch.labels < 0
    assert recorded.sum() == 20 and len(set(batch.groups[recorded])) == 10
    assert not set(batch.groups[recorded]) & set(batch.groups[~recorded])


def test_pairs_of_odd_and_lone_tiles():
    groups = np.array([0, 0, 0, -1, -1, 1, 1, 2, -1])
    order = pair(np.arange(9), groups, np.random.default_rng(0))
    assert sorted(order) == list(range(9))
    pairs = {tuple(sorted(groups[p])) for p in order[:8].reshape(4, 2)}
    assert {(0, 0), (1, 1)} <= pairs


def test_copies_come_more_often(tmp_path):
    paths = [numbered(tmp_path, n=20), numbered(tmp_path, "recordings", 30, label=False)]
    reader = ShardReader(paths, SPEC, 10, 0, {"recordings": 2}, STILL)
    counts = np.bincount(seen(reader, range(8)))
    assert (counts[:20] == 3).all() and (counts[20:] == 2).all()


def test_label_names_are_shared_between_folders(tmp_path):
    paths = [numbered(tmp_path / "a"), numbered(tmp_path / "b")]
    (tmp_path / "b" / "spec.json").write_text(json.dumps({"labels": ["vor", "wifi", "fm"]}))
    reader = ShardReader(paths, SPEC, 80, seed=0, augmentation=STILL)
    assert reader.label_names == ["fm", "lora", "vor", "wifi"]
    # 14, 14 and 12 tiles of the three labels in either folder
    assert np.bincount(reader.labels).tolist() == [14 + 12, 14, 12 + 14, 14]


def test_groups_that_do_not_fit_are_named(tmp_path):
    path = numbered(tmp_path)
    np.save(groups_path(path), np.zeros((3, 2), np.int64))
    with pytest.raises(ValueError, match=r"synthetic-00000\.groups\.npy: must hold int64 \(40, 2\)"):
        ShardReader([path], SPEC, 8, seed=0)
    groups_path(path).unlink()
    with pytest.raises(ValueError, match="no shard says which tiles belong together"):
        ShardReader([path], SPEC, 8, seed=0, grouping="label")


def test_shards_are_found_with_their_spec(tmp_path):
    path = numbered(tmp_path)
    assert find_shards(tmp_path) == ([path], SPEC)
    with pytest.raises(ValueError, match=r"nothing: no spec\.json"):
        find_shards(tmp_path / "nothing")


def test_augmentations_do_what_they_say():
    rng = np.random.default_rng
    tile = rng(0).integers(80, 120, (16, 32)).astype(np.uint8)
    np.testing.assert_array_equal(STILL(tile, SPEC, rng(0)), tile)
    mirrored = Augmentation(mirror=1, frequency_roll=0)(tile, SPEC, rng(0))
    np.testing.assert_array_equal(mirrored, tile[:, ::-1])
    made = [Augmentation(mirror=0, frequency_roll=0.25)(tile, SPEC, rng(i)) for i in range(60)]
    shifts = {next(s for s in range(-16, 17) if np.array_equal(np.roll(tile, s, 1), m)) for m in made}
    assert min(shifts) == -8 and max(shifts) == 8
    made = [Augmentation(mirror=0, frequency_roll=0, time_roll=0.5)(tile, SPEC, rng(i)) for i in range(60)]
    assert all(any(np.array_equal(np.roll(tile, s, 0), m) for s in range(16)) for m in made)
    made = [Augmentation(mirror=0, frequency_roll=0, gain_db=6)(tile, SPEC, rng(i)) for i in range(60)]
    gains = np.array([np.unique(m.astype(int) - tile) for m in made]).ravel() * STEP
    assert -6.2 < gains.min() < -4 and 4 < gains.max() < 6.2
    made = [Augmentation(mirror=0, frequency_roll=0, erase=0.5)(tile, SPEC, rng(i)) for i in range(60)]
    erased = [(m != tile).all(1).sum() for m in made]
    assert 0 in erased and max(erased) == 8
    assert all(set(m[m != tile]) <= {round(20 / STEP)} for m in made), "0 dB, 20 dB above the lowest"
    with pytest.raises(ValueError, match="erase must lie between 0 and 1"):
        Augmentation(erase=2)


@pytest.mark.parametrize("averaging", [1, 4])
def test_added_noise_lowers_a_signal_and_keeps_the_floor(averaging):
    spec = SpectrogramSpec(
        fft_size=64, hop=64, rows=64, tile_rows=64, tile_cols=64, window="boxcar", averaging=averaging
    )
    generator = torch.Generator().manual_seed(0)
    n = spec.samples_per_tile
    noise = torch.randn(n, dtype=torch.complex64, generator=generator)
    tone = 10 * torch.exp(2j * torch.pi * 10 / 64 * torch.arange(n))
    tile = pack(tiles_from_iq(noise + tone, spec), spec)[0]
    louder = add_noise(tile, 6.0, spec, np.random.default_rng(0)).astype(float)
    others = np.delete(np.arange(64), 42)
    lost = (tile[:, 42].mean() - louder[:, 42].mean()) * STEP
    assert 5.4 < lost < 6.6, "the tone stands lower by the loss of SNR"
    for q in (0.1, 0.3, 0.5, 0.9):  # floor and distribution of the noise are as they were
        assert abs(np.quantile(louder[:, others], q) - np.quantile(tile[:, others], q)) * STEP < 0.8


def test_prefetch_keeps_order_and_passes_errors_on():
    assert list(prefetch(lambda i: i * i, range(20), workers=3)) == [i * i for i in range(20)]

    def fail(i):
        raise OSError(f"disk {i}")

    with pytest.raises(OSError, match="disk 0"):
        next(prefetch(fail, range(3)))
