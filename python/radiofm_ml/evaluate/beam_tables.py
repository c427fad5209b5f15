# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What the jobs of ``evaluate.beams`` found, as a table, JSON and pictures.

    table1.json      every number of table and pictures
    table1.md        the table
    table1.png, pairs.png, projections.png
    same/, other/    report.json, accuracy over shots and confusion (``evaluate.reports``), of the antenna
                     that was trained on and of the others
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from radiofm_ml import atomic
from radiofm_ml.evaluate import reports
from radiofm_ml.evaluate.beams import (
    DEEPBEAM,
    GAINS,
    MIXED,
    RANDOM,
    SIMULATED,
    STATISTICS,
    TABLE,
    TUNED,
    Plan,
)

SAME, OTHER = "TTSA", "TOTA"
TABLE_FILE = "table1.json"
METHODS = (*TABLE, SIMULATED, RANDOM, STATISTICS, *TUNED.values(), DEEPBEAM, MIXED)  # the table's order
# Table I as published (arXiv abstract and talk of its authors): TTSA 2 and 32 shots, TOTA 2 and 32, on the
# recorded data set, whose encoder and episodes were not published.
PUBLISHED = {
    "none": (0.612, 0.734, 0.3867, 0.428),
    "data norm": (0.773, 0.833, 0.458, 0.568),
    "data norm + augm": (0.7969, 0.8368, 0.499, 0.604),
    "proto norm + data norm + augm": (0.819, 0.845, 0.5526, 0.642),
}
PUBLISHED_COLUMNS = ((SAME, 2), (SAME, 32), (OTHER, 2), (OTHER, 32))


def summarise(results: Sequence[dict], antennas: Sequence[str], facts: dict, plan: Plan) -> dict:
    """The numbers of a table: {facts, antennas, shots, chance, rows, pairs, confusion, plain, projections}.

    rows: [{method, gains, setup (TTSA, TOTA), shots, mean, std, seeds}], std over the seeds. pairs: {method:
    {gains: {shots: matrix source x target}}}, means over the seeds. What is trained on none of the antennas
    (simulated front ends, statistics) has TOTA alone; of DeepBeam as it is, which is taught nothing, shots
    is 0 and gains 'mixed'.
    """
    results = [*results, *(
        {**r, "method": TUNED[layers], "targets": targets, "seconds": 0.0}
        for r in results if r["method"] == DEEPBEAM for layers, targets in r["tuned"].items())]
    rows, pairs, confusion = [], {}, {}
    plain: dict[str, dict[str, list]] = {}
    for method in METHODS:
        mine = [r for r in results if r["method"] == method]
        if not mine:
            continue
        if method in (DEEPBEAM, MIXED):
            _plain(method, mine, rows, plain)
        if not mine[0]["targets"]:
            continue
        for gains in GAINS:
            for shots in plan.shots:
                cells = [(r["seed"], r["source"], target, found[gains][str(shots)])
                         for r in mine for target, found in r["targets"].items()
                         if str(shots) in found.get(gains, {})]
                if not cells:
                    continue
                matrix = [[_mean(c for _, s, t, c in cells if s in (source, "") and t == target)
                           for target in antennas] for source in antennas]
                pairs.setdefault(method, {}).setdefault(gains, {})[str(shots)] = matrix
                for setup in (SAME, OTHER):
                    chosen = [c for c in cells if (c[1] == c[2]) == (setup == SAME)]
                    if not chosen:
                        continue
                    seeds = [_mean(c for seed, _, _, c in chosen if seed == s) for s in plan.seeds]
                    rows.append(_row(method, gains, setup, shots, seeds))
                    counts = np.sum([c["confusion"] for *_, c in chosen], 0)
                    confusion.setdefault(f"{setup} {gains}", {})[f"{method}, {shots} shots"] = counts.tolist()
    projections = {f"{r['method']}, {where}": panel for r in results
                   for where, panel in r.get("projections", {}).items()}
    size = len(next(iter(next(iter(confusion.values())).values())))
    return {"facts": facts, "antennas": list(antennas), "shots": list(plan.shots), "chance": 1 / size,
            "published": {"columns": [list(c) for c in PUBLISHED_COLUMNS], "rows": PUBLISHED},
            "rows": rows, "pairs": pairs, "plain": plain, "confusion": confusion, "projections": projections,
            "cpu_seconds": round(sum(r["seconds"] for r in results))}


def _plain(method: str, results: Sequence[dict], rows: list, plain: dict) -> None:
    """What a classifier does on antennas that nobody has taught it."""
    for setup in (SAME, OTHER):
        def belongs(source, target, setup=setup):
            return source == "" or (source == target) == (setup == SAME)

        if method == MIXED and setup == OTHER:
            continue  # it has seen them all
        cells = [(r["seed"], found) for r in results for target, found in r["plain"].items()
                 if belongs(r["source"], target)]
        seeds = [float(np.mean([c["accuracy"] for s, c in cells if s == seed]))
                 for seed in dict.fromkeys(s for s, _ in cells)]
        rows.append(_row(method, "mixed", setup, 0, seeds))
        counts = np.sum([c["confusion"] for _, c in cells], 0)
        plain.setdefault(method, {})[setup] = {"confusion": counts.tolist(), **_neighbours(counts)}


def _neighbours(counts: np.ndarray) -> dict[str, float]:
    """Of the wrong decisions, the share that is one beam away, and at most two."""
    away = np.abs(np.subtract.outer(np.arange(len(counts)), np.arange(len(counts))))
    wrong = max(counts[away > 0].sum(), 1)
    return {"errors_one_beam": float(counts[away == 1].sum() / wrong),
            "errors_two_beams": float(counts[(away == 1) | (away == 2)].sum() / wrong)}


def _row(method: str, gains: str, setup: str, shots: int, seeds: Sequence[float]) -> dict:
    return {"method": method, "gains": gains, "setup": setup, "shots": shots, "mean": float(np.mean(seeds)),
            "std": float(np.std(seeds)), "seeds": [float(v) for v in seeds]}


def _mean(cells) -> float:
    values = [np.mean(cell["accuracy"]) for cell in cells]
    return float(np.mean(values)) if values else float("nan")


def lookup(table: dict, method: str, gains: str, setup: str, shots: int) -> dict | None:
    """The row of a summary, None where there is none."""
    for row in table["rows"]:
        if (row["method"], row["gains"], row["setup"], row["shots"]) == (method, gains, setup, shots):
            return row
    return None


def write(folder: Path, table: dict) -> None:
    """Write table, JSON and pictures into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    atomic.write_json(folder / TABLE_FILE, reports.plain(table), indent=1)
    draw(folder)


def read(folder: Path) -> dict:
    """A written summary. Raises ValueError naming the file."""
    try:
        return json.loads((folder / TABLE_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{folder / TABLE_FILE}: missing; radiofm protobeam table1 writes it") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{folder / TABLE_FILE}: not valid JSON: {error}") from None


def draw(folder: Path) -> list[Path]:
    """Draw everything anew from ``table1.json``; returns what was written."""
    from radiofm_ml.plots import beams as plots

    table = read(folder)
    atomic.write_text(folder / "table1.md", markdown(table))
    ends = sorted({table["shots"][0], table["shots"][-1]})
    columns = [(setup, shots) for setup in (SAME, OTHER) for shots in ends]
    methods = [*TABLE, TUNED["head"], SIMULATED]
    bars = {m: [(lookup(table, m, GAINS[0], *c) or {"mean": np.nan})["mean"] for c in columns]
            for m in methods}
    bars = {m: values for m, values in bars.items() if np.isfinite(values).any()}
    published = table["published"]
    known = [tuple(c) for c in published["columns"]]
    lines = published["rows"] if columns == known else None
    plots.draw_table(folder / "table1.png", bars, [f"{s}, {n} shots" for s, n in columns], published=lines,
                     title="Table I: same antenna (TTSA), other antennas (TOTA)")
    middle = str(8 if 8 in table["shots"] else table["shots"][0])
    wanted = [m for m in (TUNED["head"], *TABLE) if m in table["pairs"]]
    matrices = {m: np.array([[np.nan if v is None else v for v in row] for row in
                             table["pairs"][m][GAINS[0]][middle]], float) for m in wanted}
    plots.draw_pairs(folder / "pairs.png", matrices, table["antennas"],
                     title=f"Every pair of antennas, {middle} shots a beam, in per cent")
    drawn = [folder / name for name in ("table1.md", "table1.png", "pairs.png")]
    if table["projections"]:
        plots.draw_projections(folder / "projections.png", table["projections"],
                               title="Embeddings of a sweep on their principal axes")
        drawn.append(folder / "projections.png")
    for setup, name in ((SAME, "same"), (OTHER, "other")):
        drawn.append(_report(folder / name, table, setup, middle))
    return drawn


def _report(folder: Path, table: dict, setup: str, shots: str) -> Path:
    """The report of one setup: accuracy over shots, confusions."""
    results = [{"method": r["method"], "labels_per_class": r["shots"], "metric": "balanced_accuracy",
                "mean": r["mean"], "std": r["std"], "seeds": r["seeds"]}
               for r in table["rows"] if r["setup"] == setup and r["gains"] == GAINS[0]]
    shown = {DEEPBEAM: table["plain"].get(DEEPBEAM, {}).get(setup, {}).get("confusion")}
    taught = table["confusion"].get(f"{setup} {GAINS[0]}", {})
    shown |= {f"{m}, {shots} shots": taught.get(f"{m}, {shots} shots") for m in ("ours",)}
    confusions = {name: np.array(counts) for name, counts in shown.items() if counts is not None}
    size = round(1 / table["chance"])
    what = {SAME: "the antenna trained on", OTHER: "antennas not trained on"}[setup]
    report = {"task": "beams", "kind": "classification", "setup": setup, "facts": table["facts"],
              "labels": [str(b) for b in range(size)], "chance": table["chance"], "title": f"Beams of {what}"}
    return reports.write_report(folder, report, results=results, confusions=confusions)


def markdown(table: dict) -> str:
    """The table, with gains mixed and at one gain, in per cent."""
    lines = []
    for gains, title in zip(GAINS, ("shots and queries at any gain of the receiver",
                                    "shots and queries at one gain, mean over the gains"), strict=True):
        methods = list(dict.fromkeys(
            r["method"] for r in table["rows"] if r["shots"] and r["gains"] == gains))
        columns = [(s, n) for s in (SAME, OTHER) for n in table["shots"]
                   if any(lookup(table, m, gains, s, n) for m in methods)]
        lines += [f"Accuracy in per cent, mean ± spread over the seeds; {title}.", "",
                  "| | " + " | ".join(f"{s} {n}" for s, n in columns) + " |",
                  "|---" * (len(columns) + 1) + "|"]
        for method in methods:
            cells = [_percent(lookup(table, method, gains, *c)) for c in columns]
            lines.append(f"| {method} | " + " | ".join(cells) + " |")
        lines.append("")
    lines += ["Without a shot, gains mixed:", ""]
    for row in table["rows"]:
        if not row["shots"]:
            away = table["plain"][row["method"]][row["setup"]]["errors_one_beam"]
            lines.append(f"- {row['method']}, {row['setup']}: {_percent(row)} "
                         f"({100 * away:.0f} % of the errors one beam away)")
    return "\n".join(lines) + "\n"


def _percent(row: dict | None) -> str:
    return "" if row is None else f"{100 * row['mean']:.1f} ± {100 * row['std']:.1f}"
