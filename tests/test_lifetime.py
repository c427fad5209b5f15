# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""A flowgraph keeps its Python blocks alive, and lets go of them.

Each flowgraph is built in a function that returns nothing but the top block, in a process of its own: what
goes wrong is a crash.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("gnuradio.radiofm")

TESTS = Path(__file__).resolve().parent

PROGRAM = """
import gc, sys, threading, weakref
import pmt
from gnuradio import blocks, gr, radiofm
from gnuradio.radiofm import messages

folder, name = sys.argv[1:]
recording, tiles, iq, head = (folder + n for n in ("/x.sigmf-meta", "/tiles", "/iq", "/head"))
source = lambda: blocks.vector_source_c([0.1j] * 20000)

def prediction():
    info = messages.TileInfo(sample_start=5, sample_count=10)
    return messages.prediction_pdu(messages.Prediction(info, label="a"))

def sigmf_source(tb):
    tb.connect(radiofm.sigmf_source(recording), blocks.null_sink(8))

def beam_source(tb):
    tb.connect(radiofm.beam_source(), blocks.head(8, 20000), blocks.null_sink(8))

def waveform_source(tb):
    tb.connect(radiofm.waveform_source(label="qpsk"), blocks.head(8, 20000), blocks.null_sink(8))

def iq_to_spectrogram(tb):
    to_tiles = radiofm.iq_to_spectrogram(tiles, 1e6)
    tb.connect(source(), to_tiles, blocks.null_sink(4 * to_tiles.spec().tile_size))

def vit_embedding_sink(tb):
    to_tiles = radiofm.iq_to_spectrogram(tiles, 1e6)
    tb.connect(source(), to_tiles, radiofm.vit_embedding_sink(tiles, 1e6, "block"))

def protobeam_classifier(tb):
    tb.connect(source(), radiofm.protobeam_classifier(iq, overload="block"))

def prototype_classifier(tb):
    sender = radiofm.vit_embedding_sink(tiles, 1e6, "block")
    receiver = radiofm.prototype_classifier(tiles)
    tb.connect(source(), radiofm.iq_to_spectrogram(tiles, 1e6), sender)
    tb.msg_connect(sender, "embeddings", receiver, "embeddings")
    tb.msg_connect(receiver, "status", blocks.message_debug(), "store")

def task_head(tb):
    sender, receiver = radiofm.vit_embedding_sink(tiles, 1e6, "block"), radiofm.task_head(head)
    tb.connect(source(), radiofm.iq_to_spectrogram(tiles, 1e6), sender)
    tb.msg_connect(sender, "embeddings", receiver, "embeddings")

def sigmf_annotation_sink(tb):
    sink = radiofm.sigmf_annotation_sink(folder + "/out.sigmf-meta", overwrite=True)
    sink.post(prediction())
    tb.msg_connect(sink, "status", blocks.message_debug(), "store")

def sigmf_annotation_sink_recording(tb):
    sink = radiofm.sigmf_annotation_sink(folder + "/own.sigmf-meta", record=True, overwrite=True)
    tb.connect(source(), sink)
    tb.msg_connect(blocks.message_strobe(prediction(), 5), "strobe", sink, "predictions")

def python_blocks():
    gc.collect()
    return [o for o in gc.get_objects()
            if isinstance(o, (gr.gateway.gateway_block, gr.hier_block2)) and not isinstance(o, gr.top_block)]

def build():
    tb = gr.top_block()
    globals()[name](tb)
    return tb

tb = build()
held = python_blocks()
held = [weakref.ref(o) for o in held if isinstance(o, gr.gateway.gateway_block)]
assert held, "there is no Python block to test"
for run in range(2):
    tb.start()
    if name.startswith("sigmf_annotation_sink"):
        threading.Event().wait(0.3)
        tb.stop()
    tb.wait()
    assert all(python() is not None for python in held)
del tb
left = [o for o in python_blocks() if type(o).__module__.startswith("gnuradio.radiofm")]
assert not left, left
print("ok")
"""

BLOCKS = ["sigmf_source", "beam_source", "waveform_source", "iq_to_spectrogram", "vit_embedding_sink",
          "protobeam_classifier", "prototype_classifier", "task_head", "sigmf_annotation_sink",
          "sigmf_annotation_sink_recording"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A recording, small bundles of both kinds and a head."""
    from radiofm_ml import heads
    from tiny_bundle import make_bundle
    from tiny_iq_bundle import make_bundle as make_iq_bundle

    path = tmp_path_factory.mktemp("lifetime")
    np.zeros(20_000, np.complex64).tofile(path / "x.sigmf-data")
    (path / "x.sigmf-meta").write_text(json.dumps(
        {"global": {"core:datatype": "cf32_le", "core:version": "1.2.0", "core:sample_rate": 1e6},
         "captures": [{"core:sample_start": 0}], "annotations": []}))
    tiles = make_bundle(path / "tiles")
    make_iq_bundle(path / "iq")
    weights = np.zeros((2, tiles.embedding_size), np.float32), np.zeros(2, np.float32)
    heads.save(path / "head", heads.Head("classification", "task", tiles.id, ("a", "b"), (weights,)))
    return path


@pytest.mark.parametrize("name", BLOCKS)
def test_a_flowgraph_keeps_its_blocks_and_lets_go_of_them(folder, name):
    done = subprocess.run([sys.executable, "-X", "faulthandler", "-c", PROGRAM, str(folder), name],
                          capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stdout.split()[-1:]) == (0, ["ok"]), done.stderr[-2000:]


RUNNING = """
import sys, time
from gnuradio import blocks, gr, radiofm

folder, end = sys.argv[1:]
tb = gr.top_block()
throttle = blocks.throttle(8, 1e6)
tb.connect(blocks.null_source(8), throttle)
tb.connect(throttle, radiofm.iq_to_spectrogram(folder + "/tiles", 1e6),
           radiofm.vit_embedding_sink(folder + "/tiles", 1e6))
tb.connect(throttle, radiofm.protobeam_classifier(folder + "/iq"))
sink = radiofm.sigmf_annotation_sink(folder + "/running.sigmf-meta", record=True, overwrite=True)
tb.connect(throttle, sink)
tb.start()
time.sleep(0.3)
exec(end)
"""


@pytest.mark.parametrize(("end", "status"), [("pass", 0), ("sys.exit(3)", 3), ("1 / 0", 1)])
def test_a_program_may_end_while_its_flowgraph_runs(folder, end, status):
    done = subprocess.run([sys.executable, "-c", RUNNING, str(folder), end], capture_output=True, text=True,
                          timeout=300, check=False)
    assert done.returncode == status, done.stderr[-2000:]
    assert (folder / "running.sigmf-data").stat().st_size > 0
    assert json.loads((folder / "running.sigmf-meta").read_text())["captures"] == [{"core:sample_start": 0}]
