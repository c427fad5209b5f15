# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Arrays of an .npz archive, and one line that names the file where it is not what it should be."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from radiofm_ml.files import check_regular
from radiofm_ml.tasks import TaskError


def read_arrays(path: Path, keys: Iterable[str] | None = None) -> dict[str, np.ndarray]:
    """The named arrays of an archive, or all of them. Nothing is unpickled. Raises TaskError."""
    try:
        check_regular(path)
        with np.load(path, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("it is one array, not an archive")
            missing = sorted(set(keys or ()) - set(archive.files))
            if missing:
                raise TaskError(f"{path}: no array '{missing[0]}'; it holds "
                                f"{', '.join(archive.files[:8]) or 'nothing'}")
            return {key: archive[key] for key in (keys or archive.files)}
    except TaskError:
        raise
    except (OSError, ValueError, EOFError, KeyError, AttributeError, zipfile.BadZipFile, zlib.error,
            NotImplementedError) as error:
        line = (str(error).splitlines() or [type(error).__name__])[0]
        raise TaskError(f"{path}: not a readable .npz archive ({line}); fetch it again") from None
