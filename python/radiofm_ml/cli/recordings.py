# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""radiofm embed, radiofm enroll, radiofm annotate"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[
    str, typer.Option("--model", "-m", help="Bundle: a folder, a shipped name, or a Hugging Face id.")
]
Threads = Annotated[int, typer.Option(min=1, help="CPU threads of the encoder.")]
Batch = Annotated[int, typer.Option(min=1, help="Tiles encoded at a time.")]
DEFAULT_MODEL = "radiofm-small"


def register(app: typer.Typer) -> None:
    app.command()(annotate)
    app.command()(embed)
    app.command()(enroll)


def embed(
    source: Annotated[
        Path, typer.Argument(metavar="IN", help="Recording (.sigmf-meta, .sigmf) or a folder.")
    ],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="File .npz or, for a folder, a folder.")],
    model: Model = DEFAULT_MODEL,
    threads: Threads = 1,
    batch: Batch = 16,
) -> None:
    """Turn recordings into embeddings, one for each tile.

    OUT holds the arrays **embedding** (N, D) float32, **sample_start** and **sample_count** (N,) int64, and
    more
    (docs/spectrogram.md). A recording shorter than a tile is completed with its own samples. Of a folder,
    every
    recording's .npz lies in the folder OUT at the same relative path; one that fails does not stop the
    others.

    `radiofm embed capture.sigmf-meta capture.npz`
    """
    from radiofm_ml.engines import open_engine
    from radiofm_ml.pipeline import embed_all

    engine = open_engine(model, threads=threads, reads="tiles")
    with _Report("embedding", source, "tiles") as report:
        report.follow(embed_all(source, target, engine, batch, report.progress))


def annotate(
    source: Annotated[
        Path, typer.Argument(metavar="IN", help="Recording (.sigmf-meta, .sigmf) or a folder.")
    ],
    target: Annotated[Path, typer.Option("--out", "-o", help="File .sigmf-meta or, for a folder, a folder.")],
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
    false_alarm_rate: Annotated[
        float,
        typer.Option(help="Share of signals of taught labels that may be called unknown, 0.001 to 0.5."),
    ] = 0.01,
    replace: Annotated[bool, typer.Option(help="Drop the annotations that the recording has.")] = False,
    data: Annotated[
        str, typer.Option(help="What OUT in another folder does about the samples: auto, link, copy or none.")
    ] = "auto",
    threads: Threads = 1,
    batch: Batch = 16,
) -> None:
    """Label recordings by a few taught examples, as SigMF annotations.

    Adjacent tiles of one label become one annotation; its edges are those of the strongest signal's band.
    What fits no
    label at the stated false-alarm rate is called *unknown*. OUT is valid SigMF at every moment.

    `radiofm enroll taught.safetensors lora lora1.sigmf-meta lora2.sigmf-meta`

    `radiofm annotate capture.sigmf-meta -o out/capture.sigmf-meta -p taught.safetensors`
    """
    from radiofm_ml.engines import open_engine
    from radiofm_ml.fewshot import FewShot
    from radiofm_ml.pipeline import annotate_all

    engine = open_engine(model, threads=threads, reads="tiles")

    def classifier() -> FewShot:
        return FewShot.for_bundle(engine.bundle, prototypes or "", false_alarm_rate=false_alarm_rate)

    if not classifier().labels:
        raise ValueError(
            f"{engine.bundle.id} brings no labels of its own; teach some with 'radiofm enroll' "
            "and name the file with --prototypes"
        )
    with _Report("annotating", source, "tiles") as report:
        report.follow(
            annotate_all(
                source,
                target,
                engine,
                classifier,
                batch=batch,
                task="classification",
                progress=report.progress,
                replace=replace,
                data=data,
            )
        )


def enroll(
    prototypes: Annotated[
        Path, typer.Argument(help="File of prototypes, .safetensors; extended if it exists.")
    ],
    label: Annotated[str, typer.Argument(help="Name of the signal; '' to take the recordings' annotations.")],
    recordings: Annotated[list[Path], typer.Argument(help="Recordings of it, or folders.")],
    shots: Annotated[int, typer.Option(min=0, help="Tiles to teach, spread evenly; 0 for all.")] = 5,
    model: Model = DEFAULT_MODEL,
    threads: Threads = 1,
) -> None:
    """Teach a label by example: no training, a few tiles are enough.

    The tiles are spread evenly over the recordings. With the label '' every annotation with a label teaches
    that
    label, by the tiles that lie more in it than outside. Labels that PROTOTYPES has already gain shots.

    `radiofm enroll taught.safetensors pocsag pager1.sigmf-meta pager2.sigmf-meta --shots 8`
    """
    import numpy as np
    from rich.console import Console
    from rich.table import Table

    from radiofm_ml.cli.progress import track
    from radiofm_ml.engines import open_engine
    from radiofm_ml.fewshot import FewShot
    from radiofm_ml.pipeline import embed_recording
    from radiofm_ml.sigmf.recording import find_recordings, open_recording

    engine = open_engine(model, threads=threads, reads="tiles")
    few = FewShot.for_bundle(engine.bundle, prototypes if prototypes.exists() else "", shipped=False)
    taught: dict[str, list[np.ndarray]] = {}
    for path in track([path for given in recordings for path in find_recordings(given)], "teaching"):
        with open_recording(path) as recording:
            embedded = embed_recording(recording, engine)
            names = [label] * len(embedded) if label else _annotated(recording, embedded)
            for name in dict.fromkeys(name for name in names if name):
                taught.setdefault(name, []).append(embedded.embedding[[n == name for n in names]])
    if not taught:
        raise ValueError(
            f"{recordings[0]}: no annotation with a label covers half a tile; name the label to teach"
        )
    for name, parts in taught.items():
        vectors = _interleave(parts)
        few.prototypes.enroll(name, vectors[: shots or len(vectors)])
    few.save(prototypes)

    table = Table(title=prototypes.name, title_justify="left")
    table.add_column("label")
    table.add_column("shots", justify="right")
    for prototype in few.prototypes:
        table.add_row(prototype.label, str(prototype.shots))
    Console().print(table)


def _annotated(recording, embedded) -> list[str]:
    """Label of the annotation that covers most of each tile, '' where none covers half."""
    names = []
    for start, count in zip(embedded.sample_start, embedded.sample_count, strict=True):
        covered: dict[str, int] = {}
        for a in recording.annotations:
            end = recording.n_samples if a.sample_count is None else a.sample_start + a.sample_count
            overlap = min(int(start + count), end) - max(int(start), a.sample_start)
            if a.label and overlap > 0:
                covered[a.label] = covered.get(a.label, 0) + overlap
        best = max(covered, key=covered.get, default="")
        names.append(best if best and 2 * covered[best] >= count else "")
    return names


def _interleave(parts):
    """Rows of all parts, evenly spread over each: the first of every part, then those farthest from them,
    and so on."""
    import numpy as np

    order = []
    for number, part in enumerate(parts):
        # the van der Corput order visits a recording's tiles at ever finer, even spacing
        ranks = sorted(range(len(part)), key=lambda i: int(f"{i:032b}"[::-1], 2))
        order += [(rank, number, i) for rank, i in enumerate(ranks)]
    return np.stack([parts[number][i] for _, number, i in sorted(order)])


class _Report:
    """A bar for the recordings, a line for each that failed, and the exit status."""

    def __init__(self, label: str, source: Path, unit: str):
        from radiofm_ml.cli.progress import bar
        from radiofm_ml.sigmf.recording import find_recordings

        self._total = len(find_recordings(source))
        self._label, self._unit, self._bar = label, unit, bar()

    def __enter__(self) -> _Report:
        self._bar.start()
        self._task = self._bar.add_task(self._label, total=self._total, note="")
        return self

    def __exit__(self, *_) -> None:
        self._bar.stop()

    def progress(self, done: int, total: int) -> None:
        self._bar.update(self._task, note=f"{done}/{total} {self._unit}")

    def follow(self, outcomes: Iterator) -> None:
        """Go through the outcomes; Exit(1) in the end if any failed."""
        failed = 0
        for outcome in outcomes:
            self._bar.advance(self._task)
            if outcome.error:
                failed += 1
                self._bar.console.print(
                    f"radiofm: {outcome.error}", markup=False, highlight=False, soft_wrap=True
                )
        if failed:
            self._bar.console.print(f"radiofm: {failed} of {self._total} recordings failed", highlight=False)
            raise typer.Exit(1)
