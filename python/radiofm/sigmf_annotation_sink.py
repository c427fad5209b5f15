# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""SigMF Annotation Sink: predictions become the annotations of a recording."""

import os
import queue
import threading

import numpy as np
from gnuradio import gr

from .common import backlog, messages
from .common.annotator import Annotator, LiveAnnotator, RecordingAnnotator, StreamAnnotator
from .common.arguments import whole
from .common.lifetime import Held, connect_message_ports
from .common.optional import optional
from .common.origin import stated_rate
from .common.report import Report

_NAME = "SigMF Annotation Sink"
_IDLE = 0.25  # seconds after which waiting decisions are looked at
_END = object()


class sigmf_annotation_sink(gr.hier_block2):
    """Writes prediction PDUs as SigMF annotations.

    Of a recording that is there (``recording``): its metadata with the annotations, at ``filename``. Of the
    stream at the input (``record``): a recording of its own, complex float32, with a capture segment at
    every ``rx_freq`` and ``rx_time`` tag. Of neither: metadata only, for a stream that is not kept.

    Where samples cannot be written (disk full, folder removed), the recording ends there, whole and with its
    annotations, for which room is kept on the disk. The block goes on taking samples and leaves them out, so
    that everything else in the flowgraph goes on, until it is started again.

    Of a recording that SigMF Source plays, annotations stand where the samples are in the recording
    (``recording_shift``), counted at the recording's own rate; where it is repeated, what a later pass says
    of the same samples takes the place of what an earlier one said. Predictions of a run before, which come
    late, are dropped.

    Equal predictions that touch or overlap become one annotation; of signals, the parts of each. The metadata
    are valid at every moment, also after a crash, and complete when the flowgraph has ended. Messages wait in
    a bounded queue for a thread that writes, so nothing upstream ever waits for the disk.

    Message input ``predictions``: prediction PDUs. The band is ``freq_lower_edge``, ``freq_upper_edge`` (Hz),
    else ``rx_freq`` plus and minus half of ``sample_rate``. Unknowns are labelled 'unknown'; a regression
    is labelled with its value and unit.
    Message input ``signals``: signal PDUs of Signal Detector or Signal Cutter: annotations labelled 'signal'.
      (What is predicted of signals comes in ``predictions``.)
    Message output ``status``: {command 'annotate', ok false, reason} for every message that is refused, when
    something cannot be written, and once a run when a rate contradicts ``samp_rate``.

    filename     metadata file to write; may be the recording's own
    recording    recording that is annotated (as SigMF Source takes it); '' for none
    record       take a complex stream and write it beside the metadata as ``.sigmf-data``
    samp_rate    samples/s of the stream, 0 to learn it from the rx_rate tag or the predictions
    merge        merge equal predictions
    merge_gap    samples that may lie between predictions that are merged
    replace      drop the recording's annotations by others (those of an earlier run always go)
    data         with ``recording``: how the metadata find the samples, 'auto', 'link', 'copy' or 'none'
                 (see docs/radiofm.sigmf-ext.md)
    overwrite    files of this name may be overwritten, also if they are not our annotations of ``recording``
    max_queue    predictions that may wait; more are dropped and counted

    Started again it annotates the recording anew; a recording of its own is continued where it ended.
    Raises ValueError naming the file and the cure, and ImportError if a Python package is missing.
    """

    def __init__(self, filename: str, recording: str = "", record: bool = False, samp_rate: float = 0.0,
                 merge: bool = True, merge_gap: int = 0, replace: bool = False, data: str = "auto",
                 overwrite: bool = False, max_queue: int = 65536):
        gr.hier_block2.__init__(self, _NAME, gr.io_signature(int(bool(record)), int(bool(record)),
                                                             gr.sizeof_gr_complex), gr.io_signature(0, 0, 0))
        if record and recording:
            raise ValueError(f"{_NAME}: annotate a recording or record the stream, not both")
        rate = stated_rate(f"{_NAME}: samp_rate", samp_rate)
        # Two blocks, because one with a stream input ends with its stream: predictions come later.
        self._predictions = _predictions(max_queue)
        self._report = self._predictions.report
        self._options = {"merge": bool(merge), "merge_gap": int(merge_gap)}
        if recording:
            more = {"replace": bool(replace), "data": data, "overwrite": bool(overwrite)}
            self._annotator = _recording_annotator(str(filename), str(recording), self._report, self._options,
                                                   more)
        else:
            self._annotator = _stream_annotator(str(filename), record, rate, self._report, self._options)
            if not overwrite:
                _refuse_to_overwrite(self._annotator.writer.path)
        self._predictions.annotator = self._annotator
        for port in ("predictions", "signals"):
            self.message_port_register_hier_in(port)
        self.message_port_register_hier_out("status")
        connect_message_ports(self, self._predictions, inputs=("predictions", "signals"),
                              outputs=("status",))
        if record:
            self._stream = _stream(self._predictions)
            self.connect(self, self._stream)

    def post(self, prediction) -> None:
        """A prediction PDU from outside the flowgraph."""
        self._predictions.to_basic_block()._post(messages.PREDICTIONS, prediction)

    # -- settings and counters ------------------------------------------------------------------------
    def set_merge(self, merge: bool) -> None:
        """From the next prediction on."""
        self._annotator.writer.set_merging(bool(merge), self._options["merge_gap"])
        self._options["merge"] = bool(merge)

    def set_merge_gap(self, merge_gap: int) -> None:
        """From the next prediction on. Raises ValueError."""
        self._annotator.writer.set_merging(self._options["merge"], int(merge_gap))
        self._options["merge_gap"] = int(merge_gap)

    def set_max_queue(self, max_queue: int) -> None:
        """Raises ValueError."""
        self._predictions.set_max_queue(max_queue)

    def received(self) -> int:
        """Messages that came."""
        return self._report["received"]

    def refused(self) -> int:
        """Messages that were no predictions; each was answered on ``status``."""
        return self._report["refused"]

    def dropped(self) -> int:
        """Predictions lost because ``max_queue`` waited already, or because their run had ended."""
        return self._report["dropped"]

    def outside(self) -> int:
        """Predictions that lie outside of the recording, which are not written."""
        return self._report["outside"]

    def failed(self) -> int:
        """Writes that failed (of metadata, which are tried again later, and of samples, once for each
        recording that ended so) and stream tags that were left out."""
        return self._report["failed"]

    def annotations(self) -> int:
        """Annotations of this sink in the file, or about to be."""
        return len(self._annotator.writer)


class _stream(Held, gr.sync_block):
    """The input: what comes is recorded."""

    def __init__(self, predictions: "_predictions"):
        gr.sync_block.__init__(self, name=_NAME, in_sig=[np.complex64], out_sig=None)
        self._predictions, self._recorder = predictions, predictions.annotator.recorder

    def start(self):
        self._predictions.begin()
        return True

    def stop(self):
        self._predictions.end()
        return True

    def work(self, input_items, output_items):
        samples = input_items[0]
        self._recorder.take(samples, self.nitems_read(0), self.get_tags_in_window(0, 0, len(samples)))
        return len(samples)


class _predictions(backlog.Reader, Held, gr.basic_block):
    """The message port: predictions wait in a queue for the thread that writes them."""

    def __init__(self, max_queue: int):
        gr.basic_block.__init__(self, name=_NAME, in_sig=None, out_sig=None)
        self._log = gr.logger(self.alias())
        self.report = Report(self._log, self.message_port_pub, "annotate",
                             ("received", "refused", "dropped", "outside", "failed"))
        self.annotator: Annotator | None = None  # given when it is made
        self._queue: queue.Queue = queue.Queue()
        self.set_max_queue(max_queue)
        self._worker: threading.Thread | None = None
        self._alive = False
        self._running = 0  # of the two blocks
        self._life = threading.Lock()
        self.read_messages({messages.PREDICTIONS: self.handle_prediction,
                            messages.SIGNALS: self.handle_signal})
        self.message_port_register_out(messages.STATUS)

    def set_max_queue(self, max_queue: int) -> None:
        max_queue = whole(f"{_NAME}: max_queue", max_queue, 1)
        with self._queue.mutex:
            self._queue.maxsize = max_queue

    # -- life ---------------------------------------------------------------------------------------
    def start(self):
        self.begin()
        left = self.begin_run()
        if left:
            self.report.count("dropped", left)
            self.report.say("left", f"{left} predictions of the run before came late, and are dropped")
        return True

    def stop(self):
        self.end_run()
        self.end()
        return True

    def begin(self) -> None:
        """The first of the two blocks to start opens the files. (GNU Radio starts all before any works.)"""
        with self._life:
            self._running += 1
            if self._running == 1:
                self._open()

    def end(self) -> None:
        """The last of them to stop closes the files; this one does not run if nothing is connected to it."""
        with self._life:
            self._running -= 1
            if self._running == 0:
                self._close()

    def _open(self) -> None:
        self.report.begin_run()
        try:
            self.annotator.start()
            self._alive = True
        except (OSError, ValueError) as error:  # an exception here would leave a flowgraph that never ends
            self.report.fail("open", f"{error}; nothing is written", announce=True)
            self._alive = False
        self._worker = threading.Thread(target=self._work_queue, name="sigmf_annotation_sink", daemon=True)
        self._worker.start()

    def _close(self) -> None:
        """What waits belongs to the run that ends."""
        block = self.to_basic_block()
        for port, read in ((messages.PREDICTIONS, messages.parse_prediction),
                           (messages.SIGNALS, messages.parse_detection)):
            for _ in range(block.nmsgs(port)):
                self._take(read, block.delete_head_nowait(port), self._queue.put)
        self._queue.put(_END)
        self._worker.join()

    # -- predictions: the handler only checks and queues ----------------------------------------------
    def handle_prediction(self, message):
        self._take(messages.parse_prediction, message, self._queue.put_nowait)

    def handle_signal(self, message):
        self._take(messages.parse_detection, message, self._queue.put_nowait)

    def _take(self, read, message, put) -> None:
        self.report.count("received")
        try:
            put(read(message))
        except queue.Full:
            self.report.count("dropped")
            self.report.say("dropped", "predictions come faster than they can be written; some are lost")
        except Exception as error:  # would end the block's thread
            self.report.refuse(str(error) or repr(error))

    # -- the thread that writes -----------------------------------------------------------------------
    def _work_queue(self) -> None:
        while True:
            try:
                item = self._queue.get(timeout=_IDLE)
            except queue.Empty:
                if self._alive:
                    self._guarded(self.annotator.writer.poll)
                continue
            if item is _END:
                self._queue.task_done()
                return self._finish()
            if self._alive:
                self._guarded(self._annotate, item)
            else:
                self.report.fail("lost", "predictions are lost")
            self._queue.task_done()

    def _annotate(self, prediction: messages.Prediction) -> None:
        if not self.annotator.annotate(prediction):
            self.report.count("outside")
            self.report.say("outside", "predictions beyond the end of the recording are not written")

    def _finish(self) -> None:
        if not self._alive:
            return
        try:
            self.annotator.stop()
        except Exception as error:
            self.report.fail("end", f"{error}; the last annotations are lost", announce=True)

    def _guarded(self, action, *arguments) -> None:
        """Do it; what goes wrong is refused or said, and the thread lives on."""
        try:
            action(*arguments)
        except self.annotator.error as error:  # the disk; the next write tries again
            self.report.fail("write", str(error), announce=True)
        except ValueError as error:
            self.report.refuse(str(error))
        except Exception as error:
            self.report.fail("prediction", f"a prediction could not be written: {error!r}", announce=True)


# Outside of the class: what a block inside refers to must not refer to the block around it.
def _recording_annotator(filename: str, recording: str, report: Report, options: dict,
                         more: dict) -> Annotator:
    library = optional("radiofm_ml.sigmf.annotations", _NAME)
    opened = optional("radiofm_ml.sigmf.recording", _NAME).open_recording(recording)
    return RecordingAnnotator(library, lambda: library.AnnotationWriter(filename, opened, **options, **more),
                              report, opened)


def _stream_annotator(filename: str, record: bool, rate: float | None, report: Report,
                      options: dict) -> Annotator:
    library = optional("radiofm_ml.sigmf.annotations", _NAME)
    info = {"core:datatype": "cf32_le", "core:recorder": library.GENERATOR}
    if rate is not None:
        info["core:sample_rate"] = rate
    if not record:
        info["core:metadata_only"] = True
    return (LiveAnnotator if record else StreamAnnotator)(
        library, lambda: library.AnnotationWriter(filename, info=info, **options), report, rate)


def _refuse_to_overwrite(meta) -> None:
    for path in (meta, meta.with_suffix(".sigmf-data")):
        if os.path.lexists(path):
            raise ValueError(f"{path}: is there already; choose another name or allow overwrite")
