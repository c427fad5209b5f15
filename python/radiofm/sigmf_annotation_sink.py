# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""SigMF Annotation Sink: predictions become the annotations of a recording."""

import os
import queue
import threading

import numpy as np
import pmt
from gnuradio import gr

from .common import backlog, messages
from .common.optional import optional

_NAME = "SigMF Annotation Sink"
_IDLE = 0.25  # seconds after which waiting decisions are looked at
_END = object()
_TAGS = {"rx_rate": messages.RX_RATE, "rx_freq": messages.RX_FREQ, "rx_time": messages.RX_TIME}


class sigmf_annotation_sink(gr.hier_block2):
    """Writes prediction PDUs as SigMF annotations.

    Of a recording that is there (``recording``): its metadata with the annotations, at ``filename``. Of the
    stream at the input (``record``): a recording of its own, complex float32, with a capture segment at
    every ``rx_freq`` and ``rx_time`` tag. Of neither: metadata only, for a stream that is not kept.

    Equal predictions that touch or overlap become one annotation. The metadata are valid at every moment,
    also after a crash, and complete when the flowgraph has ended. Predictions wait in a bounded queue for a
    thread that writes, so nothing upstream ever waits for the disk.

    Message input ``predictions``: prediction PDUs. The band is ``freq_lower_edge``, ``freq_upper_edge`` (Hz),
    else ``rx_freq`` plus and minus half of ``sample_rate``. Unknowns are labelled 'unknown'; a regression
    is labelled with its value and unit.
    Message output ``status``: {command 'annotate', ok false, reason} for every message that is refused.

    filename     metadata file to write; may be the recording's own
    recording    recording that is annotated (as SigMF Source takes it); '' for none
    record       take a complex stream and write it beside the metadata as ``.sigmf-data``
    samp_rate    samples/s of the stream, 0 to learn it from the rx_rate tag or the predictions
    merge        merge equal predictions
    merge_gap    samples that may lie between predictions that are merged
    replace      drop the recording's annotations by others (those of an earlier run always go)
    data         with ``recording``: how the metadata find the samples, 'auto', 'link', 'copy' or 'none'
                 (see docs/radiofm.sigmf-ext.md)
    overwrite    without ``recording``: files of this name may be overwritten
    max_queue    predictions that may wait; more are dropped and counted

    Started again it annotates the recording anew; a recording of its own is continued where it ended.
    Raises ValueError naming the file and the cure, and ImportError if a Python package is missing.
    """

    def __init__(self, filename: str, recording: str = "", record: bool = False, samp_rate: float = 0.0,
                 merge: bool = True, merge_gap: int = 0, replace: bool = False, data: str = "auto",
                 overwrite: bool = False, max_queue: int = 65536):
        gr.hier_block2.__init__(self, _NAME, gr.io_signature(int(bool(record)), int(bool(record)),
                                                             gr.sizeof_gr_complex), gr.io_signature(0, 0, 0))
        # Two blocks, because one with a stream input ends with its stream: predictions come later.
        self._annotator = _annotator(filename, recording, record, samp_rate, merge, merge_gap, replace, data,
                                     overwrite, max_queue)
        self.message_port_register_hier_in("predictions")
        self.message_port_register_hier_out("status")
        self.msg_connect(self, "predictions", self._annotator, "predictions")
        self.msg_connect(self._annotator, "status", self, "status")
        self._recorder = _recorder(self._annotator) if record else None
        if self._recorder is not None:
            self.connect(self, self._recorder)

    def post(self, prediction) -> None:
        """A prediction PDU from outside the flowgraph."""
        self._annotator.to_basic_block()._post(messages.PREDICTIONS, prediction)

    def received(self) -> int:
        """Messages that came."""
        return self._annotator.counts["received"]

    def refused(self) -> int:
        """Messages that were no predictions; each was answered on ``status``."""
        return self._annotator.counts["refused"]

    def dropped(self) -> int:
        """Predictions lost because ``max_queue`` waited already."""
        return self._annotator.counts["dropped"]

    def outside(self) -> int:
        """Predictions beyond the end of the recording, which are not written."""
        return self._annotator.counts["outside"]

    def failed(self) -> int:
        """Writes that failed (the metadata are written again later, samples are not) and odd stream tags."""
        return self._annotator.counts["failed"]

    def annotations(self) -> int:
        """Annotations of this sink in the file, or about to be."""
        return self._annotator.annotations()


class _recorder(gr.sync_block):
    """Writes the stream beside the annotator's metadata."""

    def __init__(self, annotator):
        gr.sync_block.__init__(self, name=_NAME, in_sig=[np.complex64], out_sig=None)
        self._annotator = annotator

    def start(self):
        self._annotator.begin()
        return True

    def stop(self):
        self._annotator.end()
        return True

    def work(self, input_items, output_items):
        samples = input_items[0]
        tags = self.get_tags_in_window(0, 0, len(samples))
        return len(samples) if self._annotator.take(samples, self.nitems_read(0), tags) else -1


class _annotator(backlog.Reader, gr.basic_block):
    """The predictions, and all that the two blocks share. Parameters as above."""

    def __init__(self, filename, recording, record, samp_rate, merge, merge_gap, replace, data, overwrite,
                 max_queue):
        gr.basic_block.__init__(self, name=_NAME, in_sig=None, out_sig=None)
        self._log = gr.logger(self.alias())
        if record and recording:
            raise ValueError(f"{_NAME}: annotate a recording or record the stream, not both")
        if not (np.isfinite(samp_rate) and samp_rate >= 0):
            raise ValueError(f"{_NAME}: samp_rate must be at least 0 (0 if not known), "
                             f"got {samp_rate}")
        if max_queue < 1:
            raise ValueError(f"{_NAME}: max_queue must be at least 1, got {max_queue}")
        self._library = optional("radiofm_ml.sigmf.annotations", _NAME)
        self._recording = None
        self._options = {"merge": bool(merge), "merge_gap": int(merge_gap)}
        if recording:
            library = optional("radiofm_ml.sigmf.recording", _NAME)
            self._recording = library.open_recording(str(recording))
            self._options |= {"replace": bool(replace), "data": data}
        self._filename, self._record, self._rate = str(filename), bool(record), float(samp_rate) or None
        self._writer = self._new_writer()
        self._data_path = self._writer.path.with_suffix(".sigmf-data")
        if self._recording is None and not overwrite:
            self._refuse_to_overwrite()
        self._data_file = None

        self._queue: queue.Queue = queue.Queue(max_queue)
        self._worker: threading.Thread | None = None
        self._started, self._resumed = False, False
        self._base = 0  # first sample of this run in a recording that is continued
        self._end = 0  # first sample behind all that was recorded, or annotated
        self._capture: int | None = None  # where the last capture of this run begins
        self._frequency: float | None = None  # its centre frequency
        self._time: tuple | None = None  # (sample, (seconds, fraction)) of the last rx_time
        self._alive = False
        self._running = 0  # of the two blocks
        self._life = threading.Lock()
        self.counts = dict.fromkeys(("received", "refused", "dropped", "outside", "failed"), 0)
        self._counts_lock = threading.Lock()

        self.read_messages({messages.PREDICTIONS: self.handle_prediction})
        self.message_port_register_out(messages.STATUS)

    def annotations(self) -> int:
        return len(self._writer)

    # -- life ---------------------------------------------------------------------------------------
    def start(self):
        self.begin()
        return True

    def stop(self):
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
        try:
            if self._record:
                self._open_data()
            self._writer.start()
            self._alive = True
        except (OSError, ValueError) as error:  # an exception here would leave a flowgraph that never ends
            self._log.error(f"{error}; nothing is written")
            self._alive = False
        self.forget_ends()
        self._started = True
        self._resumed = not self._record
        self._worker = threading.Thread(target=self._work_queue, name="sigmf_annotation_sink", daemon=True)
        self._worker.start()

    def _open_data(self) -> None:
        self._data_file = open(self._data_path, "ab" if self._started else "wb", buffering=0)
        self._end = self._data_file.tell() // 8
        self._data_file.truncate(8 * self._end)  # what a full disk left of a sample
        self._continue()

    def _continue(self) -> None:
        """A new stretch of the recording begins, in which samples count from 0 again."""
        self._base = self._end
        self._capture, self._frequency, self._time = None, None, None

    def _close(self) -> None:
        self._queue.put(_END)
        self._worker.join()
        if self._data_file is not None:
            self._data_file.close()
            self._data_file = None

    # -- predictions: the handler only checks and queues ----------------------------------------------
    def handle_prediction(self, message):
        self.counts["received"] += 1
        try:
            prediction = messages.parse_prediction(message)
            self._queue.put_nowait(prediction)
        except messages.MessageError as error:
            self._refuse(str(error))
        except queue.Full:
            self._count_and_log("dropped", "predictions come faster than they can be written; some are lost")

    def _work_queue(self) -> None:
        while True:
            try:
                item = self._queue.get(timeout=_IDLE)
            except queue.Empty:
                self._guarded(self._writer.poll)
                continue
            if item is _END:
                self._queue.task_done()
                return self._finish()
            if self._alive:
                self._guarded(self._annotate, item)
            else:
                self._count_and_log("failed", "predictions are lost")
            self._queue.task_done()

    def _finish(self) -> None:
        if not self._alive:
            return
        try:
            self._writer.close()
        except Exception as error:
            self._log.error(f"{error}; the last annotations are lost")

    def _guarded(self, action, *arguments) -> None:
        """Do it; what goes wrong is refused or logged, and the thread lives on."""
        try:
            action(*arguments)
        except self._library.AnnotationError as error:  # the disk; the next write tries again
            self._count_and_log("failed", str(error))
        except ValueError as error:
            self._refuse(str(error))
        except Exception as error:
            self._count_and_log("failed", f"a prediction could not be written: {error!r}")

    def _annotate(self, prediction: messages.Prediction) -> None:
        info = prediction.info
        if self._resumed:
            self._resume(info.sample_start)
        start = self._base + info.sample_start
        lower, upper = info.freq_lower_edge, info.freq_upper_edge
        if lower is None and upper is None and None not in (info.rx_freq, info.sample_rate):
            lower, upper = info.rx_freq - info.sample_rate / 2, info.rx_freq + info.sample_rate / 2
        if self._recording is None and not self._record:
            self._note_stream(start, info)
        made = self._writer.add(start, info.sample_count, _label(prediction), freq_lower=lower,
                                freq_upper=upper, confidence=prediction.confidence,
                                unknown=prediction.unknown, model=info.model, task=prediction.task)
        if not made:
            self._count_and_log("outside", "predictions beyond the end of the recording are not written")
        if not self._record:
            self._end = max(self._end, start + info.sample_count)

    def _resume(self, sample_start: int) -> None:
        """The first prediction after a start: if it goes back, its stream has begun again."""
        self._resumed = False
        if self._base + sample_start >= self._end:
            return
        if self._recording is None:
            self._continue()
        else:
            self._end = 0
            self._writer = self._new_writer()
            self._writer.start()

    def _note_stream(self, start: int, info: messages.TileInfo) -> None:
        """Captures of a stream that is not kept, as the predictions tell of it."""
        if self._rate is None and info.sample_rate:
            self._rate = info.sample_rate
            self._writer.set_sample_rate(self._rate)
        if self._capture is None or (start > self._capture and info.rx_freq != self._frequency):
            self._writer.add_capture(start, info.rx_freq, info.rx_time)
            self._capture, self._frequency = start, info.rx_freq

    def _refuse(self, reason: str) -> None:
        self._count_and_log("refused", f"a message was refused: {reason}")
        self.message_port_pub(messages.STATUS, messages.status("annotate", False, reason))

    def _count_and_log(self, what: str, text: str) -> None:
        with self._counts_lock:
            self.counts[what] += 1
            first = self.counts[what] == 1
        if first:
            self._log.warn(f"{text} (logged once, counted)")

    # -- the stream ---------------------------------------------------------------------------------
    def take(self, samples: np.ndarray, first: int, tags) -> bool:
        """Write samples, the first of them number ``first`` of the stream; False if that cannot go on."""
        if not self._alive:
            return False
        try:
            self._note_tags(first, tags)
            self._store(samples)
        except Exception as error:
            self._log.error(f"{self._data_path}: cannot be written: {error}; the recording ends here")
            return False
        self._end += len(samples)
        return True

    def _store(self, samples: np.ndarray) -> None:
        view = memoryview(samples).cast("B")
        while view:
            view = view[self._data_file.write(view):]

    def _note_tags(self, first: int, tags) -> None:
        by_sample: dict[int, dict] = {}
        if first == 0:
            by_sample[0] = {}  # a capture begins here, with tags or without
        for tag in tags:
            for name, key in _TAGS.items():
                if pmt.eqv(tag.key, key):
                    by_sample.setdefault(tag.offset, {})[name] = tag.value
        for offset in sorted(by_sample):
            self._note_capture(self._base + offset, by_sample[offset])

    def _note_capture(self, sample: int, tags: dict) -> None:
        try:
            if "rx_rate" in tags:
                self._note_rate(messages.number(tags["rx_rate"], float))
            frequency = messages.number(tags["rx_freq"], float) if "rx_freq" in tags else self._frequency
            time = messages.time_from_pmt(tags["rx_time"]) if "rx_time" in tags else None
        except messages.MessageError as error:
            self._count_and_log("failed", f"a stream tag is left out: {error}")
            return
        if time is not None:
            self._time = sample, time
        elif self._capture is not None and frequency == self._frequency:
            return  # nothing new
        elif self._time is not None and self._rate is not None:
            time = messages.move_time(self._time[1], (sample - self._time[0]) / self._rate)
        self._writer.add_capture(sample, frequency, time)
        self._capture, self._frequency = sample, frequency

    def _note_rate(self, rate: float) -> None:
        if self._rate is None and rate > 0:
            self._rate = rate
            self._writer.set_sample_rate(rate)
        elif rate != self._rate:
            self._count_and_log("failed", f"the rate changes from {self._rate} to {rate}; a recording has "
                                          "one, the first")

    # -- files --------------------------------------------------------------------------------------
    def _new_writer(self):
        if self._recording is not None:
            return self._library.AnnotationWriter(self._filename, self._recording, **self._options)
        info = {"core:datatype": "cf32_le", "core:recorder": self._library.GENERATOR}
        if self._rate is not None:
            info["core:sample_rate"] = self._rate
        if not self._record:
            info["core:metadata_only"] = True
        return self._library.AnnotationWriter(self._filename, info=info, **self._options)

    def _refuse_to_overwrite(self) -> None:
        for path in (self._writer.path, self._data_path):
            if os.path.lexists(path):
                raise ValueError(f"{path}: is there already; choose another name or allow overwrite")


def _label(prediction: messages.Prediction) -> str:
    """The label; of a regression its value and unit."""
    if prediction.label or prediction.unknown:
        return prediction.label
    if prediction.unit is None and prediction.labels:
        raise ValueError("a prediction must have a label")
    values = ", ".join(f"{value:.4g}" for value in prediction.scores)
    return f"{values} {prediction.unit or ''}".strip()
