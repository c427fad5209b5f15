# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Spectrum pictures of LTE and 5G NR carriers with a label at every pixel, in the published layout.

Our downlinks (``synth.signals``), fully loaded, LTE in FDD and NR in TDD as most are on the air, through our
channel and numbered front ends, in the files that MathWorks' spectrum-sensing data come in;
``tasks.segmentation`` reads both. A picture is 256 rows of one 256-bin FFT each, spread over 5 ms (there 40);
it shows noise, LTE, NR, or both side by side. As there, a carrier's label covers its band from the first row
to the last, the pauses of TDD included.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from radiofm_ml import atomic
from radiofm_ml.data.layouts import LTE_NR, LTE_NR_VALUES
from radiofm_ml.heads.boxes import paint
from radiofm_ml.spectrogram import SpectrogramSpec, rows_from_iq
from radiofm_ml.synth.channel import channel
from radiofm_ml.synth.frontend import FrontEnd, white_noise
from radiofm_ml.synth.scene import receive
from radiofm_ml.synth.signals import lte, nr
from radiofm_ml.synth.waveforms import Rng

SAMPLE_RATE = 61.44e6
SIZE = 256
SPEC = SpectrogramSpec(fft_size=SIZE, hop=1200, rows=SIZE, tile_rows=SIZE, tile_cols=SIZE)  # 5 ms
CONTENTS = {(): 0.1, ("lte",): 0.25, ("nr",): 0.25, ("lte", "nr"): 0.4}
SNR_DB = 3.0, 30.0  # of each carrier in its own band
_LTE_BLOCKS = 25, 50, 75, 100  # 5 to 20 MHz
_NR_BLOCKS = 24, 51, 106  # 10 to 40 MHz at 30 kHz
_LONGEST_ECHO = 3e-6  # seconds


@dataclass(frozen=True)
class Frame:
    """picture: float32 (256, 256) in dB. labels: uint8 (256, 256), index into LTE_NR. carriers: of each
    (name, SNR in dB, lower, upper edge in Hz). front_end: its name."""

    picture: np.ndarray
    labels: np.ndarray
    carriers: tuple[tuple[str, float, float, float], ...]
    front_end: str


def frame(rng: Rng, front_end: FrontEnd, contents: tuple[str, ...] | None = None,
          snr_db: tuple[float, float] = SNR_DB) -> Frame:
    """One picture. contents: 'lte', 'nr', both or none of them; drawn by ``CONTENTS`` if None."""
    if contents is None:
        contents = list(CONTENTS)[rng.choice(len(CONTENTS), p=list(CONTENTS.values()))]
    n = SPEC.samples_per_tile
    iq, labels, carriers = white_noise(n, rng), np.zeros((SIZE, SIZE), np.uint8), []
    signals = [(name, _signal(name, rng)) for name in contents]
    for (name, signal), offset in zip(signals, _side_by_side([s for _, s in signals], rng), strict=True):
        x, emissions = receive(signal, 0, SAMPLE_RATE, n, offset)
        x = channel(x, rng, _LONGEST_ECHO * SAMPLE_RATE)
        snr = float(rng.uniform(*snr_db))
        lower, upper = min(e.lower for e in emissions), max(e.upper for e in emissions)
        on = np.zeros(n, bool)
        for e in emissions:
            on[e.start:e.start + e.count] = True
        paint(labels, 0, n, lower / SAMPLE_RATE, upper / SAMPLE_RATE, LTE_NR.index(name), SPEC)
        power = np.mean(np.abs(x[on])**2)
        iq += x * np.float32(math.sqrt(10**(snr / 10) * (upper - lower) / SAMPLE_RATE / power))
        carriers.append((name, snr, lower, upper))
    picture = rows_from_iq(torch.from_numpy(front_end.receive(iq, rng)), SPEC).numpy()
    return Frame(picture, labels, tuple(carriers), front_end.name)


def _signal(name: str, rng: Rng):
    seconds = 1.01 * SPEC.samples_per_tile / SAMPLE_RATE
    if name == "lte":
        return lte.generate(rng, seconds, blocks=int(rng.choice(_LTE_BLOCKS)), duplex="fdd", load=1.0)
    return nr.generate(rng, seconds, blocks=int(rng.choice(_NR_BLOCKS)), pattern="DDDSU", load=1.0)


def _side_by_side(signals: list, rng: Rng) -> list[float]:
    """Centres in Hz at random such that all fit into the band and do not overlap, in either order."""
    widths = [2 * max(e.upper for e in s.emissions) for s in signals]
    free = SAMPLE_RATE * 0.98 - sum(widths)
    gaps = np.sort(rng.uniform(0, max(free, 0.0), len(widths)))
    centres, at = {}, -0.49 * SAMPLE_RATE
    for place, k in enumerate(rng.permutation(len(widths))):
        centres[k] = at + gaps[place] + widths[k] / 2
        at += widths[k]
    return [centres[k] for k in range(len(widths))]


def write_frames(folder: Path, frames: int, seed: int = 0, front_ends: int = 40,
                 track: Callable[[Iterable, str], Iterable] = lambda items, label: items) -> None:
    """Write frames 0 .. ``frames`` - 1 in the published layout, heard by so many front ends in turn.

    Those that are there are kept. A frame depends on its number, the seed and ``front_ends`` only.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    missing = [n for n in range(frames) if not _file(folder, "spect", n).exists()]
    for number in track(missing, "synthesising"):
        rng = np.random.default_rng([seed, number])
        write_frame(folder, number, frame(rng, FrontEnd.numbered(number % front_ends)))


def write_frame(folder: Path, number: int, made: Frame) -> None:
    """The three files of a frame; the picture comes last, so that where it is the frame is whole."""
    from scipy.io import savemat

    values = np.array(LTE_NR_VALUES, np.uint8)
    carriers = {
        "carriers": [name for name, *_ in made.carriers],
        "snrDb": [snr for _, snr, *_ in made.carriers],
    }
    for kind, content in (
        (
            "metadata",
            {"frontEnd": made.front_end, "sampleRate": SAMPLE_RATE, **(carriers if made.carriers else {})},
        ),
        ("labels", {"data": values[made.labels]}),
        ("spect", {"rxSpectrogram": made.picture}),
    ):
        with atomic.replacing(_file(folder, kind, number), durable=False) as part, part.open("wb") as file:
            savemat(file, content, do_compression=True)


def _file(folder: Path, kind: str, number: int) -> Path:
    return folder / f"LTE_NR_{kind}_frame_{number}.mat"
