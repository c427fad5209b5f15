# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Speed of the STFT, complex samples in and float dB rows out, against what else there is.

Everything is measured in one run, interleaved, and compared by ratios: absolute rates change
from machine to machine and with what else runs. Rates are millions of input samples a second;
"CPU" is seconds of CPU time of the whole process for 10^9 samples.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
from gnuradio import blocks, fft, gr, radiofm
from gnuradio.fft import window
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
SHAPES = ((256, 256), (1024, 1024), (4096, 4096), (1024, 256))  # (fft_size, hop)
LARGE = 262144  # floats in an enlarged buffer


# ---- Flowgraphs -----------------------------------------------------------------------------

class radiofm_stft(gr.top_block):
    """null_source -> radiofm.stft -> null_sink."""

    def __init__(self, fft_size: int, hop: int):
        gr.top_block.__init__(self)
        self.source = blocks.null_source(gr.sizeof_gr_complex)
        self.stft = radiofm.stft(fft_size, hop)
        self.sink = blocks.null_sink(gr.sizeof_float * fft_size)
        self.connect(self.source, self.stft, self.sink)


class stock_chain(gr.top_block):
    """GNU Radio's own blocks; a hop below fft_size takes one delayed branch a hop."""

    def __init__(self, fft_size: int, hop: int, large: bool = False):
        gr.top_block.__init__(self)
        self.source = blocks.null_source(gr.sizeof_gr_complex)
        self.sink = blocks.null_sink(gr.sizeof_float * fft_size)
        taps = window.hann(fft_size)
        self.parts = []

        branches = fft_size // hop
        join = self.sink
        if branches > 1:
            join = blocks.interleave(gr.sizeof_float * fft_size)
            self.parts.append(join)
            self.connect(join, self.sink)
        for i in range(branches):
            chain = [blocks.stream_to_vector(gr.sizeof_gr_complex, fft_size),
                     fft.fft_vcc(fft_size, True, taps, True),
                     blocks.complex_to_mag_squared(fft_size),
                     blocks.nlog10_ff(10, fft_size, 0)]
            if branches > 1:
                chain.insert(0, blocks.delay(gr.sizeof_gr_complex, i * hop))
            self.parts += chain
            self.connect(self.source, *chain, (join, i))
        if large:
            self.source.set_min_output_buffer(LARGE)
            for block in self.parts:
                stream = block.output_signature().sizeof_stream_item(0) == gr.sizeof_gr_complex
                block.set_min_output_buffer(LARGE if stream else LARGE // fft_size)


class log_power_fft(gr.top_block):
    """GNU Radio's logpwrfft, one row for each fft_size samples."""

    def __init__(self, fft_size: int, hop: int):
        from gnuradio.fft import logpwrfft
        gr.top_block.__init__(self)
        self.source = blocks.null_source(gr.sizeof_gr_complex)
        self.fft = logpwrfft.logpwrfft_c(1e6, fft_size, 1.0, 1e6 / fft_size, 1.0, False, shift=True)
        self.sink = blocks.null_sink(gr.sizeof_float * fft_size)
        self.connect(self.source, self.fft, self.sink)


def thread_cpu(name: str) -> float:
    """CPU seconds so far of this process's thread whose name begins with `name`."""
    for task in Path("/proc/self/task").iterdir():
        if (task / "comm").read_text().startswith(name):
            return int((task / "schedstat").read_text().split()[0]) / 1e9
    return float("nan")


def measure_flowgraph(tb: gr.top_block, fft_size: int, hop: int, seconds: float) -> dict[str, float]:
    def now() -> tuple[float, float, float, int]:
        return time.perf_counter(), time.process_time(), thread_cpu("stft"), tb.sink.nitems_read(0)

    tb.start()
    time.sleep(0.1)  # past the start
    wall, cpu, own, rows = now()
    time.sleep(seconds)
    wall, cpu, own, rows = (b - a for a, b in zip((wall, cpu, own, rows), now(), strict=True))
    tb.stop()
    tb.wait()
    samples = rows * hop
    return {"wall": samples / wall / 1e6, "cpu": cpu / max(samples, 1) * 1e9,
            "thread": samples / own / 1e6 if own else float("nan")}


def measure_flowgraphs(rounds: int, seconds: float) -> dict[str, dict]:
    makers: dict[str, Callable[[int, int], gr.top_block]] = {
        "stock": stock_chain, "stock_large": lambda n, hop: stock_chain(n, hop, True),
        "logpwrfft": log_power_fft, "stft": radiofm_stft}
    results: dict = {}
    for _ in range(rounds):
        for fft_size, hop in SHAPES:
            for name, make in makers.items():
                if name == "logpwrfft" and hop != fft_size:
                    continue
                found = measure_flowgraph(make(fft_size, hop), fft_size, hop, seconds)
                results.setdefault(f"{fft_size}/{hop}", {}).setdefault(name, []).append(found)
    return {shape: {name: {key: median(run[key] for run in runs) for key in runs[0]}
                    for name, runs in found.items()} for shape, found in results.items()}


def rows_delivered(fft_size: int, hop: int, samples: int) -> dict[str, int | str]:
    """Rows that arrive of an input that ends, and rows that are due."""
    tb = gr.top_block()
    tb.source = blocks.null_source(gr.sizeof_gr_complex)
    tb.head = blocks.head(gr.sizeof_gr_complex, samples)
    tb.stft = radiofm.stft(fft_size, hop)
    tb.sink = blocks.null_sink(gr.sizeof_float * fft_size)
    tb.connect(tb.source, tb.head, tb.stft, tb.sink)
    tb.run()
    return {"shape": f"{fft_size}/{hop}", "samples": samples, "delivered": tb.sink.nitems_read(0),
            "due": (samples - fft_size) // hop + 1}


# ---- The kernel, and Python -----------------------------------------------------------------

def run_kernel_bench(program: Path, rounds: int) -> dict:
    """{fft_size: {"hot", "ring", "cold": {contender: MS/s}}}"""
    out = subprocess.run([program, str(rounds)], check=True, capture_output=True).stdout
    return {size: {kind: {name: rate / 1e6 for name, rate in rates.items()} for kind, rates in kinds.items()}
            for size, kinds in json.loads(out).items()}


def python_contenders(fft_size: int) -> dict[str, Callable[[np.ndarray], object]]:
    taps = np.array(window.hann(fft_size), np.float32)
    taps /= taps.sum()
    floor = np.float32(1e-20)
    found: dict[str, Callable] = {}

    def numpy_batched(x):
        bins = np.fft.fft(x.reshape(-1, fft_size) * taps)
        return 10 * np.log10(np.maximum(np.fft.fftshift(bins.real**2 + bins.imag**2, 1), floor))

    found["numpy.fft"] = numpy_batched
    try:
        import scipy.fft
        from scipy.signal import ShortTimeFFT

        def scipy_batched(x):
            bins = scipy.fft.fft(x.reshape(-1, fft_size) * taps)
            return 10 * np.log10(np.maximum(scipy.fft.fftshift(bins.real**2 + bins.imag**2, 1), floor))

        transform = ShortTimeFFT(taps, fft_size, fs=1, fft_mode="centered", phase_shift=None)

        def short_time_fft(x):
            return 10 * np.log10(np.maximum(transform.spectrogram(x), floor))

        found |= {"scipy.fft": scipy_batched, "scipy ShortTimeFFT": short_time_fft}
    except ImportError:
        pass
    try:
        import torch

        torch.set_num_threads(1)
        torch_taps = torch.from_numpy(taps)

        def decibels(bins):
            power = bins.real.square() + bins.imag.square()
            return power.clamp_(min=1e-20).log10_().mul_(10)

        def torch_stft(x):
            bins = torch.stft(torch.from_numpy(x), fft_size, fft_size, window=torch_taps, center=False,
                              return_complex=True)
            return torch.fft.fftshift(decibels(bins), dim=0)

        def torch_fft(x):
            frames = torch.from_numpy(x).view(-1, fft_size)
            return torch.fft.fftshift(decibels(torch.fft.fft(frames * torch_taps)), dim=1)

        found |= {"torch.stft": torch_stft, "torch.fft": torch_fft}
    except ImportError:
        pass
    return found


def measure_python(rounds: int, samples: int = 1 << 20) -> dict[str, dict[str, float]]:
    """MS/s of thread CPU time, one thread, data from memory."""
    random = np.random.default_rng(1)
    x = (random.standard_normal(samples) + 1j * random.standard_normal(samples)).astype(np.complex64)
    results: dict = {}
    for fft_size in (256, 1024, 4096):
        contenders = python_contenders(fft_size)
        rates: dict = {name: [] for name in contenders}
        for _ in range(rounds + 1):
            for name, run in contenders.items():
                start = time.thread_time()
                run(x)
                rates[name].append(samples / (time.thread_time() - start) / 1e6)
        results[str(fft_size)] = {name: median(found[1:]) for name, found in rates.items()}
    return results


# ---- The bars -------------------------------------------------------------------------------

def bars(kernel: dict, flowgraph: dict, python: dict) -> list[dict]:
    """Same-run ratios and what they must reach."""
    found = []

    def bar(tier, name, shape, ratio, at_least):
        found.append({"tier": tier, "bar": name, "shape": shape, "ratio": ratio, "at_least": at_least})

    for fft_size in (256, 1024, 4096):
        shape = f"{fft_size}/{fft_size}"
        graph = flowgraph[shape]
        if kernel:
            hot, ring, cold = (kernel[str(fft_size)][kind] for kind in ("hot", "ring", "cold"))
            bar("required", "kernel / FFTW and VOLK call by call", shape,
                hot["kernel"] / hot["call_by_call"], 1.1)
            bar("required", "kernel / the same with FFTW", shape, hot["kernel"] / hot["kernel_fftw"], 0.95)
            bar("required", "block's thread / kernel, buffers as large", shape,
                graph["stft"]["thread"] / ring["kernel"], 0.85)
            torch = [rate for name, rate in python[str(fft_size)].items() if "torch" in name]
            if torch:
                bar("required", "kernel / best torch, data in memory", shape,
                    cold["kernel"] / max(torch), 3.0)
            bar("goal", "whole dB row / bare FFT", shape, hot["kernel"] / hot["fft_alone"], 1.0)
        stock, large = (graph["stft"]["wall"] / graph[name]["wall"] for name in ("stock", "stock_large"))
        bar("required", "wall / stock chain", shape, stock, 4.5)
        bar("required", "wall / stock chain, enlarged", shape, large, 1.8)
        bar("goal", "wall / stock chain", shape, stock, 7.0)
        bar("goal", "wall / stock chain, enlarged", shape, large, 2.5)
    overlap = flowgraph["1024/256"]["stft"]["wall"] / flowgraph["1024/256"]["stock"]["wall"]
    bar("required", "wall / stock chain", "1024/256", overlap, 10.0)
    return found


def print_tables(report: dict) -> None:
    console = Console(width=110 if not sys.stdout.isatty() else None)
    if report["kernel"]:
        table = Table(title="Kernel, MS/s of thread CPU time, with data in the L2 cache, in buffers as large "
                            "as the block's, in memory")
        for column in ("fft_size", *report["kernel"]["256"]["hot"]):
            table.add_column(column, justify="right")
        for size, found in report["kernel"].items():
            table.add_row(size, *(", ".join(f"{found[kind][name]:.0f}" for kind in found)
                                  for name in found["hot"]))
        console.print(table)
    table = Table(title="Flowgraph: wall MS/s, CPU s/GS, and the block's own thread MS/s of CPU time")
    for column in ("fft_size/hop", "stock", "stock, enlarged", "logpwrfft", "radiofm.stft", "its thread"):
        table.add_column(column, justify="right")
    for shape, found in report["flowgraph"].items():
        cells = (f"{found[name]['wall']:.0f}, {found[name]['cpu']:.2f}" if name in found else "-"
                 for name in ("stock", "stock_large", "logpwrfft", "stft"))
        table.add_row(shape, *cells, f"{found['stft']['thread']:.0f}")
    console.print(table)
    table = Table(title="Python, one thread, log included: MS/s of CPU time")
    names = list(report["python"]["256"])
    for column in ("fft_size", *names):
        table.add_column(column, justify="right")
    for size, found in report["python"].items():
        table.add_row(size, *(f"{found[name]:.0f}" for name in names))
    console.print(table)
    table = Table(title="Ratios of this run")
    for column, justify in (("tier", "left"), ("bar", "left"), ("fft_size/hop", "right"), ("ratio", "right"),
                            ("at least", "right"), ("", "left")):
        table.add_column(column, justify=justify)
    for found in report["bars"]:
        reached = found["ratio"] >= found["at_least"]
        table.add_row(found["tier"], found["bar"], found["shape"], f"{found['ratio']:.2f}",
                      f"{found['at_least']:.2f}", "[green]reached[/]" if reached else "[red]missed[/]")
    console.print(table)
    for found in report["rows"]:
        console.print(f"Rows at the end of {found['samples']} samples, {found['shape']}: "
                      f"{found['delivered']} delivered of {found['due']} due.")


def main() -> None:
    gr.logging().set_default_level(gr.log_levels.warn)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kernel-bench", type=Path, default=ROOT / "build" / "bench" / "radiofm_bench_stft",
                        help="the C++ benchmark (built with the module)")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=0.5, help="of each flowgraph in a round")
    parser.add_argument("--json", type=Path, help="write the results there as well")
    options = parser.parse_args()

    report: dict = {"kernel": {}}
    if options.kernel_bench.exists():
        report["kernel"] = run_kernel_bench(options.kernel_bench, 6 * options.rounds + 1)
    else:
        print(f"{options.kernel_bench} is not there: build the module with ENABLE_BENCH=ON for the kernel.")
    report["python"] = measure_python(options.rounds)
    report["flowgraph"] = measure_flowgraphs(options.rounds, options.seconds)
    report["bars"] = bars(report["kernel"], report["flowgraph"], report["python"])
    report["rows"] = [rows_delivered(1024, 1024, 1024 * 1000 + 999), rows_delivered(1024, 256, 10**6)]
    print_tables(report)
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
