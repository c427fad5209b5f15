#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Teach a running flowgraph a few signals, let it classify what follows, and show how well it did.

    Waveform Source ─► IQ to Spectrogram ─► ViT Embedding Sink ─► Prototype Classifier ─► predictions
           └───────────────────────► SigMF Annotation Sink ◄───────────────┘
"""

import json
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import pmt
import typer
from gnuradio import blocks, gr, radiofm
from gnuradio.radiofm import messages
from radiofm_ml import bundle as bundles
from radiofm_ml.plots import Box, draw_embedding, draw_waterfall
from radiofm_ml.sigmf.recording import open_recording
from radiofm_ml.spectrogram import SpectrogramSpec
from rich.console import Console
from rich.table import Table

RATE, CENTER = 1e6, 433.92e6  # samples/s, Hz
TAUGHT = ("gfsk", "ofdm", "wbfm", "ook", "chirp", "qpsk")
STRANGERS = ("fsk", "am", "msk", "noise")  # sent, but never taught
TEACHING_SNR = (12.0, 16.0, 20.0, 24.0, 18.0)  # dB, one a shot and over again
TEST_SNR = (12.0, 24.0)  # dB, least and most
STALLED = 120  # s without a tile: something is broken
TILES, ROUNDS = 6, 2  # of every signal after the teaching: tiles in a row, how often
console = Console()


@dataclass(frozen=True)
class Plan:
    """What is sent: schedule of the Waveform Source, and the label of every tile."""

    schedule: list[tuple[str, int, float, float]]
    truth: list[str]
    taught: int  # tiles that are sent for teaching, at the beginning


def make_plan(spec: SpectrogramSpec, shots: int, seed: int) -> Plan:
    """The signals to teach, ``shots`` tiles each; then all signals in random order at random SNR."""
    stride = spec.stride
    schedule = [(label, stride, TEACHING_SNR[i % len(TEACHING_SNR)], 0.0)
                for label in TAUGHT for i in range(shots)]
    truth = [label for label, *_ in schedule]
    random = np.random.default_rng(seed)
    for _ in range(ROUNDS):
        for label in random.permutation([*TAUGHT, *STRANGERS]).tolist():
            schedule.append((label, TILES * stride, round(float(random.uniform(*TEST_SNR)), 1), 0.0))
            truth += [label] * TILES
    if spec.fft_size > spec.hop:  # what the last row reaches beyond its tile
        schedule.append(("noise", spec.fft_size - spec.hop))
    return Plan(schedule, truth, len(TAUGHT) * shots)


class flowgraph(gr.top_block):
    """The chain above; every message is kept in a Message Debug block."""

    def __init__(self, model: bundles.Bundle, plan: Plan, recording: Path, seed: int,
                 false_alarm_rate: float):
        gr.top_block.__init__(self, "radiofm demo")
        self.source = radiofm.waveform_source(RATE, "noise", schedule=plan.schedule, seed=seed,
                                              center_freq=CENTER, start_time=float(int(time.time())))
        self.tiles = radiofm.iq_to_spectrogram(model, RATE)
        self.embedder = radiofm.vit_embedding_sink(model, RATE, overload="block")
        # What fits is judged by the scatter of the taught shots alone: these signals vary far less than
        # those that the bundle was calibrated with.
        self.classifier = radiofm.prototype_classifier(
            str(model.path), shipped=False, normalisation="l2", metric="mahalanobis",
            false_alarm_rate=false_alarm_rate)
        self.annotations = radiofm.sigmf_annotation_sink(str(recording), record=True, samp_rate=RATE,
                                                         overwrite=True)
        self.embeddings, self.predictions, self.answers = (blocks.message_debug() for _ in range(3))
        self.connect(self.source, self.tiles, self.embedder)
        self.connect(self.source, self.annotations)
        self.msg_connect(self.embedder, "embeddings", self.classifier, "embeddings")
        self.msg_connect(self.embedder, "embeddings", self.embeddings, "store")
        self.msg_connect(self.classifier, "predictions", self.annotations, "predictions")
        self.msg_connect(self.classifier, "predictions", self.predictions, "store")
        self.msg_connect(self.classifier, "status", self.answers, "store")

    def teach(self, label: str, shots: int, sample_start: int) -> None:
        """Post the command that a button, a script or a ZeroMQ peer would post."""
        command = pmt.to_pmt({"command": "enroll", "label": label, "shots": shots, "source": "at",
                              "sample_start": sample_start})
        self.classifier.to_basic_block()._post(messages.PROTOTYPES, command)


def run(top: flowgraph, plan: Plan, shots: int, stride: int) -> tuple[np.ndarray, list[messages.Prediction]]:
    """Embeddings (N, D) and predictions of the N tiles. Raises RuntimeError if some do not come."""
    top.start()
    for i, label in enumerate(TAUGHT):
        top.teach(label, shots, i * shots * stride)
    end = threading.Thread(target=top.wait, daemon=True)
    end.start()
    answered, done, since = 0, 0, time.monotonic()
    with console.status("starting") as status:
        while end.is_alive():
            end.join(0.1)
            answered += report_answers(top.answers, answered, stride)
            if top.predictions.num_messages() > done:
                done, since = top.predictions.num_messages(), time.monotonic()
            if time.monotonic() - since > STALLED:
                raise RuntimeError(f"no tile came for {STALLED} s, after {done} of {len(plan.truth)}; "
                                   "what the blocks logged above says why")
            status.update(f"tile {done} of {len(plan.truth)}")
    report_answers(top.answers, answered, stride)
    vectors = [messages.parse_embedding(message)[1] for message in stored(top.embeddings)]
    predictions = [messages.parse_prediction(message) for message in stored(top.predictions)]
    if not len(vectors) == len(predictions) == len(plan.truth):
        raise RuntimeError(f"{len(plan.truth)} tiles were sent, {len(vectors)} embedded, "
                           f"{len(predictions)} decided")
    return np.stack(vectors), predictions


def stored(debug, first: int = 0) -> list:
    """Messages that a Message Debug block has kept, from the ``first`` on."""
    return [debug.get_message(i) for i in range(first, debug.num_messages())]


def report_answers(debug, first: int, stride: int) -> int:
    """Print the classifier's answers to the commands that came since; how many."""
    answers = [pmt.to_python(message) for message in stored(debug, first)]
    for answer in answers:
        if answer["command"] == "enroll" and answer["ok"]:
            console.print(f"  taught [bold]{answer['label']}[/] with {answer['shots']} shots, "
                          f"in force from tile {answer['sample_start'] // stride}")
        elif answer["command"] == "enroll":
            console.print(f"  [yellow]{answer['label']} was not taught: {answer['reason']}[/]")
    return len(answers)


# -- results --------------------------------------------------------------------------------------
def score(truth: list[str], predictions: list[messages.Prediction]) -> dict:
    """Per label: tiles, and of the taught ones precision and recall; share that was called unknown."""
    decided = ["unknown" if p.unknown else p.label for p in predictions]
    labels = {}
    for label in (*TAUGHT, *STRANGERS):
        mine = [d for d, t in zip(decided, truth, strict=True) if t == label]
        row = {"tiles": len(mine), "unknown": mine.count("unknown") / len(mine)}
        if label in TAUGHT:
            claimed = decided.count(label)
            row |= {"recall": mine.count(label) / len(mine),
                    "precision": mine.count(label) / claimed if claimed else None}
        labels[label] = row
    known = [row for label, row in labels.items() if label in TAUGHT]
    strange = [row for label, row in labels.items() if label in STRANGERS]
    return {"labels": labels, "tiles": len(truth), "recall": float(np.mean([r["recall"] for r in known])),
            "unknown_of_taught": float(np.mean([r["unknown"] for r in known])),
            "unknown_of_strangers": float(np.mean([r["unknown"] for r in strange]))}


def show(results: dict, shots: int) -> None:
    low, high = TEST_SNR
    table = Table(title=f"{results['tiles']} tiles after the teaching, SNR {low:g} to {high:g} dB")
    table.add_column("label")
    for name in ("shots", "tiles", "precision", "recall", "called unknown"):
        table.add_column(name, justify="right")
    for label, row in results["labels"].items():
        if label == STRANGERS[0]:
            table.add_section()
        taught = label in TAUGHT
        precision = "-" if row.get("precision") is None else f"{row['precision']:.0%}"
        table.add_row(label, str(shots) if taught else "never", str(row["tiles"]), precision,
                      f"{row['recall']:.0%}" if taught else "-", f"{row['unknown']:.0%}",
                      style="" if taught else "dim")
    console.print(table)


def draw(out: Path, recording: Path, plan: Plan, model: bundles.Bundle, shots: int, vectors: np.ndarray,
         predictions: list[messages.Prediction], prototypes: dict[str, np.ndarray]) -> None:
    """waterfall.png: the first round after the teaching, from the annotated recording; embedding.png."""
    stride, first = model.spec.stride, plan.taught
    last = first + (len(plan.truth) - first) // ROUNDS
    with open_recording(recording) as source:
        iq = source.read(first * stride, (last - first) * stride)
        boxes = [Box(a.sample_start, a.sample_start + a.sample_count, a.label, a.freq_lower, a.freq_upper,
                     a.label == "unknown") for a in source.annotations]
    truth = [(i * stride, (i + TILES) * stride, plan.truth[i]) for i in range(first, last, TILES)]
    draw_waterfall(out / "waterfall.png", iq, RATE, boxes, start=first * stride, center_freq=CENTER,
                   truth=truth, labels=TAUGHT,
                   title=f"{model.name}, taught {len(TAUGHT)} signals with {shots} shots each")
    decided = ["unknown" if p.unknown else p.label for p in predictions[first:]]
    draw_embedding(out / "embedding.png", vectors[first:], plan.truth[first:], prototypes, decided=decided,
                   title=f"What {model.name} makes of them: embeddings and prototypes")


def main(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the recording, pictures and numbers.")]
    = Path("radiofm-demo"),
    model: Annotated[str, typer.Option("--model", "-m", help="Bundle: a folder, a shipped name, or a "
                                       "Hugging Face id.")] = "radiofm-small",
    shots: Annotated[int, typer.Option(min=1, max=50, help="Examples of each signal to teach.")] = 5,
    false_alarm_rate: Annotated[float, typer.Option(min=0.001, max=0.5, help="Share of taught signals that "
                                                    "may be called unknown.")] = 0.1,
    seed: Annotated[int, typer.Option(min=0, help="Of signals, noise and order.")] = 1,
) -> None:
    """Teach a running flowgraph, let it classify what follows, and write what it found."""
    began = time.monotonic()
    try:
        bundle = bundles.load(model, bundles.TILES)
        out.mkdir(parents=True, exist_ok=True)
        plan = make_plan(bundle.spec, shots, seed)
        recording = out / "demo.sigmf-meta"
        console.print(f"Teaching {', '.join(TAUGHT)} to a flowgraph with {bundle.id}; "
                      f"{', '.join(STRANGERS)} will come as strangers.", highlight=False)
        top = flowgraph(bundle, plan, recording, seed, false_alarm_rate)
        vectors, predictions = run(top, plan, shots, bundle.spec.stride)
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        console.print(f"[red]radiofm demo:[/] {error}", soft_wrap=True, highlight=False)
        raise typer.Exit(1) from None
    results = score(plan.truth[plan.taught :], predictions[plan.taught :])
    show(results, shots)
    taught = {label: vectors[i * shots : (i + 1) * shots].mean(0) for i, label in enumerate(TAUGHT)}
    draw(out, recording, plan, bundle, shots, vectors, predictions, taught)
    results |= {"model": bundle.id, "shots": shots, "seed": seed, "false_alarm_rate": false_alarm_rate}
    (out / "results.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    console.print(f"In {out}: demo.sigmf-meta and -data (annotated recording), waterfall.png, embedding.png, "
                  f"results.json. {time.monotonic() - began:.0f} s.", highlight=False)


if __name__ == "__main__":
    typer.run(main)
