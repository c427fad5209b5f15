# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""radiofm synth beams"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radiofm_ml.cli.options import Overwrite
from radiofm_ml.outputs import check_picture, claim_folder
from radiofm_ml.terminal import echo


def register(app: typer.Typer) -> None:
    app.command()(beams)


def beams(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the files, made if need be.")],
    antenna: Annotated[
        list[str], typer.Option(help="Front end: a, b, c, d, or a number from 0; give it once for each file.")
    ] = ("a", "b", "c", "d"),
    geometry: Annotated[str, typer.Option(help="basic, diagonal or obstacle.")] = "basic",
    codebook: Annotated[int, typer.Option(help="24, 12, or 5 (digital array) beams.")] = 24,
    gain: Annotated[list[float], typer.Option(help="Receiver gain in dB; once for each.")] = (40, 50, 60),
    aoa: Annotated[bool, typer.Option(help="31 angles, -45 to 45 degrees; beams 4, 12, 20.")] = False,
    frames: Annotated[int, typer.Option(min=1, help="Frames for each gain, beam and angle.")] = 150,
    blocks: Annotated[int, typer.Option(min=0, help="Blocks of a frame to write; 0: 15, digital 5.")] = 1,
    dtype: Annotated[str, typer.Option(help="float16, float32 or float64.")] = "float32",
    seed: Annotated[int, typer.Option(min=0, help="Draws the installation, payloads, noise and drift.")] = 0,
    picture: Annotated[Path | None, typer.Option(help="Also draw the antennas' beams, as a PNG.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Simulate beams of 60 GHz arrays and write them as DeepBeam's HDF5 files.

    One file for each antenna, under the name that the recorded data set would give it. A capture lasts 100 s,
    over which the frames are spread; 10,000 frames of 15 blocks are what was recorded, and take 177 GB.

    `radiofm synth beams sim --antenna a --antenna b`
    """
    from radiofm_ml.cli.progress import bar
    from radiofm_ml.synth.beams import BeamSimulator
    from radiofm_ml.synth.beams.files import write_captures

    claim_folder(out, "synth beams", overwrite=overwrite)
    if picture:
        check_picture(picture, overwrite)
    ends = [int(name) if name.isdigit() else name for name in antenna]
    simulators = [BeamSimulator(end, geometry, codebook, seed=seed, aoa=aoa) for end in ends]
    if picture:
        from radiofm_ml.plots.beam_patterns import draw_patterns

        draw_patterns(picture, ends, codebook)
        echo(picture)
    for simulator in simulators:
        with bar() as progress:
            task = progress.add_task(f"antenna {simulator.front_end}", total=None, note="")
            path = write_captures(
                out, simulator, frames, blocks or None, gain, dtype, seed,
                lambda done, total, task=task, progress=progress: progress.update(
                    task, completed=done, total=total),
            )
        echo(path)
