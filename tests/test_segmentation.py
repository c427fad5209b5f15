# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Pictures of labels: boxes in samples and hertz, the published layout, masks of annotations, the decoder."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from radiofm_ml import heads
from radiofm_ml.evaluate.finetuning import evaluate
from radiofm_ml.heads.boxes import box_band, box_samples, find_boxes, paint, tile_slices
from radiofm_ml.heads.metrics import IGNORED, pixel_confusion, pixel_metrics
from radiofm_ml.heads.running import TILE, open_head
from radiofm_ml.models.segmentation import build_decoder
from radiofm_ml.models.vit import ViTConfig
from radiofm_ml.spectrogram import SpectrogramSpec, rows_from_iq, tiles_from_iq
from radiofm_ml.synth.lte_nr import write_frames
from radiofm_ml.tasks import TaskData, TaskError, load_task
from radiofm_ml.tasks.segmentation import (
    LTE_NR,
    HalfPrecision,
    load,
    load_frames,
    load_occupancy,
    nearest,
    picture_tiles,
)
from radiofm_ml.train.frozen import Frozen
from radiofm_ml.train.tuning import TuneConfig, predict, tune
from scipy.io import savemat
from sigmf_files import write_recording
from tiny_bundle import SPEC, make_bundle

AVERAGED = SpectrogramSpec(fft_size=64, hop=48, averaging=3, rows=32, tile_rows=32, tile_cols=64)
RESIZED = SpectrogramSpec(fft_size=128, hop=64, rows=80, tile_rows=32, tile_cols=64, resize="bicubic")


# -- boxes ----------------------------------------------------------------------------------------------
def test_samples_of_rows():
    """Row r averages STFT rows r*averaging ...; each uses fft_size samples from its hop on."""
    assert box_samples(0, 1, SPEC) == (0, 64)
    assert box_samples(3, 7, SPEC) == (96, 3 * 32 + 64)
    assert box_samples(0, 32, SPEC) == (0, SPEC.samples_per_tile)
    assert box_samples(2, 3, AVERAGED) == (2 * 3 * 48, 2 * 48 + 64)
    assert box_samples(0, 32, AVERAGED) == (0, AVERAGED.samples_per_tile)
    assert box_samples(1, 2, RESIZED) == (2 * 64, 2 * 64 + 128)  # rows 2.5 to 5 of 80: 2, 3, 4
    assert box_samples(0, 32, RESIZED) == (0, RESIZED.samples_per_tile)


def test_hertz_of_columns():
    """Column c of 64 is centred on c/64 - 1/2 and reaches half a bin to either side."""
    assert box_band(32, 33, SPEC) == (-1 / 128, 1 / 128)
    assert box_band(0, 64, SPEC) == (-0.5, 0.5 - 1 / 128)
    assert box_band(16, 48, SPEC) == (-0.25 - 1 / 128, 0.25 - 1 / 128)
    assert box_band(32, 34, RESIZED) == (-1 / 256, 2 / 64 - 1 / 256)


def test_a_burst_lies_in_the_box_that_is_found_for_it():
    """A tone burst, its tile, the pixels above the noise: the box's samples and band hold the burst."""
    rng = np.random.default_rng(0)
    iq = 1e-3 * rng.normal(size=(SPEC.samples_per_tile, 2)).astype(np.float32).view(np.complex64)[:, 0]
    start, count, frequency = 300, 400, 0.21
    iq[start:start + count] += np.exp(2j * np.pi * frequency * np.arange(count)).astype(np.complex64)
    rows = rows_from_iq(torch.from_numpy(iq), SPEC).numpy()
    probabilities = np.stack([rows < -20, rows >= -20]).astype(np.float32)
    (box,) = find_boxes(probabilities, min_pixels=4)
    first, n = box_samples(box.row_start, box.row_stop, SPEC)
    lower, upper = box_band(box.col_start, box.col_stop, SPEC)
    assert first <= start and start + count <= first + n
    assert n <= count + 2 * SPEC.fft_size
    assert lower < frequency < upper and upper - lower <= 8 / 64


def test_boxes_of_a_picture():
    decided = np.zeros((32, 64), int)
    decided[2:10, 5:20] = 1
    decided[10, 20] = 1  # touches at a corner
    decided[4:6, 40:50] = 2
    decided[30, 60] = 1  # too small
    probabilities = np.where(decided == np.arange(3)[:, None, None], 0.8, 0.1).astype(np.float32)
    first, second = find_boxes(probabilities, min_pixels=4)
    assert (first.row_start, first.row_stop, first.col_start, first.col_stop) == (2, 11, 5, 21)
    assert (first.label, first.pixels) == (1, 8 * 15 + 1)
    assert (second.row_start, second.row_stop, second.col_start, second.col_stop) == (4, 6, 40, 50)
    assert second.label == 2 and second.confidence == pytest.approx(0.8)
    np.testing.assert_allclose(second.scores, [0.1, 0.1, 0.8], rtol=1e-6)
    assert len(find_boxes(probabilities, min_pixels=1)) == 3
    assert len(find_boxes(probabilities, min_pixels=4, min_rows=3)) == 1
    assert find_boxes(probabilities, min_confidence=0.9) == []


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.sampled_from([SPEC, AVERAGED]), st.data())
def test_what_is_painted_is_found(spec, data):
    """Painting the samples and the band of a box gives its columns, and its rows but for the window's
    ends."""
    row = data.draw(st.integers(0, spec.tile_rows - 1))
    col = data.draw(st.integers(0, spec.tile_cols - 1))
    rows = row, data.draw(st.integers(row + 1, spec.tile_rows))
    cols = col, data.draw(st.integers(col + 1, spec.tile_cols))
    start, count = box_samples(*rows, spec)
    found = tile_slices(1000 + start, count, *box_band(*cols, spec), spec, tile_start=1000)
    assert (found[1].start, found[1].stop) == cols
    assert found[0].start <= rows[0] and found[0].stop >= rows[1]
    assert rows[0] - found[0].start <= 1 and found[0].stop - rows[1] <= 1


def test_paint_what_is_short_narrow_or_outside():
    labels = np.zeros((32, 64), np.uint8)
    paint(labels, 500, 3, 0.1, 0.1001, 7, SPEC)
    assert (labels == 7).sum() == 1 and labels[(500 - 32 + 16) // 32, round((0.1 + 0.5) * 64)] == 7
    paint(labels, 10**6, 100, -0.5, 0.5, 9, SPEC)
    paint(labels, 0, 2000, 0.6, 0.9, 9, SPEC)
    assert not (labels == 9).any()


# -- scores ---------------------------------------------------------------------------------------------
def test_scores():
    truth = np.array([[0, 0, 1, 1], [0, 0, 1, IGNORED]], np.uint8)
    decided = np.array([[0, 1, 1, 1], [0, 0, 0, 2]], np.uint8)
    found = pixel_metrics(pixel_confusion(truth, decided, 3), ("noise", "nr", "lte"))
    assert found["pixels"] == 7 and found["pixel_accuracy"] == pytest.approx(5 / 7)
    assert found["iou"] == pytest.approx({"noise": 3 / 5, "nr": 2 / 4})  # lte: neither there nor decided
    assert found["mean_iou"] == pytest.approx(0.55)


# -- the published layout -------------------------------------------------------------------------------
def write_frame(folder, number, picture, labels, **metadata):
    savemat(folder / f"LTE_NR_spect_frame_{number}.mat", {"rxSpectrogram": picture})
    savemat(folder / f"LTE_NR_labels_frame_{number}.mat", {"data": labels})
    savemat(folder / f"LTE_NR_metadata_frame_{number}.mat", metadata)


@pytest.fixture
def frames(tmp_path):
    """Eight frames of 256x256, numbered from 5: noise with a carrier of 20 dB more where the labels say
    so."""
    rng = np.random.default_rng(1)
    for i in range(8):
        labels = np.zeros((256, 256), np.uint8)
        labels[40:, 30 + i:90] = 127
        labels[:, 150:200] = 255
        picture = rng.normal(-90, 3, labels.shape) + 20 * (labels > 0)
        write_frame(tmp_path, 5 + i, picture, labels, frontEnd=f"front-end-{i % 4}")
    return tmp_path


def test_published_layout(frames):
    spec = SpectrogramSpec()
    data = load_task("segmentation", frames, spec)
    assert data.labels == LTE_NR == ("noise", "nr", "lte") and data.tiles
    assert data.inputs.shape == (16, 1, 128, 256) and data.targets.shape == (16, 128, 256)  # the last one too
    top, bottom = data.targets[14:]  # frame 12
    assert set(np.unique(top)) == {0, 1, 2}
    assert (top[39] == 1).sum() == 0 and (top[40:, 37:90] == 1).all() and (top[:, 150:200] == 2).all()
    assert (bottom[:, 37:90] == 1).all() and (bottom == 1).sum() == 128 * 53
    tiles = data.inputs[np.array([14])][0, 0]
    assert tiles.dtype == np.float32
    level = tiles * spec.std + spec.mean  # dB above the tile's noise floor
    assert level[top == 2].mean() - level[top == 0].mean() == pytest.approx(20, abs=0.5)
    for part in data.tests:
        assert not set(data.groups[data.splits[part]]) & set(data.groups[data.splits["train"]])
    assert set(data.groups) == {f"front-end-{i}" for i in range(4)}


def test_grey_values_other_sizes_and_frames_without_a_front_end(tmp_path):
    rng = np.random.default_rng(2)
    for i in range(4):
        write_frame(
            tmp_path, i, rng.integers(0, 256, (100, 128), np.uint8), np.full((100, 128), 255, np.uint8)
        )
    data = load_frames(tmp_path, SpectrogramSpec())
    assert data.inputs.shape == (8, 1, 128, 256) and (data.targets == 2).all()  # no label is made up
    assert len(set(data.groups)) == 4


def test_labels_are_resized_to_the_nearest():
    labels = np.array([[0, 1], [2, 0]], np.uint8)
    np.testing.assert_array_equal(nearest(labels, (4, 2)), [[0, 1], [0, 1], [2, 0], [2, 0]])
    np.testing.assert_array_equal(nearest(nearest(labels, (6, 10)), (2, 2)), labels)
    picture = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
    tiles, painted = picture_tiles(picture, np.full((64, 64), 2, np.uint8), SPEC)
    assert tiles.shape == painted.shape == (2, 32, 64) and (painted == 2).all()


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda f: (f / "LTE_NR_labels_frame_7.mat").unlink(), "LTE_NR_labels_frame_7.mat: missing"),
        (
            lambda f: (f / "LTE_NR_spect_frame_7.mat").write_bytes(b"MATLAB 5.0 but no more"),
            "not a readable .mat",
        ),
        (
            lambda f: savemat(f / "LTE_NR_spect_frame_7.mat", {"rx": np.zeros((4, 4))}),
            "key 'rxSpectrogram' must be",
        ),
        (
            lambda f: savemat(f / "LTE_NR_labels_frame_7.mat", {"data": np.full((256, 256), 3)}),
            "'data' holds 3",
        ),
        (lambda f: savemat(f / "LTE_NR_labels_frame_7.mat", {"data": np.zeros((2, 2))}), "must be alike"),
    ],
)
def test_frames_that_are_refused(frames, break_it, message):
    break_it(frames)
    with pytest.raises(TaskError, match=message):
        load_frames(frames, SpectrogramSpec())


# -- annotated recordings -------------------------------------------------------------------------------
def annotation(start, count, lower, upper, label):
    edges = {} if lower is None else {"core:freq_lower_edge": lower, "core:freq_upper_edge": upper}
    return {"core:sample_start": start, "core:sample_count": count, "core:label": label, **edges}


@pytest.fixture
def recordings(tmp_path):
    rng = np.random.default_rng(3)
    n = 3 * SPEC.stride + 40
    for i in range(4):
        iq = rng.normal(size=(n, 2)).astype(np.float32).view(np.complex64)[:, 0]
        write_recording(tmp_path / f"r{i}", iq, sample_rate=64e3, hw=f"receiver {i // 2}",
                        captures=[{"core:sample_start": 0, "core:frequency": 1e8}],
                        annotations=[annotation(SPEC.stride // 2, SPEC.stride, 1e8 - 8e3, 1e8 + 8e3, "fm"),
                                     annotation(SPEC.stride, 640, 1e8 + 4e3, 1e8 + 6e3, "ook"),
                                     annotation(2 * SPEC.stride, 2000, None, None, "fm")])
    return tmp_path


def test_annotations_become_masks(recordings):
    data = load_task("segmentation", recordings, SPEC)
    assert data.labels == ("noise", "fm", "ook") and data.inputs.shape == (12, 1, 32, 64)
    first, second, third = data.targets[:3]
    assert not first[:15].any() and (first[16:31, 25:40] == 1).all() and not first[:, :24].any()
    assert (second[:15, 25:36] == 1).all() and not second[19:31].any()
    assert (second[:19, 36:38] == 2).all()  # the smaller one lies on top
    assert (third == IGNORED).all()  # its band is not known
    assert set(data.groups) == {"receiver 0", "receiver 1"}
    occupied = load_occupancy(recordings, SPEC)
    assert occupied.labels == ("noise", "signal")
    np.testing.assert_array_equal(occupied.targets == 1, (data.targets == 1) | (data.targets == 2))


def test_real_annotations_become_masks(data_dir):
    data = load(data_dir / "iq" / "eloran", SpectrogramSpec())
    assert data.labels == ("noise", "eloran") and len(data.targets) > 10
    assert set(np.unique(data.targets)) == {0, 1}


def test_recordings_without_annotations(tmp_path):
    write_recording(tmp_path / "r", np.ones(4000, np.complex64), sample_rate=1e3)
    with pytest.raises(TaskError, match="holds no annotated recording"):
        load(tmp_path, SPEC)


def annotated(folder, name="r", rate=64e3, captures=None, annotations=(), seed=3, **info):
    iq = np.random.default_rng(seed).normal(size=(3 * SPEC.stride + 40, 2)).astype(np.float32)
    info = info if rate is None else {"sample_rate": rate, **info}
    return write_recording(folder / name, iq.view(np.complex64)[:, 0], captures=captures,
                           annotations=list(annotations), **info)


@pytest.mark.parametrize(("kwargs", "why"), [
    ({"annotations": [annotation(0, 900, None, None, "fm")]}, "state no core:freq_lower_edge and"),
    ({"annotations": [{"core:sample_start": 0, "core:freq_lower_edge": 1e3, "core:label": "fm"}]},
     "state no core:freq_lower_edge and"),
    ({"annotations": [annotation(0, 900, 0, 8e3, "fm")], "rate": None}, "states no core:sample_rate"),
    ({"annotations": [annotation(0, 900, 0, 8e3, "fm")],
      "captures": [{"core:sample_start": 0, "core:frequency": 1e8}]}, "lie outside its band"),
    ({"annotations": [annotation(0, 900, 0, 8e3, " unknown ")]}, "labelled 'unknown'"),
])
def test_annotations_that_cannot_be_learnt_from_are_named(tmp_path, caplog, kwargs, why):
    """Also beside good ones: these are used, and it is said which are not."""
    path = annotated(tmp_path, **kwargs)
    for name in (tmp_path, path):
        with pytest.raises(TaskError, match=f"r.sigmf-meta: .*{why}"):
            load(name, SPEC)
    for i in range(2):
        annotated(tmp_path, f"good{i}", annotations=[annotation(0, 900, 0, 8e3, "fm")])
    caplog.clear()
    assert load(tmp_path, SPEC).facts["recordings"] == 2
    assert any("r.sigmf-meta" in r.message and why in r.message for r in caplog.records)


def test_tiles_in_which_nothing_counts_are_not_trained_on(recordings):
    data = load_task("segmentation", recordings, SPEC)
    for part in data.splits.values():
        assert len(part) and (data.targets[part] != IGNORED).any((1, 2)).all()


def test_a_signal_that_is_unknown_is_no_class(tmp_path):
    for i in range(2):
        annotated(tmp_path, f"r{i}", annotations=[annotation(0, SPEC.stride, -8e3, 0, "fm "),
                                                  annotation(0, SPEC.stride, 8e3, 16e3, "Unknown"),
                                                  annotation(SPEC.stride, SPEC.stride, 8e3, 16e3, None)])
    data = load(tmp_path, SPEC)
    assert data.labels == ("noise", "fm", "signal")
    assert (data.targets[0][:31, 25:32] == 1).all() and (data.targets[0][:31, 41:48] == IGNORED).all()
    assert (data.targets[1][2:31, 41:48] == 2).all()
    occupied = load_occupancy(tmp_path, SPEC)
    assert (occupied.targets[0][:31, 41:48] == 1).all()


def test_a_broken_recording_is_named(tmp_path):
    annotated(tmp_path, "good", annotations=[annotation(0, 900, 0, 8e3, "fm")])
    (tmp_path / "bad.sigmf-meta").write_text("{")
    with pytest.raises(TaskError, match="bad.sigmf-meta: is not valid JSON"):
        load(tmp_path, SPEC)


# -- the decoder ----------------------------------------------------------------------------------------
VIT = ViTConfig(tile_rows=32, tile_cols=64, patch_rows=8, patch_cols=8, dim=64, depth=3, heads=4)


def test_decoder_puts_pixels_where_they_belong():
    """With an identity for a map, the patches of a tile come back as the tile."""
    decoder = build_decoder({"kind": "pixels", "dim": 64, "depth": 0}, VIT, 1)
    torch.nn.init.eye_(decoder.predict.weight)
    tiles = torch.randn(3, 32, 64)
    np.testing.assert_array_equal(
        decoder._picture(decoder.predict(decoder._patches(tiles)))[:, 0].detach(), tiles
    )


@pytest.mark.parametrize("values", [{}, {"pixels": False}, {"pixels": False, "detail": 3}, {"detail": 4}])
def test_decoder_shapes(values):
    decoder = build_decoder({"kind": "pixels", "dim": 32, "heads": 4, **values}, VIT, 5)
    assert decoder.reads_tile == (values != {"pixels": False})
    made = decoder(torch.randn(2, 33, 64), torch.randn(2, 32, 64) if decoder.reads_tile else None)
    assert made.shape == (2, 5, 32, 64)
    assert build_decoder(decoder.config.to_dict(), VIT, 5).config == decoder.config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "other"}, "kind must be"),
        ({"kind": "pixels", "width": 3}, "unknown key 'width'"),
        ({"kind": "pixels", "dim": 30}, "multiple of 4"),
        ({"kind": "pixels", "depth": True}, "depth must be"),
        ({"kind": "pixels", "pixels": 1}, "pixels must be"),
        ({"kind": "pixels", "detail": -1}, "detail must be"),
    ],
)
def test_decoders_that_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        build_decoder(values, VIT, 3)


def stripes(count: int) -> TaskData:
    """Tiles of noise with a band of 12 dB more somewhere: a steady one, or one that is on every other row."""
    rng = np.random.default_rng(4)
    iq = rng.normal(size=(count * SPEC.stride + 64, 2)).astype(np.float32).view(np.complex64)[:, 0]
    tiles = tiles_from_iq(torch.from_numpy(iq), SPEC).numpy()
    targets = np.zeros(tiles.shape, np.uint8)
    for tile, target in zip(tiles, targets, strict=True):
        left, label = int(rng.integers(0, 40)), int(rng.integers(1, 3))
        target[:, left:left + 20] = label
        tile[::label, left:left + 20] += 1.2
    half = count // 2
    return TaskData("stripes", "segmentation", HalfPrecision(tiles[:, None]), targets,
                    ("noise", "steady", "pulsed"), np.arange(count),
                    {"train": np.arange(half), "test": np.arange(half, count)}, tiles=True)


def test_a_tuned_head_from_training_to_boxes(tmp_path):
    """It learns, is the same from its file, and its engine gives what training's predictions gave."""
    bundle = make_bundle(tmp_path / "bundle")
    data = stripes(240)
    frozen, test = Frozen(bundle.model, data), data.splits["test"]
    config = TuneConfig(
        "probe",
        decoder={"kind": "pixels", "dim": 64, "heads": 4},
        min_steps=120,
        max_steps=120,
        batch_size=32,
        base_rate=2e-2,
    )
    head = tune(frozen, data.splits["train"], config, bundle.id).head
    decided = predict(head, frozen, config, test)
    found = pixel_metrics(pixel_confusion(data.targets[test], decided, 3), data.labels)
    assert found["pixel_accuracy"] > 0.9 and found["mean_iou"] > 0.75

    heads.save(tmp_path / "bundle" / "heads" / "stripes", head)
    engine = open_head(tmp_path / "bundle" / "heads" / "stripes", precision="fp32")  # finds its bundle
    assert engine.layers == (3, TILE) and engine.shapes == {3: (33, 64), TILE: (32, 64)}
    tiles = data.inputs[test[:4]][:, 0]
    with torch.inference_mode():
        tokens = bundle.model.tokens_before(torch.from_numpy(tiles), [3])[3].numpy()
    made = engine.predict({3: tokens, TILE: tiles})
    assert made.shape == (4, 3, 32, 64)
    np.testing.assert_allclose(made.sum(1), 1, atol=1e-5)
    assert (made.argmax(1) == decided[:4]).mean() > 0.99  # training computes in bf16 where it can
    for picture, truth in zip(made, data.targets[test[:4]], strict=True):
        box = max(engine.boxes(picture, min_pixels=40), key=lambda b: b.pixels)
        start, count, (lower, upper) = engine.place(box)
        assert (start, count) == (0, SPEC.samples_per_tile)
        left = np.flatnonzero(truth.any(0))[0]
        assert lower == pytest.approx(left / 64 - 0.5, abs=3 / 64)
        assert upper - lower == pytest.approx(20 / 64, abs=5 / 64)
        assert engine.head.labels[box.label] == data.labels[truth.max()]


def test_a_head_that_names_no_bundle(tmp_path):
    bundle = make_bundle(tmp_path / "bundle")
    data = stripes(8)
    config = TuneConfig("probe", decoder={"kind": "pixels", "dim": 32, "heads": 4}, min_steps=1, max_steps=1)
    head = tune(Frozen(bundle.model, data), data.splits["train"], config).head
    heads.save(tmp_path / "head", head)
    with pytest.raises(heads.HeadError, match="name its bundle"):
        open_head(tmp_path / "head")
    assert open_head(tmp_path / "head", tmp_path / "bundle").spec == SPEC
    values = json.loads((tmp_path / "head" / "head.json").read_text())
    assert values["decoder"]["kind"] == "pixels" and values["input"] == "tokens" and values["from_layer"] == 3


def test_a_report_with_baselines_and_pictures(tmp_path):
    bundle = make_bundle(tmp_path / "bundle")
    config = TuneConfig("probe", decoder={"kind": "pixels", "dim": 32, "heads": 4}, min_steps=2, max_steps=2)
    found = evaluate(bundle, stripes(24), [config], tmp_path / "out", seeds=(0,),
                     baselines=("random", "scratch"))
    results = {(row["method"], row["metric"]): row["mean"] for row in found["test"]["results"]}
    methods = "probe", "random encoder, probe", "from scratch"
    assert set(results) == {(m, metric) for m in methods for metric in ("pixel_accuracy", "mean_iou")}
    assert all(0 <= results[m, "mean_iou"] <= results[m, "pixel_accuracy"] <= 1 for m in methods)
    assert (tmp_path / "out" / "examples-probe.png").read_bytes().startswith(b"\x89PNG")
    assert heads.load(tmp_path / "out" / "heads" / "probe").kind == "segmentation"


# -- synthetic LTE and NR ---------------------------------------------------------------------------------
def test_synthetic_frames(tmp_path):
    """The bands that the labels name stand out of the noise; frames come out the same when made again."""
    write_frames(tmp_path / "a", 4, seed=0, front_ends=4)
    data = load_frames(tmp_path / "a", SpectrogramSpec())
    assert data.inputs.shape == (8, 1, 128, 256) and len(set(data.groups)) == 4
    np.testing.assert_array_equal(data.targets[::2], data.targets[1::2])  # labels are whole columns
    seen = set()
    for tile, labels in zip(data.inputs[np.arange(8)][:, 0], data.targets, strict=True):
        for label in set(np.unique(labels)) - {0}:
            seen.add(LTE_NR[label])
            band = tile[:, labels[0] == label].mean(1).max()  # the pauses of NR are as quiet as noise
            assert band > tile[:, labels[0] == 0].mean() + 0.1
    assert seen == {"lte", "nr"}
    for file in (tmp_path / "a").glob("*_frame_2.mat"):
        file.unlink()
    before = (tmp_path / "a" / "LTE_NR_spect_frame_1.mat").stat().st_mtime_ns
    write_frames(tmp_path / "a", 4, seed=0, front_ends=4)
    assert (tmp_path / "a" / "LTE_NR_spect_frame_1.mat").stat().st_mtime_ns == before
    again = load_frames(tmp_path / "a", SpectrogramSpec())
    np.testing.assert_array_equal(again.targets, data.targets)
    np.testing.assert_array_equal(again.inputs[np.arange(8)], data.inputs[np.arange(8)])
