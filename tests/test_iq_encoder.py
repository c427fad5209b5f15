# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The encoder of I/Q blocks: its statistics against straight computations, and what it must not see."""

import numpy as np
import pytest
import torch
from radiofm_ml import models
from radiofm_ml.models.iq_encoder import IQEncoder, IQEncoderConfig

SMALL = IQEncoderConfig(filters=6, taps=8, lags=3, hidden=16, embedding_size=5)


def blocks(n: int, length: int = 256, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, length, 2, generator=torch.Generator().manual_seed(seed))


def complex_of(x: torch.Tensor) -> np.ndarray:
    return torch.view_as_complex(x).numpy().astype(complex)


def test_energies_are_those_of_the_filters_run_in_a_circle():
    encoder = IQEncoder(IQEncoderConfig(**{**SMALL.__dict__, "normalise": "none"}))
    x = blocks(2)
    taps = (encoder.real + 1j * encoder.imaginary).detach().numpy()
    found = encoder.statistics(x)[:, :6].detach().numpy()
    for row, samples in enumerate(complex_of(x)):
        for f in range(6):
            padded = np.concatenate([samples[-7:], samples])  # what a circular convolution sees
            y = np.convolve(padded, taps[f], "valid")
            assert found[row, f] == pytest.approx(np.mean(np.abs(y) ** 2), rel=1e-4)


def test_autocorrelation_and_kurtosis():
    encoder = IQEncoder(SMALL)
    x = blocks(2)
    found = encoder.statistics(x)[:, 6:].detach().numpy()
    for row, samples in enumerate(complex_of(x)):
        energy = np.sum(np.abs(samples) ** 2)
        lags = [np.sum(np.roll(samples, -k) * samples.conj()) / energy for k in (1, 2, 3)]
        kurtosis = np.mean(np.abs(samples) ** 4) / np.mean(np.abs(samples) ** 2) ** 2
        expected = [*np.real(lags), *np.imag(lags), kurtosis]
        np.testing.assert_allclose(found[row], expected, atol=1e-4)


def test_phase_and_circular_shift_change_nothing_and_a_filter_does():
    encoder = IQEncoder(SMALL)
    encoder.fit_features(blocks(64, seed=1))
    samples = complex_of(blocks(3))

    def embed(values):
        return encoder(torch.view_as_real(torch.from_numpy(values.astype(np.complex64)))).detach().numpy()

    expected = embed(samples)
    np.testing.assert_allclose(embed(samples * np.exp(1.3j)), expected, atol=2e-4)
    np.testing.assert_allclose(embed(np.roll(samples, 77, 1)), expected, atol=2e-4)
    assert np.abs(embed(samples + 0.7 * np.roll(samples, 1, 1)) - expected).max() > 0.05


def test_normalisation_decides_whether_the_level_is_seen():
    x, louder = blocks(3), 5 * blocks(3)
    with_rms = IQEncoder(SMALL)
    raw = IQEncoder(IQEncoderConfig(**{**SMALL.__dict__, "normalise": "none"}))
    level = IQEncoder(IQEncoderConfig(**{**SMALL.__dict__, "level": True}))
    torch.testing.assert_close(with_rms.statistics(louder), with_rms.statistics(x), atol=1e-4, rtol=1e-4)
    ratio = raw.statistics(louder) / raw.statistics(x)
    torch.testing.assert_close(ratio[:, :12], torch.full((3, 12), 25.0), atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(ratio[:, 12], torch.full((3,), 625.0), atol=1e-2, rtol=1e-3)
    power = x.square().sum(2).mean(1, keepdim=True)
    torch.testing.assert_close(with_rms.statistics(x)[:, :6], (raw.statistics(x)[:, :6] / power).log())
    change = level.statistics(louder) - level.statistics(x)
    assert change[:, :-1].abs().max() < 1e-3
    torch.testing.assert_close(change[:, -1], torch.full((3,), np.log(25.0)), atol=1e-4, rtol=1e-4)


def test_features_are_standardised_by_the_blocks_that_were_shown():
    encoder = IQEncoder(SMALL)
    x = blocks(200)
    encoder.fit_features(x)
    features = (encoder.statistics(x) - encoder.offset) / encoder.scale
    torch.testing.assert_close(features.mean(0), torch.zeros(SMALL.features), atol=1e-3, rtol=0)
    torch.testing.assert_close(features.std(0, unbiased=False), torch.ones(SMALL.features), atol=1e-3, rtol=0)


def test_a_block_of_zeros_gives_numbers_and_gradients_are_finite():
    encoder = IQEncoder(SMALL)
    assert torch.isfinite(encoder(torch.zeros(1, 256, 2))).all()
    x = blocks(4)
    x[0] = 0
    encoder(x).square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in encoder.parameters())
    assert encoder.real.grad.abs().max() > 0


def test_architecture_of_a_bundle():
    architecture = SMALL.to_dict()
    assert models.embedding_size(architecture) == 5
    network = models.build(architecture)
    assert network.config == SMALL
    assert network(blocks(2)).shape == (2, 5)


@pytest.mark.parametrize("change, words", [
    ({"normalise": "max"}, "normalise must be one of none, rms"), ({"filters": 0}, "filters must be"),
    ({"level": 1}, "level must be true or false"), ({"taps": 2.5}, "taps must be"), ({"beams": 4}, "'beams'"),
    ({"level": True, "normalise": "none"}, "with normalise 'rms' only"),
])
def test_bad_architectures(change, words):
    with pytest.raises(ValueError, match=words):
        models.build({**SMALL.to_dict(), **change})


@pytest.mark.parametrize("shape", [(2, 7, 2), (2, 256), (2, 256, 3)])
def test_bad_blocks(shape):
    with pytest.raises(ValueError, match="blocks must be"):
        IQEncoder(SMALL)(torch.zeros(shape))
