# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The pictures: their numbers are right, and what must be seen is there."""

import warnings

import numpy as np
import pytest
from PIL import Image
from radiofm_ml.plots import Box, draw_embedding, draw_waterfall, style
from radiofm_ml.plots.embedding import principal_axes
from radiofm_ml.plots.survey import draw_survey
from radiofm_ml.plots.waterfall import spectrogram_columns

RATE = 1e6


def rgb(colour: str) -> np.ndarray:
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])


def has_colour(picture: np.ndarray, colour: str, pixels: int) -> bool:
    return int((np.abs(picture.astype(int) - rgb(colour)).max(-1) <= 12).sum()) >= pixels


def read(path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def test_spectrogram_columns_show_a_tone_at_its_time_frequency_and_level():
    iq = np.full(200_000, 1e-6, np.complex64)
    iq[100_000:] += (0.5 * np.exp(2j * np.pi * 0.125 * np.arange(100_000))).astype(np.complex64)
    columns = spectrogram_columns(iq, fft_size=512, columns=100)
    assert columns.shape == (100, 512)
    assert columns[51:].argmax(1).tolist() == [256 + 64] * 49
    np.testing.assert_allclose(columns[51:].max(1), 20 * np.log10(0.5), atol=0.01)
    assert columns[:49].max() < -100


def test_spectrogram_columns_of_a_short_recording():
    assert spectrogram_columns(np.ones(512, np.complex64)).shape == (1, 512)
    with pytest.raises(ValueError, match="got 511"):
        spectrogram_columns(np.ones(511, np.complex64))


def test_foreign_text_is_drawn_as_it_is(tmp_path):
    """Neither as a formula, which may be a wrong one, nor with a warning for what the font has not."""
    assert style.verbatim("a$_{$b$ é日\x1b") == r"a\$_{\$b\$ é□\x1b"
    foreign, iq = "日本 $\\frac$", np.ones(20_000, np.complex64)
    boxes = [Box(0, 10_000, foreign, -1e5, 1e5), Box(10_000, 20_000, "unknown 1", -1e5, 1e5, True)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw_waterfall(tmp_path / "a.png", iq, RATE, boxes, truth=[(0, 10_000, foreign)], title=foreign)
        draw_survey(tmp_path / "b.png", spectrogram_columns(iq), 0.02, (-5e5, 5e5), boxes, RATE, foreign)
        draw_embedding(tmp_path / "c.png", np.eye(4), [foreign, "b", foreign, "b"], {foreign: np.ones(4)},
                       title=foreign)


def test_principal_axes():
    random = np.random.default_rng(0)
    basis = np.linalg.qr(random.normal(size=(20, 20)))[0][:, :2].T
    points = random.normal(size=(500, 2)) * [5.0, 2.0]
    mean, axes, share = principal_axes(points @ basis + 3.0 + 1e-3 * random.normal(size=(500, 20)))
    assert abs(axes[0] @ basis[0]) > 0.999 and abs(axes[1] @ basis[1]) > 0.999
    np.testing.assert_allclose(mean, 3.0, atol=0.5)
    np.testing.assert_allclose(share, [25 / 29, 4 / 29], atol=0.03)
    flipped = principal_axes(-(points @ basis))[1]
    np.testing.assert_allclose(np.abs(flipped), np.abs(principal_axes(points @ basis)[1]), atol=1e-9)
    with pytest.raises(ValueError, match="at least 2 vectors"):
        principal_axes(np.ones((1, 20)))


def test_waterfall_draws_every_box_in_its_colour(tmp_path):
    random = np.random.default_rng(1)
    iq = (random.normal(size=300_000) + 1j * random.normal(size=300_000)).astype(np.complex64) / 100
    boxes = [Box(0, 100_000, "a", 99.8e6, 100.1e6), Box(100_000, 200_000, "b"),
             Box(200_000, 300_000, "unknown", 99.9e6, 100e6, unknown=True)]
    truth = [(0, 100_000, "a"), (100_000, 200_000, "b"), (200_000, 300_000, "c")]
    draw_waterfall(tmp_path / "w.png", iq, RATE, boxes, center_freq=100e6, title="title", truth=truth)
    picture = read(tmp_path / "w.png")
    assert picture.shape == (660, 1400, 3)
    for colour in (style.PALETTE[0], style.PALETTE[1], style.UNKNOWN):
        assert has_colour(picture, colour, 3000)  # strips and edges
    assert not has_colour(picture, style.PALETTE[2], 100)
    # Box b spans the band: its left edge runs along the middle of the picture's height.
    left = int(1400 * (0.075 + 0.91 / 3))
    column = picture[200:560, left - 2 : left + 3].astype(int)
    assert (np.abs(column - rgb(style.PALETTE[1])).max(-1).min(1) < 60).mean() > 0.95


def test_waterfall_of_a_part_of_a_recording(tmp_path):
    iq = np.ones(100_000, np.complex64)
    boxes = [Box(0, 50_000, "before"), Box(550_000, 600_000, "a"), Box(700_000, 800_000, "behind")]
    draw_waterfall(tmp_path / "w.png", iq, RATE, boxes, start=500_000, labels=["before", "a", "behind"])
    picture = read(tmp_path / "w.png")
    assert has_colour(picture[:, 720:], style.PALETTE[1], 3000)
    assert not has_colour(picture[:, :720], style.PALETTE[1], 100)
    assert not has_colour(picture, style.PALETTE[0], 10) and not has_colour(picture, style.PALETTE[2], 10)
    # What is out of sight leaves no trace.
    draw_waterfall(tmp_path / "bare.png", iq, RATE, boxes[1:2], start=500_000,
                   labels=["before", "a", "behind"])
    np.testing.assert_array_equal(read(tmp_path / "bare.png"), picture)


def test_waterfall_of_a_recording_without_decisions(tmp_path):
    draw_waterfall(tmp_path / "w.png", np.zeros(4096, np.complex64), 48e3, [])
    assert read(tmp_path / "w.png").shape == (620, 1400, 3)


def test_embedding_shows_classes_prototypes_unknowns_and_errors(tmp_path):
    random = np.random.default_rng(2)
    centres = random.normal(size=(3, 32)) * 3
    embeddings = np.repeat(centres, 20, axis=0) + random.normal(size=(60, 32)) * 0.3
    labels = ["a"] * 20 + ["b"] * 20 + ["stranger"] * 20
    prototypes = {"a": centres[0], "b": centres[1]}
    decided = ["a"] * 20 + ["b"] * 20 + ["unknown"] * 20
    draw_embedding(tmp_path / "right.png", embeddings, labels, prototypes, decided=decided, title="t")
    decided[0], decided[45] = "unknown", "b"
    draw_embedding(tmp_path / "wrong.png", embeddings, labels, prototypes, decided=decided)
    right, wrong = read(tmp_path / "right.png"), read(tmp_path / "wrong.png")
    assert right.shape == (720, 1000, 3)
    for picture in (right, wrong):
        assert has_colour(picture, style.PALETTE[0], 100) and has_colour(picture, style.PALETTE[1], 100)
    assert has_colour(wrong, "#ff3b30", 60) and not has_colour(right, "#ff3b30", 10)


@pytest.mark.parametrize(("span", "expected"), [
    (2.4e9, (1e-9, "GHz")), (5e5, (1e-3, "kHz")), (0.2, (1e3, "mHz")), (3.0, (1.0, "Hz")),
    (0.0, (1.0, "Hz"))])
def test_si_prefix(span, expected):
    assert style.si(span, "Hz") == expected
