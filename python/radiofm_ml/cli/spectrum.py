# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""radiofm synth lte-nr"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radiofm_ml.cli.options import Overwrite
from radiofm_ml.outputs import claim_folder


def register(app: typer.Typer) -> None:
    app.command("lte-nr")(lte_nr)


def lte_nr(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the files, made if need be.")],
    frames: Annotated[int, typer.Option(min=2, help="Pictures; each is three files.")] = 400,
    front_ends: Annotated[int, typer.Option(min=2, help="Receivers that hear them in turn.")] = 40,
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything but the receivers.")] = 0,
    overwrite: Overwrite = False,
) -> None:
    """Write spectrum pictures of LTE and 5G NR with a label at every pixel, in the published layout.

    Frames that are there already are kept: the same command goes on where it was interrupted.

    `radiofm synth lte-nr frames` then `radiofm finetune segmentation frames --method probe`
    """
    from radiofm_ml.cli.progress import stderr, track
    from radiofm_ml.synth.lte_nr import write_frames

    claim_folder(out, "synth lte-nr", overwrite=overwrite,
                 settings={"seed": seed, "front ends": front_ends})
    write_frames(out, frames, seed, front_ends, track)
    stderr.print(f"{frames} frames in {out}")
