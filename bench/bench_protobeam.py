#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""How much of the bare encoder's throughput the ProtoBeam Classifier keeps.

    bench/bench_protobeam.py [BUNDLE] [--seconds S]

The encoder, called in a loop with the batches that the block makes, beside a flowgraph from samples to
prediction PDUs of 24 taught beams. Rounds of both are interleaved and their medians compared, so that the
ratio holds on a busy machine too. CPU time is that of all threads together.
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))

from radiofm_ml.engines import open_engine  # noqa: E402, I001  before torch
import numpy as np  # noqa: E402
from gnuradio import blocks, gr, radiofm  # noqa: E402
from inference import interleaved, table  # noqa: E402
from radiofm_ml import bundle as bundles  # noqa: E402
from radiofm_ml.synth.beams import BeamSimulator  # noqa: E402

BATCH = 64
EACH = 64  # blocks of a beam


class Flowgraph(gr.top_block):
    """Samples to predictions; all of them are waited for."""

    def __init__(self, bundle, samples: np.ndarray, taught: str):
        gr.top_block.__init__(self)
        self.source = blocks.vector_source_c(samples)
        self.classifier = radiofm.protobeam_classifier(bundle, prototypes=taught, overload="block",
                                                       max_batch=BATCH)
        self.heard = blocks.message_debug()
        self.connect(self.source, self.classifier)
        self.msg_connect((self.classifier, "predictions"), (self.heard, "store"))
        self.count = len(samples) // bundle.block

    def once(self) -> None:
        self.source.rewind()
        before = self.heard.num_messages()
        self.run()
        assert self.classifier.embedded() == self.count and self.classifier.dropped() == 0
        assert self.heard.num_messages() - before == self.count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", nargs="?", default="protobeam-sim")
    parser.add_argument("--seconds", type=float, default=20.0, help="time for the measurement, about")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bundle = bundles.load(options.bundle, bundles.IQ)
        engine = open_engine(bundle)
        simulator, rng = BeamSimulator("a"), np.random.default_rng(0)
        cut = np.concatenate([simulator.blocks(beam, EACH, rng, length=bundle.block)
                              for beam in simulator.beams])

        from radiofm_ml.fewshot import FewShot

        few = FewShot(bundle.embedding_size, model=bundle.id, calibration=bundle.calibration)
        for beam in simulator.beams:
            few.prototypes.enroll(f"beam {beam}", engine.embed(cut[beam * EACH:beam * EACH + 2]))
        taught = f"{folder}/taught.safetensors"
        few.save(taught)

        def bare() -> None:
            for i in range(0, len(cut), BATCH):
                engine.embed(cut[i:i + BATCH])

        flowgraph = Flowgraph(bundle, cut.ravel(), taught)
        times = interleaved({"encoder alone": bare, "flowgraph": flowgraph.once}, options.seconds)
    base = times["encoder alone"]
    rows = [(name, f"{len(cut) / wall:.0f}", f"{len(cut) / cpu:.0f}", f"{base[0] / wall:.2f}",
             f"{base[1] / cpu:.2f}") for name, (wall, cpu) in times.items()]
    title = f"{bundle.id}, {engine.name}, {len(cut)} blocks of {bundle.block} samples, batches of {BATCH}"
    table(title, rows, ("", "blocks/s", "blocks/CPU s", "x encoder", "in CPU"))


if __name__ == "__main__":
    main()
