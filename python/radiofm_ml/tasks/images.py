# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Signal identification from waterfall pictures, in the layout of the published image sets.

The 20-class set of arXiv 2511.15162 and Classidyne: pictures ``label_anything.png`` in one folder, or a
folder for each label. Frequency runs down a picture and time across; a quarter turn puts time first, as tiles
have it. Preparation as published (RFS): turned, grey, resized (bicubic, antialiased), (x - 0.5) / 0.5. The
size is that of the model's tile instead of 224 x 224.

Several pictures are often cut from one recording, and a random split then tests on what it trained on. The
group of a picture is its name without the label and without a number at the end ('fm_rec3_12.png': 'rec3').
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from radiofm_ml.spectrogram import SpectrogramSpec
from radiofm_ml.tasks import TaskData, TaskError, split_groups

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")
TEST_SHARE = 0.2  # of the groups of each label
_NUMBER = re.compile(r"[\s_.-]*\(?\d+\)?$")


class Pictures:
    """Pictures read when they are asked for: float32 (n, 1, tile_rows, tile_cols)."""

    def __init__(self, files: list[Path], spec: SpectrogramSpec):
        self.files, self.size = files, (spec.tile_rows, spec.tile_cols)
        self.shape = len(files), 1, *self.size

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index) -> np.ndarray:
        return np.stack([read_picture(self.files[i], self.size) for i in np.asarray(index)])


def read_picture(file: Path, size: tuple[int, int]) -> np.ndarray:
    """float32 (1, *size) in -1..1, the picture turned by 90 degrees. Raises TaskError."""
    import torch
    from PIL import Image, UnidentifiedImageError

    from radiofm_ml.heads.tuned import resize

    try:
        with Image.open(file) as picture:
            grey = np.asarray(picture.rotate(90, expand=True).convert("RGB"), np.float32) / 255
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise TaskError(f"{file}: not a readable picture ({error}); fetch it again or remove it") from None
    grey = grey @ np.array([0.2989, 0.587, 0.114], np.float32)  # ITU-R BT.601, as torchvision's Grayscale
    return ((resize(torch.from_numpy(grey)[None, None], size)[0] - 0.5) / 0.5).numpy()


def load(folder: Path, spec: SpectrogramSpec, seed: int = 0) -> TaskData:
    """Pictures of a folder, split by recording within each label. Raises TaskError."""
    folder = Path(folder)
    files = sorted(f for f in folder.rglob("*") if f.suffix.lower() in SUFFIXES) if folder.is_dir() else []
    if not files:
        raise TaskError(f"{folder}: holds no pictures; name a folder of LABEL_anything.png, or with a folder "
                        "for each label")
    found = [_label(file, folder) for file in files]
    names = tuple(sorted({label for label, _ in found}))
    targets = np.array([names.index(label) for label, _ in found])
    groups = np.array([f"{label}/{recording}" for label, recording in found])
    if len(names) < 2:
        raise TaskError(f"{folder}: all pictures are of '{names[0]}'; a label is what stands before the "
                        "first '_' of a name, or the folder's name")
    train, test = split_groups(groups, TEST_SHARE, seed, targets)
    single = sorted(set(names) - {names[t] for t in targets[test]})
    return TaskData("signal", "classification", Pictures(files, spec), targets, names, groups,
                    {"train": train, "test": test},
                    facts={"pictures": len(files), "recordings": len(np.unique(groups)),
                           "split": "by recording (file name without its number) within each label",
                           "labels_of_one_recording": single})


def _label(file: Path, folder: Path) -> tuple[str, str]:
    """(label, recording) of a picture."""
    inside = file.relative_to(folder)
    if len(inside.parts) > 1:
        label, rest = inside.parts[-2], file.stem
        rest = rest.removeprefix(label)
    else:
        label, mark, rest = file.stem.partition("_")
        if not mark or not label:
            raise TaskError(f"{file}: does not say its label; name it LABEL_anything{file.suffix}, or put it "
                            "into a folder named like the label")
    return label, _NUMBER.sub("", rest).strip(" _.-") or file.stem
