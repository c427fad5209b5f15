# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""A recording's spectrogram with the boxes of what was found in it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from scipy.signal import get_window

from radiofm_ml import atomic
from radiofm_ml.outputs import GENERATOR
from radiofm_ml.plots import style

COLUMNS = 1400  # of the picture; more rows of a spectrum are averaged into one
_SPECTRA = 256  # that a column is made of, at least, where it is so long
_AT_ONCE = 128
# Nearly black noise, signals towards white: boxes in class colours stay visible on both.
NIGHT = LinearSegmentedColormap.from_list(
    "night", ["#0b0f17", "#16233a", "#27507a", "#4f8fb0", "#a9d3d8", "#fffbe6"])


@dataclass(frozen=True)
class Box:
    """start, stop: samples. low, high: Hz, absolute; None for the whole band. label '' draws no name."""

    start: int
    stop: int
    label: str
    low: float | None = None
    high: float | None = None
    unknown: bool = False


class Samples(Protocol):
    """complex64 (n,) that is read where it is sliced: an array, a memory map, or a recording."""

    def __len__(self) -> int: ...

    def __getitem__(self, piece: slice) -> np.ndarray: ...


def spectrogram_columns(iq: Samples, fft_size: int = 512, columns: int = COLUMNS) -> np.ndarray:
    """Mean power spectra of up to ``columns`` equal stretches of ``iq``, in dB of full scale.

    iq: n >= fft_size samples. Of a stretch of more than 2 * _SPECTRA spectra every second one counts, and so
    on; what is not finite counts as zero. Returns float32 (columns, fft_size), DC in the middle.
    """
    if len(iq) < fft_size:
        raise ValueError(f"a waterfall of {fft_size} bins needs as many samples, got {len(iq)}")
    window = get_window("blackmanharris", fft_size).astype(np.float32)
    hop = fft_size // 2
    n_rows = (len(iq) - fft_size) // hop + 1
    edges = np.linspace(0, n_rows, min(columns, n_rows) + 1).astype(int)
    power = np.zeros((len(edges) - 1, fft_size))
    for i, (first, last) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        step = max(1, (last - first) // _SPECTRA)
        starts = range(first, last, step)
        for at in range(0, len(starts), _AT_ONCE):
            some = starts[at:at + _AT_ONCE]
            piece = np.nan_to_num(iq[some[0] * hop:some[-1] * hop + fft_size], posinf=0, neginf=0)
            frames = np.lib.stride_tricks.sliding_window_view(piece, fft_size)[::hop * step] * window
            power[i] += (np.abs(np.fft.fft(frames)) ** 2).sum(0) / len(starts)
    power = np.fft.fftshift(power, axes=1) / window.sum() ** 2
    return (10 * np.log10(np.maximum(power, 1e-20))).astype(np.float32)


def draw_waterfall(path: str | os.PathLike, iq: np.ndarray, sample_rate: float, boxes: Sequence[Box], *,
                   start: int = 0, center_freq: float = 0.0, truth: Sequence[tuple[int, int, str]] = (),
                   title: str = "", labels: Sequence[str] | None = None) -> None:
    """Write a picture of ``iq`` with ``boxes`` drawn over it.

    iq: complex64 (n,). start: index of its first sample, which boxes and truth count from 0. truth:
    (start, stop, label) of what was really sent, drawn as a strip above; '' for nothing. labels: those
    with a colour, in the order of the colours; by default the boxes'.
    """
    boxes = [box for box in boxes if box.stop > start and box.start < start + len(iq)]
    if labels is None:
        labels = sorted({box.label for box in boxes if not box.unknown})
    colour = style.colours(labels)
    begin, end = start / sample_rate, (start + len(iq)) / sample_rate
    time, time_unit = style.si(end, "s")
    span = abs(center_freq) + sample_rate / 2
    freq, freq_unit = style.si(span if center_freq else sample_rate / 2, "Hz")
    low, high = center_freq - sample_rate / 2, center_freq + sample_rate / 2

    fig = style.figure(14, 6.6 if truth else 6.2)
    strips = [0.36, 0.36] if truth else [0.36]
    grid = fig.add_gridspec(len(strips) + 1, 1, height_ratios=[*strips, 6], hspace=0.05, left=0.075,
                            right=0.985, top=0.9, bottom=0.095)
    axes = fig.add_subplot(grid[-1])
    decibel = spectrogram_columns(iq)
    floor, peak = np.percentile(decibel, [55, 99.7])
    axes.imshow(decibel.T, origin="lower", aspect="auto", cmap=NIGHT, vmin=floor, vmax=max(peak, floor + 20),
                extent=(begin * time, end * time, low * freq, high * freq), interpolation="nearest")
    for box in boxes:
        edge = style.UNKNOWN if box.unknown else colour.get(box.label, style.TEXT)
        bottom, top = low if box.low is None else box.low, high if box.high is None else box.high
        axes.add_patch(Rectangle((box.start / sample_rate * time, bottom * freq),
                                 (box.stop - box.start) / sample_rate * time, (top - bottom) * freq,
                                 fill=False, edgecolor=edge, linewidth=1.6,
                                 linestyle=(0, (3, 2)) if box.unknown else "-"))
    axes.set(xlim=(begin * time, end * time), ylim=(low * freq, high * freq), xlabel=f"Time ({time_unit})",
             ylabel=f"Frequency ({freq_unit})")
    style.dress(axes)

    shade = {box.label: style.UNKNOWN if box.unknown else colour.get(box.label, style.TEXT) for box in boxes}
    rows = [("found", [(box.start, box.stop, box.label, shade[box.label]) for box in boxes])]
    if truth:
        sent = [(start, stop, name, colour.get(name, style.UNKNOWN)) for start, stop, name in truth if name]
        rows.insert(0, ("sent", sent))
    for i, (name, spans) in enumerate(rows):
        strip = fig.add_subplot(grid[i], sharex=axes)
        visible = [(max(a / sample_rate, begin) * time, min(b / sample_rate, end) * time, label, shade)
                   for a, b, label, shade in spans]
        _draw_strip(fig, strip, name, [span for span in visible if span[0] < span[1]])
    if title:
        fig.text(0.075, 0.945, style.verbatim(title), color=style.TEXT, size=14, weight="bold", va="center")
    fig.canvas.draw()
    save_palette(fig, path, [*colour.values(), style.UNKNOWN, style.TEXT, style.FAINT])


def save_palette(fig: Figure, path: str | os.PathLike, colours: Sequence[str]) -> None:
    """Write what is drawn as a PNG of the map's shades and ``colours``. Raises OSError."""
    picture = Image.fromarray(np.asarray(fig.canvas.buffer_rgba())[..., :3])
    about = PngInfo()
    about.add_text("Software", GENERATOR)
    picture = picture.quantize(palette=_palette(colours), dither=Image.Dither.NONE)
    with atomic.replacing(path, durable=False) as part:
        picture.save(part, "PNG", optimize=True, pnginfo=about)


def _palette(colours: Sequence[str], shades: int = 40, steps: int = 4) -> Image.Image:
    """The colours of the file: a quarter of the size of true colour, and nobody sees the difference.

    The map's shades, and ``colours`` in ``steps`` mixtures with the background for the edges of letters.
    """
    background = np.array(to_rgb(style.BACKGROUND))
    mixtures = [background + (np.array(to_rgb(colour)) - background) * (i + 1) / steps
                for colour in dict.fromkeys(colours) for i in range(steps)]
    table = np.concatenate([NIGHT(np.linspace(0, 1, shades))[:, :3], [background], mixtures])[:256]
    image = Image.new("P", (1, 1))
    image.putpalette((table * 255).round().astype(np.uint8).tobytes())
    return image


def _draw_strip(fig, strip, name: str, spans: Sequence[tuple[float, float, str, str]]) -> None:
    """A bar for each span, with its label where that fits."""
    strip.set(ylim=(0, 1), yticks=[])
    strip.set_facecolor(style.BACKGROUND)
    strip.tick_params(bottom=False, labelbottom=False)
    for spine in strip.spines.values():
        spine.set_visible(False)
    strip.text(-0.008, 0.5, name, transform=strip.transAxes, ha="right", va="center", color=style.FAINT,
               size=10)
    renderer = fig.canvas.get_renderer()
    for start, stop, label, shade in spans:
        strip.add_patch(Rectangle((start, 0.06), stop - start, 0.88, color=shade, linewidth=0))
        room = strip.transData.transform((stop, 0))[0] - strip.transData.transform((start, 0))[0]
        text = strip.text((start + stop) / 2, 0.5, style.verbatim(label), ha="center", va="center_baseline",
                          size=10.5, color=style.BACKGROUND, weight="bold")
        for size in (10.5, 9, 7.5):
            text.set_size(size)
            if text.get_window_extent(renderer).width <= room - 3:
                break
        else:
            text.remove()
