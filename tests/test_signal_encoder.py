# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Encoders of signals: what they are trained on, the bundle that comes of it, and embeddings of cut-outs."""

import json
from itertools import islice

import numpy as np
import pytest
from radiofm_ml import bundle as bundles
from radiofm_ml.cli.app import app
from radiofm_ml.data.shards import hold_pictures, read_groups, shard_labels
from radiofm_ml.detect.cutter import Cutter
from radiofm_ml.detect.stream import Box
from radiofm_ml.engines import open_engine
from radiofm_ml.evaluate.signals import Items, play
from radiofm_ml.fewshot import FewShot
from radiofm_ml.models.vit import ViTConfig
from radiofm_ml.pictures import PictureSpec
from radiofm_ml.signals import Evidence, SignalEncoder
from radiofm_ml.spectrogram import SpectrogramSpec
from radiofm_ml.synth.cutouts import hear, kind_of, kinds
from radiofm_ml.synth.signals import all_classes
from radiofm_ml.train import signal_shards
from radiofm_ml.train.pretrain import PretrainConfig, pretrain
from radiofm_ml.train.reader import ShardReader
from radiofm_ml.train.signal_export import calibrate_signals, export_signals, source
from radiofm_ml.train.signal_shards import prepare_pictures, synthetic
from sigmf_files import change, write_recording
from tiny_bundle import make_bundle
from typer.testing import CliRunner

PICTURE = PictureSpec(rows=16, cols=32)
TILES = SpectrogramSpec(fft_size=64, hop=32, rows=32, tile_rows=32, tile_cols=64)
VIT = ViTConfig(tile_rows=32, tile_cols=64, patch_rows=8, patch_cols=16, dim=16, depth=1, heads=2)


@pytest.mark.parametrize("label", sorted(all_classes()))
def test_every_kind_is_heard_and_cut_out(label):
    rng = np.random.default_rng(5)
    heard = next(h for h in (hear(label, rng, range(3)) for _ in range(20)) if h is not None)
    assert heard.kind in kinds()
    assert len(heard.cut.samples) >= 8 and np.isfinite(heard.cut.samples).all()
    assert heard.cut.rate <= heard.sample_rate


def test_forms_that_are_kinds_of_their_own():
    assert kind_of("wifi", "ofdm") != kind_of("wifi", "dsss")
    assert kind_of("on-off-keying", "oregon-v2") == kind_of("remote-keyless-entry", "keeloq") == "ook"
    assert kind_of("lora", "sf7") == kind_of("lora", "sf12")


def test_synthetic_pictures_follow_from_their_seed():
    one, other = (list(islice(synthetic(PICTURE, [1, 2]), 5)) for _ in range(2))
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a.pictures, b.pictures)
        assert a.kind == b.kind and a.pictures.shape == (2, *PICTURE.shape)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(signal_shards, "SHARD_TILES", 128)
        folder = tmp_path_factory.mktemp("shards")
        yield prepare_pictures(folder, TILES, PICTURE, 256, 3)


@pytest.fixture(scope="module")
def trained(shards, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    reader = ShardReader(shards, TILES, 16, 3, grouping="label")
    config = PretrainConfig(steps=4, batch_size=16, warmup=1, decoder_dim=16, decoder_depth=1, contrast=1.0,
                            seed=3)
    pretrain(folder, VIT, TILES, config, reader)
    return export_signals(folder, folder / "bundle", "tiny", shards, "card", PICTURE, projection=8, each=3,
                          episodes=2)


def test_shards_say_what_they_hold_and_are_not_made_twice(shards):
    assert hold_pictures(shards) and len(shards) == 2
    groups = read_groups(shards[0], len(np.load(shards[0], mmap_mode="r")))
    assert shard_labels(shards[0]) == kinds()
    assert len(np.unique(groups[:, 0])) > 20, "kinds come in turn"
    before = [path.stat().st_mtime_ns for path in shards]
    assert prepare_pictures(shards[0].parent, TILES, PICTURE, 256, 3) == shards
    assert [path.stat().st_mtime_ns for path in shards] == before
    with pytest.raises(ValueError, match="other settings"):
        prepare_pictures(shards[0].parent, TILES, PICTURE, 256, 4)


def test_pictures_of_recordings_leave_held_out_sessions_alone(tmp_path):
    rng = np.random.default_rng(0)
    burst = np.exp(2j * np.pi * 0.1 * np.arange(40_000)) * 3 * (np.arange(40_000) // 4000 % 2)
    samples = burst + (rng.standard_normal(40_000) + 1j * rng.standard_normal(40_000)) / np.sqrt(2)
    (tmp_path / "in").mkdir()
    for session in "abcdef":
        made = write_recording(tmp_path / "in" / session, samples.astype(np.complex64), sample_rate=1e6)
        change(made, **{"test:session": session})
    paths = prepare_pictures(tmp_path / "out", TILES, PICTURE, 1, 3, tmp_path / "in", views=2)
    owners = {int(o) for path in paths if path.name.startswith("recordings")
              for o in read_groups(path, len(np.load(path)))[:, 1]}
    wanted = {number for number, session in enumerate("abcdef") if not signal_shards.held_out(session)}
    assert owners == wanted and len(wanted) < 6


def test_a_run_becomes_a_bundle_that_reads_signals_alone(trained):
    assert trained.reads == bundles.SIGNALS and trained.spec is None and trained.picture == PICTURE
    assert trained.signals.size == 8 + 4
    with pytest.raises(bundles.BundleError, match="reads pictures of signals"):
        bundles.load(trained, bundles.TILES)
    few = FewShot.for_bundle(trained, signals=True)
    assert trained.signals_id == f"{trained.id}/signals"  # what docs/signals.md says
    assert few.normalisation == "none" and few.prototypes.model == trained.signals_id


def test_embeddings_of_the_source_are_centred_and_the_calibration_can_be_made_anew(trained):
    made = calibrate_signals(trained, 3, episodes=2)
    assert made["signals"].keys() == trained.signals_calibration.keys()
    numbers = source(PICTURE, 3).numbers
    weight = trained.signals.weight[8:, 8:]
    np.testing.assert_allclose(weight @ numbers.mean(0) + trained.signals.bias[8:], 0, atol=1e-5)


def cut_out(count=20_000, width=1e5):
    rng = np.random.default_rng(1)
    cutter = Cutter(1e6, history=1 << 16)
    cutter.feed((rng.standard_normal(40_000) + 1j * rng.standard_normal(40_000)).astype(np.complex64))
    return cutter.cut(Box(0, 0, True, 1000, count, -width / 2, width / 2, 10.0))


def test_evidence_of_parts_adds_up():
    a = Evidence(np.float32([1, 0]), 1, 1e3, 1.0, 0.5, 1.0)
    b = Evidence(np.float32([0, 1]), 3, 1e5, 2.0, 0.9, 16.0)
    both = a + b
    np.testing.assert_allclose(both.mean, [0.25, 0.75])
    assert both.looks == 4 and both.duration == 3.0
    assert both.bandwidth == pytest.approx(10 ** (3 * 0.25 + 5 * 0.75)) and both.duty == pytest.approx(0.8)
    assert both.kurtosis == pytest.approx(8.0)


def test_signals_together_are_embedded_as_one_by_one(tmp_path):
    encoder = SignalEncoder(open_engine(make_bundle(tmp_path / "b", signals=8)))
    looks = [encoder.look(cut_out(count), 1e6) for count in (200, 5000, 20_000)]
    together = encoder.evidence(looks)
    for look, evidence in zip(looks, together, strict=True):
        (alone,) = encoder.evidence([look])
        np.testing.assert_allclose(encoder.embedding(evidence), encoder.embedding(alone), atol=1e-4)
        assert evidence.duration == pytest.approx(look.measured.duration)
    assert [e.duration for e in together] == pytest.approx([200e-6, 5e-3, 20e-3], rel=0.02)
    assert encoder.embedding(together[0]).shape == (8,)
    assert encoder.evidence([]) == []


def test_a_bundle_of_tiles_reads_no_signals(tmp_path):
    with pytest.raises(bundles.BundleError, match="reads no pictures of signals"):
        SignalEncoder(open_engine(make_bundle(tmp_path / "b")))


@pytest.mark.parametrize(("change", "words"), [
    ({"signals": {}}, "picture"), ({"signals": {"picture": {"rows": 16, "cols": 32}, "x": 1}}, "no other"),
    ({"signals": {"picture": {"rows": 8, "cols": 32}}}, "one network reads both"), ({"signals": []}, "dict")])
def test_a_damaged_config_is_refused(tmp_path, change, words):
    made = make_bundle(tmp_path / "b", signals=8)
    config = made.path / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | change))
    with pytest.raises(bundles.BundleError, match=words):
        bundles.load(made.path)


def test_evaluation_by_signals_on_features_that_tell_all_and_nothing():
    labels = np.repeat(["a", "b", "c", "d"], 12)
    sessions = np.array([f"{label}{i % 4}" for i, label in enumerate(labels)])
    items = Items(labels, sessions, np.arange(48), sessions)
    perfect = np.eye(4)[np.unique(labels, return_inverse=True)[1]]
    assert play(perfect, items, 2, 0, 10) == (1.0, 1.0)
    halved = play(perfect, items, 2, 0, 10, found={"a": 0.5, "b": 1.0, "c": 1.0, "d": 0.5})
    assert halved == (pytest.approx(0.75), 1.0), "where nothing is found, nothing is right"
    accuracy, area = play(np.random.default_rng(0).standard_normal((48, 4)), items, 2, 0, 60)
    assert abs(accuracy - 0.25) < 0.1 and abs(area - 0.5) < 0.15


def test_the_command_makes_shards(tmp_path, monkeypatch):
    monkeypatch.setattr(signal_shards, "SHARD_TILES", 32)
    result = CliRunner().invoke(app, ["synth", "pictures", str(tmp_path / "out"), "--count", "32"])
    assert result.exit_code == 0, result.output
    assert len(list((tmp_path / "out").glob("signals-?????.npy"))) == 1
