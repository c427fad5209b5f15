# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""SigMF sample types (``core:datatype``) and their way to complex64."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from radiofm_ml.sigmf.errors import shown

_DATATYPE = re.compile(r"(?P<kind>[cr])(?P<number>f32|f64|i8|i16|i32|u8|u16|u32)(?P<endian>_le|_be)?")
_BLOCK = 1 << 16  # samples converted at once, so that temporaries stay in the cache
LARGEST = 1e15  # of a float, where 1.0 is full scale: the power of more overflows where it is summed up


@dataclass(frozen=True)
class SampleType:
    """How a sample lies in a data file, and how it becomes a number at full scale 1.0.

    Signed integers are divided by half their range, ``x / 2**(bits-1)``, as the sigmf package does.
    Unsigned ones are centred between the two middle codes, ``(x - h) / h`` with ``h = (2**bits - 1) / 2``
    (cu8: ``(x - 127.5) / 127.5``): that is where an RTL-SDR rests, while sigmf's ``x - 128`` leaves half
    a code of DC. Floats pass as they are.
    """

    name: str
    component: np.dtype
    is_complex: bool

    @classmethod
    def parse(cls, name: str) -> SampleType:
        """SampleType of a ``core:datatype``. Raises ValueError for what the standard does not know.

        Multi-byte types without ``_le`` or ``_be`` are read as little-endian.
        """
        match = _DATATYPE.fullmatch(name) if isinstance(name, str) else None
        if match is None:
            raise ValueError(f"unknown datatype {shown(name)}; SigMF has c or r with f32, f64, i8, i16, i32, "
                             "u8, u16 or u32, and _le or _be, e.g. 'ci16_le'")
        number = match["number"]
        order = ">" if match["endian"] == "_be" else "<"
        return cls(name, np.dtype(f"{order}{number[0]}{int(number[1:]) // 8}"), match["kind"] == "c")

    @property
    def endian_missing(self) -> bool:
        return self.component.itemsize > 1 and not self.name.endswith(("_le", "_be"))

    @property
    def components(self) -> int:
        """Numbers in a sample: 2 for complex types, 1 for real ones."""
        return 2 if self.is_complex else 1

    @property
    def size(self) -> int:
        """Bytes in a sample of one channel."""
        return self.components * self.component.itemsize

    @property
    def is_float(self) -> bool:
        return self.component.kind == "f"

    def to_complex(self, raw: np.ndarray, out: np.ndarray) -> int:
        """Convert stored samples.

        raw: (n, components) of dtype ``component``; out: complex64 (n,), written. Samples that are not
        finite, or beyond ``LARGEST``, become zero; returns how many there were.
        """
        bad = 0
        for start in range(0, len(out), _BLOCK):
            bad += self._convert(raw[start:start + _BLOCK], out[start:start + _BLOCK])
        return bad

    def _convert(self, raw: np.ndarray, out: np.ndarray) -> int:
        if not self.is_complex:
            out.imag = 0.0
        target = out.view(np.float32).reshape(len(out), 2)[:, :self.components]
        if self.is_float:
            with np.errstate(over="ignore", invalid="ignore"):
                target[...] = raw
            finite = np.abs(target) <= LARGEST  # not so of NaN
            if finite.all():
                return 0
            finite = finite.all(axis=1)
            out[~finite] = 0.0
            return len(out) - int(np.count_nonzero(finite))
        bits = 8 * self.component.itemsize
        exact = np.float32 if bits <= 16 else np.float64  # 32-bit codes do not fit float32's 24 bits
        if self.component.kind == "i":
            np.multiply(raw, exact(2.0 ** (1 - bits)), out=target, dtype=exact, casting="unsafe")
        else:
            half = exact((2.0**bits - 1.0) / 2.0)
            centred = np.subtract(raw, half, dtype=exact, casting="unsafe")
            np.divide(centred, half, out=target, casting="unsafe")
        return 0

    def from_complex(self, samples: np.ndarray) -> np.ndarray:
        """The inverse of ``to_complex``: complex64 (n,) to (n, components) of dtype ``component``.

        Fixed-point types are rounded to the nearest code, and clipped at full scale. Real types keep the
        real part.
        """
        values = np.ascontiguousarray(samples, np.complex64).view(np.float32)
        values = values.reshape(len(samples), 2)[:, : self.components].astype(np.float64)
        if self.is_float:
            return values.astype(self.component)
        range_ = np.iinfo(self.component)
        half = (range_.max - range_.min + (self.component.kind == "i")) / 2
        codes = values * half + (half if self.component.kind == "u" else 0)
        return np.clip(np.round(codes), range_.min, range_.max).astype(self.component)
