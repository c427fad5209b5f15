# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Algorithm 1, its episodes and its loop; on noise through a filter for each beam."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from radiofm_ml.data.beam_blocks import BeamBlocks, join
from radiofm_ml.models.iq_encoder import IQEncoderConfig
from radiofm_ml.train import protobeam
from radiofm_ml.train.beam_augment import (
    BeamAugmentation,
    Receiver,
    VirtualFrontEnd,
    augment,
    virtual_front_end,
)
from radiofm_ml.train.protobeam import Episodes, ProtoConfig, ProtoNet, embed, load_run, train

BEAMS, LENGTH = 5, 128
ENCODER = IQEncoderConfig(filters=8, taps=8, lags=4, hidden=24, depth=1, embedding_size=8)
CONFIG = ProtoConfig(episodes=12, ways=4, shots=2, queries=3, warmup=3)


def antenna(seed: int, count: int = 12, front_end: int = 0) -> BeamBlocks:
    """``count`` blocks of each beam: white noise through three taps of that beam and antenna."""
    taps = np.random.default_rng([seed, 1]).normal(size=(BEAMS, 3, 2)) @ [1, 1j]
    rng = np.random.default_rng([seed, 2])
    beam = np.repeat(np.arange(BEAMS), count)
    white = rng.normal(size=(len(beam), LENGTH + 2, 2)) @ [1, 1j]
    iq = sum(taps[beam, k, None] * white[:, k:k + LENGTH] for k in range(3)).astype(np.complex64)
    return BeamBlocks(iq, beam, np.arange(len(beam)) % 3, np.full(len(beam), front_end),
                      tuple(f"beam {b}" for b in range(BEAMS)))


# -- the loss ----------------------------------------------------------------------------------------------
def test_loss_by_hand():
    queries = torch.tensor([[[0.0, 0.0]], [[3.0, 0.0]]])  # two beams, one query each
    prototypes = torch.tensor([[1.0, 0.0], [2.0, 0.0]])
    first = 1 + math.log(math.exp(-1) + math.exp(-4))
    second = 1 + math.log(math.exp(-4) + math.exp(-1))
    assert protobeam.loss(queries, prototypes).item() == pytest.approx((first + second) / 2, abs=1e-6)


def test_loss_is_cross_entropy_of_softmax_of_minus_squared_distances():
    generator = torch.Generator().manual_seed(3)
    queries = torch.randn(4, 3, 6, generator=generator, requires_grad=True)
    prototypes = torch.randn(4, 6, generator=generator, requires_grad=True)
    found = protobeam.loss(queries, prototypes)
    distances = torch.cdist(queries.flatten(0, 1), prototypes).square()
    expected = torch.nn.functional.cross_entropy(-distances, torch.arange(4).repeat_interleave(3))
    torch.testing.assert_close(found, expected)
    for one, other in zip(torch.autograd.grad(found, (queries, prototypes)),
                          torch.autograd.grad(expected, (queries, prototypes)), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


class Fixed(torch.nn.Module):
    """Stands for an encoder: the first two numbers of a block."""

    def forward(self, x):
        return x.flatten(1)[:, :2]


@pytest.mark.parametrize("how", ["none", "l2", "cl2n"])
def test_network_compares_queries_with_the_mean_of_the_support(how):
    x = torch.randn(3, 4, 1, 2, generator=torch.Generator().manual_seed(5)) + 2.0  # 3 beams, 2 shots
    net = ProtoNet(Fixed(), how)
    z = x.flatten(0, 1).flatten(1)[:, :2].view(3, 4, 2)
    if how == "cl2n":
        z = z - z.mean((0, 1))
    prototypes, queries = z[:, :2].mean(1), z[:, 2:]
    factor = 1.0
    if how != "none":
        prototypes = prototypes / prototypes.norm(dim=1, keepdim=True)
        queries = queries / queries.norm(dim=2, keepdim=True)
        factor = net.log_temperature.exp().item()
        assert factor == pytest.approx(10)
    distances = factor * (queries.reshape(6, 1, 2) - prototypes).square().sum(2)
    truth = torch.arange(3).repeat_interleave(2)
    value, accuracy = net(x, 2)
    torch.testing.assert_close(value, torch.nn.functional.cross_entropy(-distances, truth))
    assert accuracy.item() == pytest.approx((distances.argmin(1) == truth).float().mean().item())


# -- episodes ----------------------------------------------------------------------------------------------
def test_episodes_are_disjoint_and_of_the_beams_that_they_name():
    blocks = antenna(0)
    episodes = Episodes(blocks.beam, blocks.front_end, 3, 2, 4, seed=1)
    seen = set()
    for step in range(30):
        episode = episodes.draw(step)
        assert episode.support.shape == (3, 2) and episode.query.shape == (3, 4)
        used = np.concatenate([episode.support.ravel(), episode.query.ravel()])
        assert len(np.unique(used)) == len(used)
        assert len(np.unique(episode.beams)) == 3
        for row, beam in enumerate(episode.beams):
            assert (blocks.beam[episode.support[row]] == beam).all()
            assert (blocks.beam[episode.query[row]] == beam).all()
        seen.update(episode.beams.tolist())
    assert seen == set(range(BEAMS))


def test_an_episode_follows_from_seed_and_step_alone():
    blocks = antenna(0)
    one, other = (Episodes(blocks.beam, blocks.front_end, 3, 2, 4, seed=1) for _ in range(2))
    for step in range(5):
        one.draw(step)
    np.testing.assert_array_equal(one.draw(7).support, other.draw(7).support)
    third = Episodes(blocks.beam, blocks.front_end, 3, 2, 4, seed=2)
    assert not np.array_equal(third.draw(7).support, other.draw(7).support)
    assert not np.array_equal(other.draw(8).support, other.draw(7).support)


def test_all_blocks_of_an_episode_come_from_one_front_end():
    blocks = join([antenna(0), antenna(1), antenna(2)])
    assert sorted(set(blocks.front_end)) == [0, 1, 2]
    episodes = Episodes(blocks.beam, blocks.front_end, 4, 2, 2)
    drawn = [episodes.draw(step) for step in range(20)]
    for episode in drawn:
        index = np.concatenate([episode.support.ravel(), episode.query.ravel()])
        assert set(blocks.front_end[index]) == {episode.front_end}
    assert {e.front_end for e in drawn} == {0, 1, 2}


def test_too_few_blocks_are_refused_with_the_numbers():
    blocks = antenna(0, count=4)
    with pytest.raises(ValueError, match="0 beams of 5 blocks"):
        Episodes(blocks.beam, blocks.front_end, 3, 2, 3)


# -- augmentation ------------------------------------------------------------------------------------------
def test_augmentation_keeps_what_it_is_told_and_is_reproducible():
    x = torch.from_numpy(antenna(0).iq)
    quiet = BeamAugmentation(phase=False, shift=False, snr_db=(200, 200), gain_db=0, cfo=0)
    torch.testing.assert_close(augment(x, quiet, np.random.default_rng(1)), x)
    one, other = (augment(x, BeamAugmentation(), np.random.default_rng(1)) for _ in range(2))
    torch.testing.assert_close(one, other, atol=0, rtol=0)
    turned = augment(x, replace(quiet, phase=True), np.random.default_rng(1))
    ratio = turned / x
    torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio), atol=1e-4, rtol=1e-4)
    assert (ratio[:, 0].angle().std() > 0.5) and torch.allclose(ratio.abs(), torch.ones(()), atol=1e-4)
    moved = augment(x, replace(quiet, shift=True), np.random.default_rng(1))
    torch.testing.assert_close(moved.abs().sort(1).values, x.abs().sort(1).values)
    assert not torch.allclose(moved, x)


def test_noise_is_added_at_the_ratio_that_is_said():
    x = torch.ones(200, 256, dtype=torch.complex64) * 3
    noisy = BeamAugmentation(phase=False, shift=False, snr_db=(10, 10), gain_db=0, cfo=0)
    added = augment(x, noisy, np.random.default_rng(0)) - x
    assert added.abs().square().mean().item() == pytest.approx(0.9, rel=0.02)


CLEAN = Receiver(torch.ones(1), torch.zeros(1))


def test_a_virtual_front_end_is_one_filter_for_each_beam():
    x = torch.from_numpy(antenna(0).iq)
    way = torch.from_numpy(antenna(0).beam)
    config = VirtualFrontEnd(imbalance=0.0)
    y = virtual_front_end(x, way, config, CLEAN, np.random.default_rng(4))
    response = torch.fft.fft(y) / torch.fft.fft(x)
    for beam in range(BEAMS):
        of_beam = response[way == beam]
        torch.testing.assert_close(of_beam, of_beam[:1].expand_as(of_beam), atol=2e-2, rtol=2e-2)
    first = response[[int(np.flatnonzero(way == b)[0]) for b in range(BEAMS)]]
    gaps = torch.pdist(torch.view_as_real(first).flatten(1))
    assert gaps.min() > 0.5
    other = virtual_front_end(x, way, config, CLEAN, np.random.default_rng(5))
    assert not torch.allclose(other, y)


def test_receiver_is_measured_and_virtual_blocks_have_its_gains_and_noise():
    rng = np.random.default_rng(0)
    count, length = 40, 512
    scale, floor = np.array([0.1, 1.0]), np.array([0.004, 0.01])
    shape = np.fft.ifftshift(np.hanning(length)) * (np.abs(np.fft.fftfreq(length)) < 0.3)  # room for a floor

    def draw(beam, gain):
        white = rng.normal(size=(count, length, 2)) @ [1, 1j]
        signal = np.fft.ifft(np.fft.fft(white) * shape) * (1 + beam)
        noise = rng.normal(size=(count, length, 2)) @ [1, 1j] * np.sqrt(floor[gain] / 2)
        return (signal * scale[gain] + noise).astype(np.complex64)

    iq = np.concatenate([draw(b, g) for b in range(2) for g in range(2)])
    blocks = BeamBlocks(iq, np.repeat([0, 0, 1, 1], count), np.repeat([0, 1, 0, 1], count),
                        np.zeros(4 * count, int), ("0", "1"))
    receiver = Receiver.measure(blocks)
    np.testing.assert_allclose(receiver.scale, scale, rtol=0.03)
    np.testing.assert_allclose(receiver.floor, floor, rtol=0.1)

    top = blocks.take(blocks.gain == 1)
    config = VirtualFrontEnd(strength=(1e-6, 1e-6), loss_db=0, level_db=0, receiver=0, imbalance=0)
    y = virtual_front_end(torch.from_numpy(top.iq), torch.from_numpy(top.beam), config, receiver,
                          np.random.default_rng(0))
    found = y[torch.from_numpy(top.beam) == 0].abs().square().mean(1).sort().values
    real = [(np.abs(blocks.iq[(blocks.beam == 0) & (blocks.gain == g)]) ** 2).mean() for g in range(2)]
    assert found[:10].mean() == pytest.approx(real[0], rel=0.1)  # some blocks at either gain
    assert found[-10:].mean() == pytest.approx(real[1], rel=0.15)


# -- the loop ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("change", [
    {}, {"augmentation": BeamAugmentation()}, {"prototypes": "l2"}, {"prototypes": "cl2n"},
    {"front_ends": "virtual", "virtual": VirtualFrontEnd(strength=(1.0, 1.0))}, {"front_ends": "given"},
])
def test_training_lowers_the_loss_with_each_switch(change, tmp_path):
    blocks = join([antenna(0), antenna(1)]) if change.get("front_ends") == "given" else antenna(0, 18)
    config = replace(CONFIG, episodes=40, rate=8e-3, **change)
    net = train(tmp_path, blocks, ENCODER, config)
    losses = [json.loads(line)["loss"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert len(losses) == 40
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:5])
    again, record = load_run(tmp_path)
    np.testing.assert_array_equal(embed(again.encoder, blocks), embed(net.encoder, blocks))
    assert record["config"]["front_ends"] == config.front_ends


def test_switches_change_what_the_network_sees_and_nothing_else():
    blocks = antenna(0)
    episode = Episodes(blocks.beam, blocks.front_end, 4, 2, 3).draw(0)
    plain = protobeam.blocks_of(episode, blocks, CONFIG, 0)
    expected = blocks.floats(np.concatenate([episode.support, episode.query], 1).ravel())
    np.testing.assert_array_equal(plain.flatten(0, 1).numpy(), expected)
    virtual = replace(CONFIG, front_ends="virtual", virtual=VirtualFrontEnd())
    for changed, receiver in ((replace(CONFIG, augmentation=BeamAugmentation()), None), (virtual, CLEAN)):
        first, again, next_step = (protobeam.blocks_of(episode, blocks, changed, step, receiver)
                                   for step in (0, 0, 1))
        torch.testing.assert_close(first, again, atol=0, rtol=0)
        assert not torch.allclose(first, plain) and not torch.allclose(first, next_step)


def test_virtual_front_ends_have_their_share_of_the_episodes_and_the_blocks_of_the_highest_gain():
    blocks = antenna(0, 18)
    config = replace(CONFIG, front_ends="virtual", virtual=VirtualFrontEnd(share=0.5))
    reader = protobeam.EpisodeReader(blocks, config)
    known = {row.tobytes() for row in blocks.floats()}
    recorded = [all(row.numpy().tobytes() in known for row in reader.read(step).flatten(0, 1))
                for step in range(60)]
    assert 18 <= sum(recorded) <= 42
    top = Episodes(blocks.beam, blocks.front_end, 4, 2, 3, allowed=blocks.gain == 2)
    assert all((blocks.gain[top.draw(step).query] == 2).all() for step in range(10))


def test_a_stopped_run_goes_on_with_the_same_losses(tmp_path):
    config = replace(CONFIG, prototypes="l2", augmentation=BeamAugmentation())
    blocks = antenna(0)
    train(tmp_path / "whole", blocks, ENCODER, config)
    train(tmp_path / "parts", blocks, ENCODER, config, stop_after=5)
    train(tmp_path / "parts", blocks, ENCODER, config)

    def losses(name):
        lines = (tmp_path / name / "log.jsonl").read_text().splitlines()
        return [(json.loads(v)["step"], json.loads(v)["loss"]) for v in lines]

    assert losses("whole") == losses("parts") and len(losses("whole")) == 12
    with pytest.raises(ValueError, match="other settings"):
        train(tmp_path / "parts", blocks, ENCODER, replace(config, rate=1.0))


def test_a_folder_without_a_run(tmp_path):
    with pytest.raises(ValueError, match="run.json is missing"):
        load_run(tmp_path)
    train(tmp_path / "run", antenna(0), ENCODER, replace(CONFIG, episodes=1))
    (tmp_path / "run" / "checkpoint.safetensors").write_bytes(b"none")
    with pytest.raises(ValueError, match="not a run"):
        load_run(tmp_path / "run")


@pytest.mark.parametrize("change, words", [
    ({"prototypes": "cosine"}, "prototypes must be one of"), ({"ways": 1}, "ways must be at least 2"),
    ({"front_ends": "virtual"}, "go together"), ({"shots": 0}, "shots must be at least 1"),
])
def test_bad_configurations(change, words):
    with pytest.raises(ValueError, match=words):
        replace(CONFIG, **change)
