# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""RadioFM Receiver: a radio in, its signals found, named and annotated, and taught, in one block."""

import pmt
from gnuradio import gr
from gnuradio.fft import window as windows

from .common.lifetime import connect_message_ports
from .common.optional import optional
from .common.origin import stated_rate
from .common.tuning import tuning
from .prototype_classifier import prototype_classifier
from .qt.labelled_waterfall import labelled_waterfall
from .qt.teach_panel import teach_panel
from .radiofm_python import stft
from .sigmf_annotation_sink import sigmf_annotation_sink
from .signal_cutter import signal_cutter
from .signal_detector import signal_detector
from .vit_embedding_sink import vit_embedding_sink

_NAME = "RadioFM Receiver"


class receiver(gr.hier_block2):
    """Finds the signals of a band, cuts each out, embeds it and names it by what was taught; shows them to be
    taught with the mouse, and writes them as SigMF annotations.

    Inside are STFT, Signal Detector, Signal Cutter, ViT Embedding Sink, Prototype Classifier, and as wanted
    Labelled Waterfall, Teach Panel and SigMF Annotation Sink. Without ``gui`` nothing imports Qt.

    Message input ``commands``: prototype commands (docs/messages.md), such as enroll.
    Message output ``predictions``: a prediction PDU a signal, or a part of a long one.
    Message output ``status``: what all blocks inside say: answers to commands, refusals, drops.

    bundle            a bundle that reads signals: its path, its name, a Hugging Face id
    samp_rate         samples/s; 0: as the ``rx_rate`` tags say
    center_freq       Hz in the middle of the band; counts even where ``rx_freq`` tags say otherwise. 0: as
                      they say, and around 0 Hz where there are none
    annotations       SigMF metadata file to write; '' for none
    record            write the samples, too, beside the annotations
    overwrite         files of this name may be overwritten
    gui               make the window, ``qwidget()``: a QApplication must be there
    prototypes        file of prototypes to begin with; '' for none
    false_alarm_rate  share of signals of taught labels that may be called unknown, 0.001 to 0.5
    fft_size, averaging  of the STFT; the hop is half the size
    false_boxes, min_level_db, least_seconds, least_hertz, pause, longest  of Signal Detector

    Raises ValueError naming the parameter or file and the cure, and ImportError if a Python package is
    missing.
    """

    def __init__(self, bundle: str = "radiofm-pico", samp_rate: float = 0.0, center_freq: float = 0.0,
                 annotations: str = "", record: bool = False, overwrite: bool = False, gui: bool = False,
                 prototypes: str = "", false_alarm_rate: float = 0.05, fft_size: int = 1024,
                 averaging: int = 8, false_boxes: float = 0.01, min_level_db: float = 3.0,
                 least_seconds: float = 0.001, least_hertz: float = 0.0, pause: float = 0.0,
                 longest: float = 1.0):
        gr.hier_block2.__init__(self, _NAME, gr.io_signature(1, 1, gr.sizeof_gr_complex),
                                gr.io_signature(0, 0, 0))
        if record and not annotations:
            raise ValueError(f"{_NAME}: name the annotations file beside which to record")
        rate = stated_rate(f"{_NAME}: samp_rate", samp_rate) or 0.0
        self._tuning = tuning(_NAME, center_freq)
        self._detector = signal_detector(
            rate, fft_size, fft_size // 2, averaging, windows.WIN_HANN, false_boxes, min_level_db,
            least_seconds, least_hertz, pause, longest)
        self._rows = stft(fft_size, fft_size // 2, windows.WIN_HANN, averaging, "db", True, rate)
        self._cutter = signal_cutter(samp_rate=rate)
        self._embedder = vit_embedding_sink(bundle, rate, max_queue=64)
        self._classifier = prototype_classifier(
            bundle, prototypes=prototypes, shipped=False, false_alarm_rate=false_alarm_rate, signals=True)
        self._rated = [self._rows, self._detector, self._cutter, self._embedder]  # that are told the rate
        self._window = None
        for name in ("predictions", "status"):
            self.message_port_register_hier_out(name)
        self.message_port_register_hier_in("commands")
        self._connect()
        if annotations:
            self._annotate(annotations, record, rate, overwrite)
        if gui:
            self._show(rate, fft_size, averaging)

    def _connect(self) -> None:
        self.connect(self, self._tuning, self._rows, self._detector)
        self.connect(self._tuning, self._cutter)
        self.msg_connect(self._detector, "signals", self._cutter, "signals")
        self.msg_connect(self._cutter, "signals", self._embedder, "signals")
        self.msg_connect(self._embedder, "embeddings", self._classifier, "embeddings")
        connect_message_ports(self, self._classifier, inputs=("commands=prototypes",),
                              outputs=("predictions",))
        for block in (self._detector, self._cutter, self._embedder, self._classifier):
            connect_message_ports(self, block, outputs=("status",))

    def _annotate(self, filename: str, record: bool, rate: float, overwrite: bool) -> None:
        sink = sigmf_annotation_sink(filename, record=record, samp_rate=rate, overwrite=overwrite)
        self.msg_connect(self._classifier, "predictions", sink, "predictions")
        connect_message_ports(self, sink, outputs=("status",))
        if record:
            self.connect(self._tuning, sink)

    def _show(self, rate: float, fft_size: int, averaging: int) -> None:
        window = optional(f"{__package__}.qt.receiver_window", _NAME)
        if not window.has_application():
            raise ValueError(f"{_NAME}: a window needs a QApplication; switch gui off, or make one first")
        waterfall = labelled_waterfall(rate, 0.0, fft_size, fft_size // 2, averaging)
        panel = teach_panel()
        self.connect(self._rows, waterfall)
        for block in (waterfall, panel):
            self.msg_connect(self._detector, "signals", block, "signals")
            self.msg_connect(self._classifier, "predictions", block, "predictions")
            self.msg_connect(self._classifier, "status", block, "answers")
            self.msg_connect(block, "prototypes", self._classifier, "prototypes")
            connect_message_ports(self, block, outputs=("status",))
        self.msg_connect(self._embedder, "status", panel, "answers")
        self.msg_connect(self._classifier, "prototypes_out", panel, "state")
        self._rated.append(waterfall)
        self._window = window.beside(waterfall.qwidget(), panel.qwidget())

    def qwidget(self):
        """The window, a QWidget; None without ``gui``."""
        return self._window

    def post(self, command) -> None:
        """A prototype command (PMT) from outside the flowgraph."""
        self._classifier.to_basic_block()._post(pmt.intern("prototypes"), command)

    # -- settings -------------------------------------------------------------------------------------
    def set_samp_rate(self, samp_rate: float) -> None:
        """From the next samples on. 0: as the ``rx_rate`` tags say. Raises ValueError."""
        rate = stated_rate(f"{_NAME}: samp_rate", samp_rate) or 0.0
        for block in self._rated:
            block.set_samp_rate(rate)

    def set_center_freq(self, center_freq: float) -> None:
        """From the next samples on; signals that go on end there. 0: as the ``rx_freq`` tags say. Raises
        ValueError."""
        self._tuning.set_center_freq(center_freq)

    def set_false_alarm_rate(self, false_alarm_rate: float) -> None:
        """Behind the commands that wait; what cannot be set is refused on ``status``."""
        self.post(pmt.to_pmt({"command": "false_alarm_rate", "rate": float(false_alarm_rate)}))
