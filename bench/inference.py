#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""How fast tiles become embeddings: engines against plain torch, and the flowgraph against a bare loop.

    bench/inference.py [BUNDLE] [--seconds S]

Rounds of all contenders are interleaved and their medians compared, so that the ratios hold on a busy machine
too. CPU time is that of all threads together.
"""

import argparse
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))

from radiofm_ml.engines import cpu_has_bf16, open_engine, torch_threads  # noqa: E402, I001  before torch
import numpy as np  # noqa: E402
import torch  # noqa: E402
from radiofm_ml import bundle as bundles  # noqa: E402
from radiofm_ml import models  # noqa: E402
from radiofm_ml.models.vit import ViTConfig  # noqa: E402
from radiofm_ml.spectrogram import SpectrogramSpec, occupied_band, tiles_from_iq  # noqa: E402


def interleaved(contenders: dict, seconds: float) -> dict[str, tuple[float, float]]:
    """Median (wall, CPU) time of a call of each, called in turns for so long together."""
    times = {name: [] for name in contenders}
    for call in contenders.values():
        call()
    end = time.monotonic() + seconds
    while time.monotonic() < end or len(next(iter(times.values()))) < 3:
        for name, call in contenders.items():
            wall, cpu = time.perf_counter(), time.process_time()
            call()
            times[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    return {name: tuple(map(statistics.median, zip(*values, strict=True))) for name, values in times.items()}


def table(title: str, rows: list[tuple], columns: tuple) -> None:
    print(f"\n{title}")
    rows = [columns, *rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(columns))]
    for row in rows:
        print("  " + "  ".join(cell.ljust(w) if i == 0 else cell.rjust(w)
                               for i, (cell, w) in enumerate(zip(row, widths, strict=True))))


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min())


def bench_engines(bundle, tiles: np.ndarray, seconds: float) -> None:
    """The engines beside the model called plainly: float32, one thread, as PyTorch runs it."""
    engines = [open_engine(bundle, precision="fp32")]
    if cpu_has_bf16():
        engines.append(open_engine(bundle, precision="bf16"))

    def plain(x):
        with torch_threads(1), torch.no_grad():
            return bundle.model(torch.from_numpy(x)).numpy()

    rows = []
    for batch in (1, 8, 16):
        x = tiles[:batch]
        contenders = {"torch, plain": lambda x=x: plain(x)}
        contenders |= {e.name: lambda e=e, x=x: e.embed(x) for e in engines}
        times = interleaved(contenders, seconds / 3)
        expected = plain(tiles[:16])
        base = times["torch, plain"][1]
        for name, (wall, cpu) in times.items():
            same = next((cosine(e.embed(tiles[:16]), expected) for e in engines if e.name == name), 1.0)
            rows.append((f"{name}, batch {batch}", f"{batch / wall:.1f}", f"{batch / cpu:.1f}",
                         f"{base / cpu:.2f}", f"{same:.5f}"))
    table("Engines, one thread", rows, ("", "tiles/s", "tiles/CPU s", "x plain torch", "min cosine"))


def bench_flowgraph(bundle, iq: np.ndarray, seconds: float) -> None:
    """Samples to PDUs in a flowgraph beside a plain loop over the same work in one thread."""
    from gnuradio import blocks, gr, radiofm

    spec, engine = bundle.spec, open_engine(bundle)
    n_tiles = (len(iq) - spec.samples_per_tile) // spec.stride + 1
    tiles = tiles_from_iq(torch.from_numpy(iq), spec).numpy()

    def loop_embed():
        for i in range(0, n_tiles, 8):
            engine.embed(tiles[i:i + 8])

    def loop_all():
        for i in range(0, n_tiles, 8):
            count = min(8, n_tiles - i)
            stretch = iq[i * spec.stride:(i + count - 1) * spec.stride + spec.samples_per_tile]
            with torch_threads(1):
                made = tiles_from_iq(torch.from_numpy(stretch), spec).numpy()
            for tile in made:
                occupied_band(tile, spec)
            engine.embed(made)

    class Flowgraph(gr.top_block):
        def __init__(self, *upstream):
            gr.top_block.__init__(self)
            self.upstream = upstream
            self.sink = radiofm.vit_embedding_sink(bundle, 1e6, overload="block", max_batch=8)
            self.messages = blocks.message_debug()
            self.connect(*upstream, self.sink)
            self.msg_connect(self.sink, "embeddings", self.messages, "store")

        def once(self):
            self.upstream[0].rewind()
            self.run()
            assert self.sink.embedded() == n_tiles and self.sink.dropped() == 0

    whole = Flowgraph(blocks.vector_source_c(iq), radiofm.iq_to_spectrogram(bundle))
    only = Flowgraph(blocks.vector_source_f(tiles.ravel(), False, spec.tile_size))
    times = interleaved({"loop: embed only": loop_embed, "flowgraph: tiles to PDUs": only.once,
                         "loop: STFT, tile, band, embed": loop_all, "flowgraph: samples to PDUs": whole.once},
                        seconds)
    rows = []
    for name, (wall, cpu) in times.items():
        base = times["loop: embed only" if "tiles to" in name or "only" in name else
                     "loop: STFT, tile, band, embed"]
        rows.append((name, f"{n_tiles / wall:.1f}", f"{n_tiles / cpu:.1f}", f"{base[0] / wall:.2f}",
                     f"{base[1] / cpu:.2f}"))
    table(f"Flowgraph, {n_tiles} tiles, batch 8, engine {engine.name}", rows,
          ("", "tiles/s", "tiles/CPU s", "x its loop", "in CPU"))


def bench_drop(bundle, tiles: np.ndarray) -> None:
    """What a dropped tile costs: a source that runs free while the engine is busy all the time, beside the
    same source into a null sink."""
    from gnuradio import blocks, gr, radiofm

    spec, count = bundle.spec, 20_000

    class Busy:
        def __init__(self, engine):
            self.bundle, self.spec, self.embedding_size = engine.bundle, engine.spec, engine.embedding_size
            self.gate = threading.Event()

        def embed(self, batch):
            self.gate.wait()
            return np.zeros((len(batch), self.embedding_size), np.float32)

    def free(sink):
        tb = gr.top_block()
        tb.source = blocks.vector_source_f(tiles[:32].ravel(), True, spec.tile_size)
        tb.head = blocks.head(spec.tile_size * gr.sizeof_float, count)
        tb.connect(tb.source, tb.head, sink)
        return tb

    tb = free(blocks.null_sink(spec.tile_size * gr.sizeof_float))
    begin = time.perf_counter()
    tb.run()
    null = time.perf_counter() - begin
    sink = radiofm.vit_embedding_sink(bundle, overload="drop")
    sink._engine = Busy(sink._engine)
    tb = free(sink)
    begin = time.perf_counter()
    tb.start()
    while sink._next < count:
        time.sleep(0.001)
    elapsed = time.perf_counter() - begin
    sink._engine.gate.set()
    tb.wait()
    assert sink.embedded() + sink.dropped() == count
    rows = [(name, f"{value / count * 1e6:.0f}", f"{count / value:.0f}")
            for name, value in (("null sink", null), ("ViT Embedding Sink, dropping", elapsed))]
    table(f"Drop path, {spec.tile_size * 4 >> 10} KiB a tile", rows, ("", "us/tile", "tiles/s"))


def stand_in(folder: str):
    """The shipped model's shape with random weights: speed does not depend on the values."""
    spec = SpectrogramSpec()
    config = ViTConfig.preset("small", tile_rows=spec.tile_rows, tile_cols=spec.tile_cols).to_dict()
    return bundles.save(folder, name="random-small", model=models.build(config), architecture=config,
                        spec=spec, card="random weights")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", nargs="?", default="radiofm-small")
    parser.add_argument("--seconds", type=float, default=50.0, help="time for the measurements, about")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        named = options.bundle != "radiofm-small" or options.bundle in bundles.shipped()
        bundle = bundles.load(options.bundle) if named else stand_in(folder)
        rng = np.random.default_rng(0)
        iq = rng.normal(size=(64 * bundle.spec.stride + bundle.spec.fft_size, 2)).astype(np.float32)
        iq = iq.view(np.complex64)[:, 0]
        tiles = tiles_from_iq(torch.from_numpy(iq), bundle.spec).numpy()
        print(f"{bundle.id}, torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}"
              f"{' with bf16' if cpu_has_bf16() else ''}")
        bench_engines(bundle, tiles, options.seconds * 0.6)
        try:
            bench_flowgraph(bundle, iq, options.seconds * 0.4)
            bench_drop(bundle, tiles)
        except ImportError as error:
            print(f"\nNo flowgraph measured: {error}")


if __name__ == "__main__":
    main()
