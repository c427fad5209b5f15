# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""radiofm embed, radiofm annotate"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from radiofm_ml.cli.options import Overwrite, with_options
from radiofm_ml.sigmf.stated import Stated
from radiofm_ml.terminal import say, visible

if TYPE_CHECKING:
    from radiofm_ml.sigmf.jobs import Outcome, Plan

DEFAULT_MODEL, SIGNAL_MODEL = "radiofm-small", "radiofm-pico"
MODEL_HELP = "Bundle: a folder, a shipped name, or a Hugging Face id."
Model = Annotated[str, typer.Option("--model", "-m", help=MODEL_HELP)]
Source = Annotated[
    Path, typer.Argument(metavar="IN", help="Recording (.sigmf-meta, .sigmf, raw I/Q, I/Q WAV) or a folder.")
]
Target = Annotated[
    Path, typer.Option("--out", "-o", help="File .sigmf-meta or, for a folder, a folder.")
]
Replace = Annotated[bool, typer.Option(help="Drop the annotations that the recording has.")]
Data = Annotated[
    str, typer.Option(help="What OUT in another folder does about the samples: auto, link, copy or none.")
]
Threads = Annotated[int, typer.Option(min=1, help="CPU threads of the encoder.")]
FftSize = Annotated[
    int,
    typer.Option(min=0, help="Samples of an FFT: bins of a row; 0: a fast and a fine resolution at once."),
]
Averaging = Annotated[
    int, typer.Option(min=1, help="FFTs, half overlapping, that make a row of --fft-size.")
]
Channel = Annotated[int, typer.Option(min=0, help="Which channel, of recordings with several.")]
Batch = Annotated[int, typer.Option(min=1, help="Tiles, or signals, encoded at a time.")]
FalseAlarmRate = Annotated[
    float, typer.Option(help="Share of signals of taught labels that may be called unknown, 0.001 to 0.5.")
]
Metric = Annotated[
    str, typer.Option(help="euclidean, cosine, or mahalanobis (needs a label with 5 shots).")
]


def register(app: typer.Typer) -> None:
    app.command()(annotate)
    app.command()(embed)


@with_options
def embed(
    source: Source,
    target: Annotated[Path, typer.Argument(metavar="OUT", help="File .npz or, for a folder, a folder.")],
    stated: Stated,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help=f"{MODEL_HELP} Left out: {DEFAULT_MODEL}, with "
                                                       f"--signals {SIGNAL_MODEL}.")
    ] = None,
    signals: Annotated[
        bool, typer.Option("--signals", help="One for each signal that is found, not for each tile.")
    ] = False,
    overwrite: Overwrite = False,
    channel: Channel = 0,
    threads: Threads = 1,
    batch: Batch = 16,
) -> None:
    """Turn recordings into embeddings, one for each tile, or one for each signal that is found.

    OUT holds the arrays **embedding** (N, D) float32, **sample_start** and **sample_count** (N,) int64, and
    more (docs/spectrogram.md, for signals docs/signals.md). A recording shorter than a tile is completed
    with its own samples. Of a folder, every recording's .npz lies in the folder OUT at the same relative
    path; one that fails does not stop the others. Embeddings that are there are replaced when the new ones
    are complete.

    `radiofm embed capture.sigmf-meta capture.npz`
    """
    from radiofm_ml.embeddings import SUFFIX
    from radiofm_ml.engines import open_engine
    from radiofm_ml.pipeline import embed_jobs
    from radiofm_ml.sigmf.jobs import plan
    from radiofm_ml.signals import SignalEncoder
    from radiofm_ml.survey.signals import embed_signals

    jobs = plan(source, target, SUFFIX, channel, stated)
    model = model or (SIGNAL_MODEL if signals else DEFAULT_MODEL)
    engine = open_engine(model, threads=threads, reads="signals" if signals else "tiles")
    if signals:
        encoder = SignalEncoder(engine)
        with Report("embedding", jobs, "signals", "samples") as report:
            report.follow(embed_signals(jobs, encoder, batch=batch, progress=report.progress,
                                        overwrite=overwrite))
        return
    with Report("embedding", jobs) as report:
        report.follow(embed_jobs(jobs, engine, batch, report.progress, overwrite=overwrite))


@with_options
def annotate(
    source: Source,
    target: Target,
    stated: Stated,
    prototypes: Annotated[
        Path | None,
        typer.Option(
            "--prototypes",
            "-p",
            help="What was taught (radiofm enroll, or 'save' in a "
            "flowgraph). Left out: the bundle's own labels.",
        ),
    ] = None,
    model: Model = DEFAULT_MODEL,
    false_alarm_rate: FalseAlarmRate = 0.01,
    metric: Metric = "euclidean",
    replace: Replace = False,
    data: Data = "auto",
    overwrite: Overwrite = False,
    channel: Channel = 0,
    threads: Threads = 1,
    batch: Batch = 16,
) -> None:
    """Label recordings by a few taught examples, as SigMF annotations.

    Adjacent tiles of one label become one annotation; its edges are those of the strongest signal's band.
    What fits no label at the stated false-alarm rate is called *unknown*. OUT is valid SigMF at every moment;
    what it held of an earlier run stays until the new one is complete. Interrupted, the same command goes on.

    `radiofm enroll taught.safetensors lora lora1.sigmf-meta lora2.sigmf-meta`

    `radiofm annotate capture.sigmf-meta -o out/capture.sigmf-meta -p taught.safetensors`
    """
    from radiofm_ml.engines import open_engine
    from radiofm_ml.fewshot import FewShot
    from radiofm_ml.pipeline import annotate_jobs
    from radiofm_ml.sigmf.container import META
    from radiofm_ml.sigmf.jobs import plan

    jobs = plan(source, target, META, channel, stated)
    engine = open_engine(model, threads=threads, reads="tiles")

    def classifier() -> FewShot:
        return FewShot.for_bundle(engine.bundle, prototypes or "", false_alarm_rate=false_alarm_rate,
                                  metric=metric)

    if not classifier().labels:
        raise ValueError(
            f"{engine.bundle.id} brings no labels of its own; teach some with 'radiofm enroll' "
            "and name the file with --prototypes"
        )
    with Report("annotating", jobs) as report:
        outcomes = report.each(annotate_jobs(jobs, engine, classifier, batch=batch, task="classification",
                                    progress=report.progress, replace=replace, data=data,
                                    overwrite=overwrite))
        done = [outcome.job.output for outcome in outcomes if outcome.error is None]
    _show_found(done)
    report.end()


def _show_found(paths: list[Path]) -> None:
    """What these files of annotations hold of this program's, counted by label."""
    from rich.table import Table

    from radiofm_ml.sigmf.annotations import GENERATOR
    from radiofm_ml.sigmf.container import parse_metadata
    from radiofm_ml.sigmf.tables import counted
    from radiofm_ml.terminal import console

    table = Table()
    table.add_column("label")
    for name in ("annotations", "seconds", "confidence"):
        table.add_column(name, justify="right")
    for line in counted((parse_metadata(path.read_bytes(), str(path)) for path in paths), GENERATOR):
        table.add_row(line.label, str(line.count), "" if line.seconds is None else f"{line.seconds:.3f}",
                      "" if line.confidence is None else f"{line.confidence:.2f}")
    if table.row_count:
        console().print(table)


class Report:
    """A bar for the recordings, a line for each that failed, a last line that names what was not done, and
    the exit status."""

    def __init__(self, label: str, jobs: Plan, results: str = "tiles", steps: str = "tiles"):
        """results: what a recording's result counts; steps: what its progress does."""
        from radiofm_ml.cli.progress import bar

        self._results, self._steps = results, steps
        self._jobs, self._label, self._bar = jobs, label, bar()
        self._found, self._done = 0, 0
        self.failed: list[Path] = []
        self._warned: list[str] = []

    def __enter__(self) -> Report:
        self._bar.start()
        self._task = self._bar.add_task(self._label, total=len(self._jobs), note="")
        return self

    def __exit__(self, kind, *_) -> None:
        self._bar.stop()
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            say(f"interrupted after {self._done} of {len(self._jobs)} recordings; what was complete is kept")

    def progress(self, done: int, total: int) -> None:
        self._bar.update(self._task, note=f"{done}/{total} {self._steps}")

    def follow(self, outcomes: Iterator[Outcome]) -> None:
        """Go through the outcomes; Exit(1) in the end if any failed."""
        for _ in self.each(outcomes):
            pass
        self._bar.stop()
        self.end()

    def each(self, outcomes: Iterator[Outcome],
             count: Callable[[object], int] = lambda result: result) -> Iterator[Outcome]:
        """The outcomes, noted as they come. count: how many things a result stands for."""
        for outcome in outcomes:
            self._bar.advance(self._task)
            self.note(outcome)
            self._found += count(outcome.result) if outcome.result else 0
            yield outcome

    def note(self, outcome: Outcome) -> None:
        self._done += 1
        if outcome.error:
            self.failed.append(outcome.job.recording)
            self._bar.console.print(f"radiofm: {visible(outcome.error)}", soft_wrap=True)
        elif outcome.warnings:
            self._warned.append(f"{outcome.job.recording}: {'; '.join(outcome.warnings)}")

    def end(self) -> None:
        """The last line, if there is more to say than of one recording that failed; Exit(1) if any did."""
        done = self._done - len(self.failed)
        parts = []
        if self._found or (done and self._results == "signals"):
            parts.append(f"{_counted(self._found, self._results)} of {_counted(done, 'recordings')}")
        if self.failed and len(self._jobs) > 1:
            parts.append(f"{len(self.failed)} of {len(self._jobs)} recordings failed: {_some(self.failed)}")
        if self._jobs.left_out:
            parts.append(f"left out: {_some(self._jobs.left_out)}")
        if self._warned:
            parts.append(f"with warnings: {_some(self._warned)}")
        if parts:
            self._bar.console.print(visible("; ".join(parts)), soft_wrap=True)
        if self.failed:
            raise typer.Exit(1)


def _counted(number: int, things: str) -> str:
    return f"{number} {things if number != 1 else things[:-1]}"


def _some(items: list, most: int = 5) -> str:
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(str(item) for item in items[:most]) + more
