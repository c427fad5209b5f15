# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""radiofm detect"""

from __future__ import annotations

import typer

from radiofm_ml.cli.options import Overwrite, with_options
from radiofm_ml.cli.recordings import Averaging, Channel, Data, FftSize, Replace, Report, Source, Target
from radiofm_ml.detect.settings import Settings
from radiofm_ml.sigmf.stated import Stated


def register(app: typer.Typer) -> None:
    app.command()(detect)


@with_options
def detect(
    source: Source,
    target: Target,
    settings: Settings,
    stated: Stated,
    fft_size: FftSize = 0,
    averaging: Averaging = 8,
    replace: Replace = False,
    data: Data = "auto",
    overwrite: Overwrite = False,
    channel: Channel = 0,
) -> None:
    """Box every signal of a recording, in time and frequency, as SigMF annotations labelled *signal*.

    What stands out of the noise of its bin is a signal; docs/detection.md says how that is decided. Nothing
    is named: no model is needed.

    `radiofm detect capture.sigmf-meta -o out/capture.sigmf-meta`
    """
    from radiofm_ml.pipeline import detect_jobs
    from radiofm_ml.sigmf.container import META
    from radiofm_ml.sigmf.jobs import plan

    jobs = plan(source, target, META, channel, stated)
    with Report("detecting", jobs, "signals", "samples") as report:
        report.follow(detect_jobs(jobs, settings, fft_size, averaging, report.progress, replace=replace,
                                  data=data, overwrite=overwrite))
