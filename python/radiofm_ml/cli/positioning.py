# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""radiofm synth positioning"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radiofm_ml.cli.options import Overwrite
from radiofm_ml.outputs import claim_folder
from radiofm_ml.terminal import echo


def register(app: typer.Typer) -> None:
    app.command()(positioning)


def positioning(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the files, made if need be.")],
    positions: Annotated[int, typer.Option(min=2, help="Positions; each is in every file.")] = 1000,
    snr: Annotated[list[int], typer.Option(help="SNR in dB; give it once for each file.")] = (10, 20, 50),
    seed: Annotated[int, typer.Option(help="Draws the scene and the positions.")] = 0,
    overwrite: Overwrite = False,
) -> None:
    """Write 5G NR positioning data in the published layout, from a ray model of four base stations.

    OUT holds **dataset_SNR10_outdoor.mat** and so on: MATLAB v7.3, with *features* (N, 4, 16, 193) and
    *labels/position* (N, 3) in metres. 1000 positions take 300 MB and a minute or two.

    `radiofm synth positioning nr` then `radiofm finetune position-nr nr`
    """
    from radiofm_ml.cli.progress import track
    from radiofm_ml.synth.positioning import write_positioning

    claim_folder(out, "synth positioning", overwrite=overwrite)
    for path in write_positioning(out, positions, seed, tuple(snr), track):
        echo(path)
