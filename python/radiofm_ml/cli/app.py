# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""All commands of ``radiofm``."""

import typer

from radiofm_ml import __version__
from radiofm_ml.cli import (
    detect,
    enroll,
    fewshot,
    figures,
    files,
    finetune,
    groups,
    interop,
    model,
    protobeam,
    recordings,
    survey,
    synth,
    training,
    watch,
)
from radiofm_ml.terminal import echo

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Radio foundation models on I/Q recordings: embed, teach by example, annotate.\n\n"
    "Start with `radiofm info`, then `radiofm enroll` and `radiofm annotate`.",
)


def _version(wanted: bool) -> None:
    if wanted:
        echo(f"radiofm {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    pass


for module in (survey, enroll, recordings, detect, watch, files, model, training, fewshot, groups, synth,
               finetune, protobeam, figures, interop):
    module.register(app)
