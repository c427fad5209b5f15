# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""radiofm info"""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.table import Table

from radiofm_ml.terminal import console, echo


def register(app: typer.Typer) -> None:
    app.command()(info)


def info(
    model: Annotated[
        str,
        typer.Argument(
            help="Folder of a bundle, a shipped name, or a Hugging Face id. Left out: list what is shipped."
        ),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print config.json and the id as JSON.")] = False,
) -> None:
    """Say what a model bundle is: its id, what it reads, its labels, where it comes from.

    Checks the whole bundle, the weights too: a damaged one ends in an error.
    """
    from radiofm_ml import bundle as bundles

    if not model:
        for name in bundles.shipped():
            echo(bundles.load(name).id)
        return
    bundle = bundles.load(model)
    parameters = sum(p.numel() for p in bundle.model.parameters())
    if as_json:
        echo(
            json.dumps(
                {"id": bundle.id, "path": str(bundle.path), "parameters": parameters, **bundle.config},
                indent=2,
            )
        )
        return
    table = Table(title=bundle.id, show_header=False, title_justify="left")
    rows = {
        "folder": str(bundle.path),
        "licence": bundle.config["licence"],
        "encoder": f"{bundle.config['architecture']['kind']}, {parameters / 1e6:.2f} M parameters",
        "embedding": f"{bundle.embedding_size} values",
        **_input(bundle),
        "labels": ", ".join(bundle.labels) or "none (teach it: radiofm enroll)",
        "calibrated": "yes" if bundle.calibration else "no",
    }
    for key, value in rows.items():
        table.add_row(key, value)
    console().print(table)


def _input(bundle) -> dict[str, str]:
    """What the encoder reads."""
    spec = bundle.spec
    if spec is None:
        return {"block": f"{bundle.block} samples of raw I/Q"}
    return {
        "tile": f"{spec.tile_rows} x {spec.tile_cols}, from {spec.samples_per_tile} samples, "
        f"one every {spec.stride}",
        "rows": f"FFT {spec.fft_size}, hop {spec.hop}, {spec.window} window, averaging {spec.averaging}",
        "reference": spec.reference,
    }
