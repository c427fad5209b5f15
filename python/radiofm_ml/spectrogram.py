# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The one place that says how I/Q becomes a tile, the picture a model reads.

    I/Q --STFT--> rows (dB) --group--> tile --reference, clip, resize, normalise--> model-ready tile

Row ``i`` starts at sample ``i*hop`` and uses ``fft_size`` samples; frequency runs left to right with
DC in the middle, time runs down (unless a spec turns its tiles). Tiles do not share rows: tile ``k`` starts
at sample ``k*stride``.
The sample rate is not part of it: a model sees bins and rows, never hertz or seconds.

This is the reference implementation. In a flowgraph the C++ block ``radiofm.stft`` makes the rows and
``tiles_from_rows`` does the rest.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields

import numpy as np
import torch

from radiofm_ml.arguments import is_number, is_whole

POWER_FLOOR = 1e-20  # -200 dB: below what any float32 chain resolves, and keeps log10 finite
SKIRT_DB = 20.0  # columns this far below the strongest one are a signal's skirts
SPUR_DB = 15.0  # a thin line below this is more often a receiver's spur than the signal
MAX_FFT = 1 << 24  # bins: a row of 64 MiB
MAX_SIDELOBES = 1000  # of a Taylor window: scipy takes any number, and as long as that takes
GAP_DB = 100.0  # bins this far below a tile's peak are digital silence, not noise


@dataclass(frozen=True)
class SpectrogramSpec:
    """How a tile is made. Stored as JSON in every bundle.

    fft_size     samples in an FFT, and bins in a row before ``resize``
    hop          samples between the starts of two rows
    window       a name or (name, parameter) for ``scipy.signal.get_window`` (periodic form)
    averaging    STFT rows whose power is averaged into one row
    rows         averaged rows in a tile before ``resize``
    tile_rows    height of the tile that the model reads
    tile_cols    width of the tile that the model reads
    time_axis    'down': time runs down a tile and frequency across; 'across': the other way round, for
                 encoders that were trained on such pictures
    resize       'none' (then rows = tile_rows, fft_size = tile_cols, time down) or 'bicubic' (antialiased)
    scale        'db': 10*log10(|X|^2 / (sum w)^2), clamped at -200 dB
    reference    'noise_floor': dB above the tile's own floor, clipped to ``clip_db``;
                 'absolute': (dB + absolute[0]) / absolute[1], for encoders trained on fixed levels
    floor_quantile  which quantile of a tile's bins is its floor (bins 100 dB below the peak left out)
    clip_db      (low, high) around the floor; used with 'noise_floor'
    mean, std    the model-ready tile is (value - mean) / std
    """

    fft_size: int = 256
    hop: int = 128
    window: str | tuple = "hann"
    averaging: int = 1
    rows: int = 128
    tile_rows: int = 128
    tile_cols: int = 256
    resize: str = "none"
    scale: str = "db"
    reference: str = "noise_floor"
    floor_quantile: float = 0.3
    absolute: tuple[float, float] = (0.0, 1.0)
    clip_db: tuple[float, float] = (-20.0, 80.0)
    mean: float = 6.0
    std: float = 10.0
    time_axis: str = "down"

    def __post_init__(self):
        for name in ("absolute", "clip_db"):
            object.__setattr__(self, name, tuple(float(v) for v in getattr(self, name)))
        if isinstance(self.window, list):
            object.__setattr__(self, "window", tuple(self.window))
        for name, low in (
            ("fft_size", 8),
            ("hop", 1),
            ("averaging", 1),
            ("rows", 1),
            ("tile_rows", 1),
            ("tile_cols", 1),
        ):
            value = getattr(self, name)
            if name == "fft_size" and is_whole(value) and value > MAX_FFT:
                raise ValueError(f"spectrogram spec: fft_size must be at most {MAX_FFT}, got {value}")
            if not is_whole(value, low):
                raise ValueError(
                    f"spectrogram spec: {name} must be a whole number of at least {low}, got {value!r}"
                )
        if self.scale != "db":
            raise ValueError(f"spectrogram spec: scale must be 'db', got {self.scale!r}")
        if self.reference not in ("noise_floor", "absolute"):
            raise ValueError(
                f"spectrogram spec: reference must be 'noise_floor' or 'absolute', got {self.reference!r}"
            )
        if self.resize not in ("none", "bicubic"):
            raise ValueError(f"spectrogram spec: resize must be 'none' or 'bicubic', got {self.resize!r}")
        if self.time_axis not in ("down", "across"):
            raise ValueError(
                f"spectrogram spec: time_axis must be 'down' or 'across', got {self.time_axis!r}"
            )
        if self.time_axis == "across" and self.resize == "none":
            raise ValueError("spectrogram spec: time_axis 'across' needs resize 'bicubic'")
        if self.resize == "none" and (self.rows, self.fft_size) != (self.tile_rows, self.tile_cols):
            raise ValueError(
                "spectrogram spec: resize 'none' needs tile_rows = rows and tile_cols = fft_size; "
                f"got a {self.tile_rows}x{self.tile_cols} tile from {self.rows}x{self.fft_size}"
            )
        numbers = (self.floor_quantile, *self.absolute, *self.clip_db, self.mean, self.std)
        if not all(map(is_number, numbers)):
            raise ValueError(
                "spectrogram spec: floor_quantile, absolute, clip_db, mean and std must be finite numbers"
            )
        if not 0.0 <= self.floor_quantile <= 1.0:
            raise ValueError(f"spectrogram spec: floor_quantile must lie in 0..1, got {self.floor_quantile}")
        if self.std <= 0 or self.absolute[1] == 0 or self.clip_db[0] >= self.clip_db[1]:
            raise ValueError(
                "spectrogram spec: std must be positive, absolute[1] not zero, clip_db ascending"
            )
        self.window_taps()

    # -- geometry ---------------------------------------------------------------------------------
    @property
    def stride(self) -> int:
        """Samples from the start of one tile to the start of the next."""
        return self.rows * self.averaging * self.hop

    @property
    def samples_per_tile(self) -> int:
        """Samples that a tile is computed from."""
        return (self.rows * self.averaging - 1) * self.hop + self.fft_size

    @property
    def tile_size(self) -> int:
        """float32 values in a tile."""
        return self.tile_rows * self.tile_cols

    def n_rows(self, n_samples: int) -> int:
        """Whole STFT rows (before averaging) in ``n_samples`` samples."""
        return 0 if n_samples < self.fft_size else (n_samples - self.fft_size) // self.hop + 1

    def n_tiles(self, n_samples: int) -> int:
        """Tiles of a recording of ``n_samples``, the completed last one included.

        The tail behind the last whole tile becomes a tile of its own if it brings at least half a
        stride of samples that no tile has used, or if there is no whole tile; a shorter tail is left out.
        """
        if n_samples <= 0:
            return 0
        whole = self.n_rows(n_samples) // (self.rows * self.averaging)
        unused = n_samples - whole * self.stride - max(0, self.fft_size - self.hop)
        return whole + 1 if whole == 0 or 2 * unused >= self.stride else whole

    def padded_length(self, n_samples: int) -> int:
        """Samples that a source must deliver so that the recording's last tile is complete.

        The padding repeats the last tile's own samples cyclically: ``np.resize(tail, count)`` with
        ``tail`` the recording from ``tail_start`` on and ``count = padded_length - n_samples``.
        """
        if n_samples <= 0:
            return 0
        return max(n_samples, self.tail_start(n_samples) + self.samples_per_tile)

    def tail_start(self, n_samples: int) -> int:
        """First sample of the last tile of a recording of ``n_samples``."""
        return (self.n_tiles(n_samples) - 1) * self.stride

    # -- window, JSON -----------------------------------------------------------------------------
    def window_taps(self) -> np.ndarray:
        """Window, float32 (fft_size,)."""
        from scipy.signal import get_window

        named = f"spectrogram spec: window {repr(self.window)[:60]}"
        if not _window_is_bounded(self.window):
            raise ValueError(f"{named} must be a name, or (name, parameters) with finite numbers of at most "
                             f"{MAX_FFT} ({MAX_SIDELOBES} side lobes of a Taylor window)")
        try:
            with np.errstate(all="ignore"):  # what comes of it is looked at below
                taps = get_window(self.window, self.fft_size).astype(np.float32)
        except (ValueError, TypeError, ArithmeticError, IndexError, AttributeError) as error:
            raise ValueError(f"{named} is not one of scipy's: {error}") from None
        if not np.isfinite(taps).all():
            raise ValueError(f"{named} has NaN or infinite taps: another parameter, please")
        if abs(float(taps.sum())) < 1e-6:
            raise ValueError(f"{named} sums to zero")
        return taps

    def to_dict(self) -> dict:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> SpectrogramSpec:
        """Raises ValueError for unknown or ill-typed keys."""
        if not isinstance(values, dict):
            raise ValueError("spectrogram spec: must be a JSON object")
        unknown = set(values) - {f.name for f in fields(cls)}
        if unknown:
            raise ValueError(f"spectrogram spec: unknown key {sorted(unknown)[0]!r}")
        try:
            return cls(**values)
        except TypeError as error:
            raise ValueError(f"spectrogram spec: {error}") from None


def _window_is_bounded(window) -> bool:
    """Is it a name, or a name with few parameters, all of them numbers (or lists of them) of bounded size?"""
    if isinstance(window, str):
        return True
    if not isinstance(window, tuple) or not window or not isinstance(window[0], str) or len(window) > 5:
        return False
    most = MAX_SIDELOBES if window[0] in ("taylor", "taylorwin") else MAX_FFT
    for value in window[1:]:
        values = value if isinstance(value, (list, tuple)) else [value]
        if len(values) > 64 or not all(isinstance(v, bool) or v is None or is_number(v, -most, most)
                                       for v in values):
            return False
    return True


# The published MSM front end (arXiv 2411.09996 and its code): 16 ms slices become 224x224 pictures. That of
# the multimodal successor is in interop/wavesfm.py.
MSM_PUBLISHED = SpectrogramSpec(
    fft_size=1024,
    hop=512,
    rows=1024,
    tile_rows=224,
    tile_cols=224,
    resize="bicubic",
    reference="absolute",
    absolute=(155.8, 147.39),
    mean=0.634,
    std=0.0664,
)


def rows_from_iq(iq: torch.Tensor, spec: SpectrogramSpec) -> torch.Tensor:
    """dB rows of a stretch of I/Q.

    iq: complex64 (n,). Returns float32 (n_rows // averaging, fft_size), DC in the middle.
    """
    n_rows = spec.n_rows(len(iq)) // spec.averaging * spec.averaging
    if n_rows == 0:
        return torch.empty(0, spec.fft_size)
    window = torch.from_numpy(spec.window_taps())
    frames = iq.unfold(0, spec.fft_size, spec.hop)[:n_rows] * window
    spectrum = torch.fft.fftshift(torch.fft.fft(frames), dim=-1)
    power = (spectrum.real.square() + spectrum.imag.square()) / window.sum().square()
    power = power.reshape(-1, spec.averaging, spec.fft_size).mean(1)
    return 10.0 * torch.log10(power.clamp_min(POWER_FLOOR))


def noise_floor(rows: torch.Tensor, quantile: float) -> torch.Tensor:
    """Robust floor of each tile in dB. rows: (n, rows, bins). Returns (n,).

    Bins more than 100 dB below the peak (gaps of exact zeros) do not count.
    """
    ordered = torch.from_numpy(
        np.sort(rows.flatten(1).numpy(), axis=1)
    )  # numpy sorts ten times faster than torch
    silent = (ordered < ordered[:, -1:] - GAP_DB).sum(1)
    index = silent + (quantile * (ordered.shape[1] - 1 - silent)).long()
    return ordered.gather(1, index[:, None]).squeeze(1)


def tiles_from_rows(rows: torch.Tensor, spec: SpectrogramSpec) -> torch.Tensor:
    """Model-ready tiles.

    rows: float32 dB (n, spec.rows, fft_size) as ``rows_from_iq`` or the C++ STFT makes them; non-finite
    values count as -200 dB. Returns float32 (n, tile_rows, tile_cols).
    """
    rows = torch.nan_to_num(rows, nan=-200.0, posinf=-200.0, neginf=-200.0)
    if spec.reference == "noise_floor":
        floor = noise_floor(rows, spec.floor_quantile)
        values = (rows - floor[:, None, None]).clamp(*spec.clip_db)
    else:
        values = (rows + spec.absolute[0]) / spec.absolute[1]
    if spec.time_axis == "across":
        values = values.transpose(1, 2)
    if spec.resize == "bicubic":
        values = torch.nn.functional.interpolate(
            values[:, None],
            (spec.tile_rows, spec.tile_cols),
            mode="bicubic",
            antialias=True,
            align_corners=False,
        )[:, 0]
    return (values - spec.mean) / spec.std


def tiles_from_iq(iq: torch.Tensor, spec: SpectrogramSpec) -> torch.Tensor:
    """Whole tiles of a stretch of I/Q. iq: complex64 (n,). Returns float32 (n_tiles, tile_rows,
    tile_cols)."""
    rows = rows_from_iq(iq, spec)
    n_tiles = len(rows) // spec.rows
    return tiles_from_rows(rows[: n_tiles * spec.rows].reshape(n_tiles, spec.rows, spec.fft_size), spec)


def tile_db(tile: np.ndarray, spec: SpectrogramSpec) -> np.ndarray:
    """The dB (above floor, or absolute) that a model-ready tile was made from; what is lost is the
    clipping."""
    values = np.asarray(tile, np.float32).reshape(-1, spec.tile_rows, spec.tile_cols) * spec.std + spec.mean
    if spec.reference == "absolute":
        values = values * spec.absolute[1] - spec.absolute[0]
    return values


def occupied_band(tile: np.ndarray, spec: SpectrogramSpec, margin_db: float = 6.0) -> tuple[float, float]:
    """Band of the signal in a model-ready tile, as fractions of the sample rate around DC.

    tile: float32 (tile_rows, tile_cols) or flat. A column counts where its power (mean over time) stands
    ``margin_db`` above the noise and is within 20 dB of the strongest column, so that skirts stay outside.
    The noise is the median of the columns below the middle (in dB) between the quietest and the strongest.
    Columns less than 1/16 of the band apart belong together; of several such groups the one with the largest
    sum of dB above the noise is the signal, of equal ones the uppermost: real samples have each signal twice,
    at its frequency and mirrored below DC. Where no column counts, or only a weak thin line as receivers
    make them, or a NaN, the whole band (-0.5, 0.5) is returned: a full one cannot be told from an empty one.
    """
    # only differences of dB matter here, so the tile's scale does and its zero does not
    gain = spec.std * (spec.absolute[1] if spec.reference == "absolute" else 1.0) * math.log(10.0) / 10.0
    scaled = np.asarray(tile, np.float32).reshape(spec.tile_rows, spec.tile_cols) * np.float32(gain)
    if spec.time_axis == "across":
        scaled = scaled.T
    np.minimum(np.maximum(scaled, np.float32(-46.0), out=scaled), np.float32(46.0), out=scaled)
    level = 10.0 * np.log10(np.exp(scaled, out=scaled).mean(0))
    if math.isnan(level.sum()):
        return -0.5, 0.5
    columns, ordered = len(level), np.sort(level)
    quiet, peak = ordered[columns // 10], ordered[-1]
    below = ordered[: np.searchsorted(ordered, (quiet + peak) / 2, "right")]
    noise = below[len(below) // 2]
    above = np.flatnonzero(level > max(noise + margin_db, peak - SKIRT_DB))
    if len(above) == 0:
        return -0.5, 0.5
    starts = np.concatenate(([0], np.flatnonzero(np.diff(above) > max(1, columns // 16)) + 1))
    sums = np.add.reduceat(level[above] - noise, starts)
    best = np.flatnonzero(sums >= sums.max() * 0.999)[-1]
    group = above[starts[best] : starts[best + 1] if best + 1 < len(starts) else None]
    if len(group) <= columns // 64 and level[group].max() - noise < SPUR_DB:
        return -0.5, 0.5
    # Bin i of a row is centred on i / fft_size - 0.5, so its edges lie half a bin to either side.
    lower, upper = (edge / columns - 0.5 - 0.5 / spec.fft_size for edge in (group[0], group[-1] + 1))
    return max(float(lower), -0.5), min(float(upper), 0.5)
