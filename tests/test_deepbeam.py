# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""DeepBeam's network and its training."""

import numpy as np
import pytest
import torch
from radiofm_ml.models.deepbeam import DeepBeam


@pytest.mark.parametrize(("classes", "blocks", "parameters"), [
    (24, 1, 324_184), (12, 1, 322_636), (5, 1, 321_733), (3, 1, 321_475), (24, 5, 848_472)])
def test_has_the_published_number_of_parameters(classes, blocks, parameters):
    with torch.device("meta"):
        model = DeepBeam(classes, blocks)
    assert sum(p.numel() for p in model.parameters()) == parameters


def by_hand(model: DeepBeam, x: np.ndarray) -> np.ndarray:
    """The network in numpy and float64: blocks (N, blocks, L, 2) to logits, all in Keras' order of axes."""
    weights = {k: v.double().numpy() for k, v in model.state_dict().items()}
    logits = []
    for example in x.astype(np.float64):
        flat = []
        for y in example:
            for i in range(model.config["layers"]):
                kernel = weights[f"convolutions.{i}.weight"][:, :, 0]
                outputs = np.array([
                    sum(np.correlate(y[:, c], k[c], "same") for c in range(y.shape[1])) for k in kernel])
                outputs += weights[f"convolutions.{i}.bias"][:, None]
                y = outputs.T
                y = np.maximum(y[0::2], y[1::2])
            flat.append(y)
        out = np.array(flat).ravel()  # (blocks, positions, kernels)
        for name in ("hidden.0", "hidden.1", "head"):
            out = weights[name + ".weight"] @ out + weights[name + ".bias"]
        logits.append(out)
    return np.array(logits)


def randomised(model: DeepBeam) -> DeepBeam:
    """With biases that are not zero, so that they count."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(generator=torch.Generator().manual_seed(1))
    return model.eval()


@pytest.mark.parametrize(("settings", "examples"), [
    ({"classes": 3, "blocks": 2, "kernels": 4, "kernel": 3, "layers": 3, "dense": 5, "length": 64}, 3),
    ({"classes": 24}, 1)])
def test_is_the_published_computation(settings, examples):
    torch.manual_seed(0)
    model = randomised(DeepBeam(**settings))
    shape = (examples, model.config["blocks"], model.config["length"], 2)
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    with torch.inference_mode():
        ours = model(torch.from_numpy(x)).numpy()
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, by_hand(model, x), rtol=1e-4, atol=1e-4 * np.abs(ours).max())


def test_takes_one_block_with_and_without_its_axis_and_refuses_other_shapes():
    torch.manual_seed(0)
    model = DeepBeam(4, kernels=4, layers=2, dense=8, length=32)
    x = torch.randn(5, 32, 2)
    assert torch.equal(model(x), model(x[:, None]))
    with pytest.raises(ValueError, match=r"takes \(N, 1, 32, 2\), got \(5, 2, 32, 2\)"):
        model(torch.randn(5, 2, 32, 2))
    with pytest.raises(ValueError, match="length must be at least 128"):
        DeepBeam(4, length=64)
    with pytest.raises(ValueError, match="kernel must be odd"):
        DeepBeam(4, kernel=6)


def test_is_linear_but_for_max_pooling():
    torch.manual_seed(0)
    model = DeepBeam(4, kernels=4, layers=2, dense=8, length=32).eval()  # biases are zero at the start
    x = torch.randn(5, 32, 2)
    with torch.inference_mode():
        torch.testing.assert_close(model(3 * x), 3 * model(x))
        assert not torch.allclose(model(-x), -model(x))
