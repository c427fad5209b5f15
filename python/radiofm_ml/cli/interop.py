# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""radiofm import-wavesfm"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radiofm_ml.cli.options import Overwrite
from radiofm_ml.outputs import claim_folder
from radiofm_ml.terminal import echo


def register(app: typer.Typer) -> None:
    app.command("import-wavesfm")(import_wavesfm)


def import_wavesfm(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="CKPT", help="The checkpoint, such as wavesfm-v1p0.pth.")
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the bundle, made if need be.")],
    name: Annotated[str, typer.Option(help="Name of the bundle.")] = "wavesfm",
    pool: Annotated[
        str, typer.Option(help="The embedding: 'token' (CLS, as published) or 'avg' (mean of the patches).")
    ] = "token",
    heads: Annotated[
        int, typer.Option(min=0, help="Attention heads, where the width is none of the presets'.")
    ] = 0,
    licence: Annotated[
        str, typer.Option(help="SPDX identifier of the weights' licence, if you know it.")
    ] = "NOASSERTION",
    overwrite: Overwrite = False,
) -> None:
    """Turn a published WavesFM checkpoint into a bundle: its encoder of pictures.

    The features are those of the published code on the same picture. Only weights are read from the file;
    one that holds anything else is refused.

    `radiofm import-wavesfm wavesfm-v1p0.pth wavesfm` then `radiofm info wavesfm`
    """
    from radiofm_ml.interop.wavesfm import import_checkpoint

    claim_folder(out, "import-wavesfm", overwrite=overwrite)
    echo(import_checkpoint(checkpoint, out, name, pool, heads, licence).id)
