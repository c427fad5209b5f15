# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What is seen in a window, as files."""

from pathlib import Path

from ..common.optional import optional
from .boxes import UNKNOWN
from .waterfall import Area, Waterfall

_NAME = "Labelled Waterfall"


def picture(pixmap, path: str) -> str:
    """A QPixmap as PNG; where it is. Raises OSError, ImportError."""
    with optional("radiofm_ml.atomic", _NAME).replacing(path) as part:
        if not pixmap.save(str(part), "PNG"):
            raise OSError(f"{path} cannot be written")
    return path


def annotations(model: Waterfall, area: Area, path: str) -> str:
    """SigMF metadata, without samples, of the boxes in an area; what it says. Sample numbers are those of the
    stream. Raises OSError, ValueError, ImportError."""
    library = optional("radiofm_ml.sigmf.annotations", _NAME)
    seen = sorted(model.seen(area), key=lambda entry: entry[0].first)
    stretch = model.rows.at_seconds(area.first)
    if stretch is None:
        raise ValueError("there are no rows yet")
    info = {"core:datatype": "cf32_le", "core:sample_rate": stretch.rate, "core:metadata_only": True,
            "core:recorder": library.GENERATOR}
    writer = library.AnnotationWriter(Path(path), info=info, merge=False)
    writer.start()
    told = object()
    for box, there in seen:
        stretch = model.rows.at_sample(box.first)
        if stretch.centre != told:
            told = stretch.centre
            clock = None if stretch.clock is None else (int(stretch.clock), stretch.clock % 1.0)
            writer.add_capture(stretch.start, told, clock)
        label = "" if box.unknown else (box.label or "signal")
        writer.add(box.first, box.last - box.first, label, freq_lower=there.lower, freq_upper=there.upper,
                   confidence=box.confidence, unknown=box.unknown, model=box.model,
                   group=box.label if box.unknown and box.label != UNKNOWN else "",
                   comment="" if box.snr is None else f"SNR {box.snr:.1f} dB")
    writer.close()
    return f"{len(seen)} annotations in {writer.path}"
