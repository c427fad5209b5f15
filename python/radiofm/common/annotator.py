# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Predictions become annotations: where each of them lies in the recording that they are about."""

from collections.abc import Callable

from .messages import Prediction, TileInfo
from .origin import contradiction
from .recorder import Recorder
from .report import Report


class Annotator:
    """Writes predictions as annotations; how they lie in the recording is up to its kinds, below.

    library     ``radiofm_ml.sigmf.annotations``
    new_writer  makes the AnnotationWriter
    report      told what goes wrong with a prediction that is written all the same
    """

    def __init__(self, library, new_writer: Callable, report: Report):
        self._library, self._new_writer, self._report = library, new_writer, report
        self.writer = new_writer()
        self.error = library.AnnotationError

    def start(self) -> None:
        """A run begins. Raises OSError, ValueError."""
        self.writer.start()

    def stop(self) -> None:
        """A run ends; no prediction of it follows. Raises AnnotationError."""
        self.writer.close()

    def annotate(self, prediction: Prediction) -> bool:
        """Write a prediction; False if it lies outside of the recording. Raises ValueError for what cannot
        be written; nothing has changed then."""
        info = prediction.info
        label = label_of(prediction)
        lower, upper = info.freq_lower_edge, info.freq_upper_edge
        if lower is None and upper is None and None not in (info.rx_freq, info.sample_rate):
            lower, upper = info.rx_freq - info.sample_rate / 2, info.rx_freq + info.sample_rate / 2
        # before anything changes, where it lies among it
        self._library.check_decision(info.sample_start, info.sample_count, label, lower, upper,
                                     prediction.confidence, info.model, prediction.task)
        start, count = self._place(prediction)
        if start + count <= 0:
            return False
        start, count = max(0, start), count + min(0, start)
        made = self.writer.add(start, count, label, freq_lower=lower, freq_upper=upper,
                               confidence=prediction.confidence, unknown=prediction.unknown,
                               model=info.model, task=prediction.task, **_of_signal(info))
        return made > 0

    def _place(self, prediction: Prediction) -> tuple[int, int]:
        """First sample and number of samples in the recording, for a prediction that will be written."""
        raise NotImplementedError


class LiveAnnotator(Annotator):
    """Writes predictions about a stream that a Recorder (``recorder``) writes at the same time."""

    def __init__(self, library, new_writer, report, samp_rate: float | None):
        super().__init__(library, new_writer, report)
        self.recorder = Recorder(self.writer, samp_rate, report)

    def start(self) -> None:
        self.writer.keep_room()
        self.recorder.start()
        try:
            self.writer.start()
        except ValueError:
            self.recorder.stop()
            raise

    def stop(self) -> None:
        self.recorder.stop()
        self.writer.close()

    def _place(self, prediction: Prediction) -> tuple[int, int]:
        return self.recorder.base + prediction.info.sample_start, prediction.info.sample_count


class RecordingAnnotator(Annotator):
    """Writes predictions about a recording that is there, and is played."""

    def __init__(self, library, new_writer, report, recording):
        super().__init__(library, new_writer, report)
        self._rate = recording.sample_rate
        self._first = False  # is the next prediction the first one since a start?
        self._end = 0  # first sample behind all that was annotated
        self._shifts: dict[tuple[str, str], int] = {}  # the last of every model and task

    def start(self) -> None:
        self._first = True
        super().start()

    def _place(self, prediction: Prediction) -> tuple[int, int]:
        start, count = self._in_recording(prediction.info)
        if self._first and start < self._end:
            self._begin_anew()
        self._first = False
        self._end = max(self._end, start + count)
        self._note_pass(prediction)
        return start, count

    def _in_recording(self, info: TileInfo) -> tuple[int, int]:
        """Where a stretch of the stream lies: moved by what SigMF Source says, at the recording's rate."""
        if not contradiction(self._rate, info.sample_rate):
            return info.sample_start + (info.recording_shift or 0), info.sample_count
        ratio = self._rate / info.sample_rate
        rates = f"the stream has {info.sample_rate:g} samples/s, the recording {self._rate:g}"
        if info.recording_shift is None:
            self._report.say("position", f"{rates}, and no recording_shift tag of SigMF Source has come: "
                             "annotations stand where the stream counts them")
            return info.sample_start, info.sample_count
        self._report.say("position", f"{rates}: annotations stand where the recording counts them")
        start = round(info.sample_start * ratio)
        end = max(start + 1, round((info.sample_start + info.sample_count) * ratio))
        return start + info.recording_shift, end - start

    def _begin_anew(self) -> None:
        """The stream has begun again."""
        self._end = 0
        self._shifts.clear()
        self.writer = self._new_writer()
        self.writer.start()

    def _note_pass(self, prediction: Prediction) -> None:
        """Where the recording is repeated, a later pass takes the place of an earlier one."""
        shift, key = prediction.info.recording_shift, (prediction.info.model, prediction.task)
        if shift is None:
            return
        if shift < self._shifts.get(key, shift):
            self.writer.begin_pass(*key)
        self._shifts[key] = shift


class StreamAnnotator(Annotator):
    """Writes predictions about a stream that is not kept: metadata only, with the captures that they tell
    of."""

    def __init__(self, library, new_writer, report, samp_rate: float | None):
        super().__init__(library, new_writer, report)
        self._rate = samp_rate
        self._first = False  # is the next prediction the first one since a start?
        self._base, self._end = 0, 0  # samples before this stretch, first one behind all annotations
        self._capture: int | None = None  # where the last capture of this stretch begins
        self._frequency: float | None = None  # its centre frequency

    def start(self) -> None:
        self._first = True
        super().start()

    def _place(self, prediction: Prediction) -> tuple[int, int]:
        info = prediction.info
        if self._first and self._base + info.sample_start < self._end:  # the stream has begun again
            self._base, self._capture, self._frequency = self._end, None, None
        self._first = False
        start = self._base + info.sample_start
        self._note_capture(start, info)
        self._end = max(self._end, start + info.sample_count)
        return start, info.sample_count

    def _note_capture(self, start: int, info: TileInfo) -> None:
        if self._rate is None and info.sample_rate:
            self._rate = info.sample_rate
            self.writer.set_sample_rate(self._rate)
        elif contradiction(self._rate, info.sample_rate):
            self._report.say("rate", f"predictions are of {info.sample_rate:.10g} samples/s, the metadata "
                             f"say {self._rate:.10g}", announce=True)
        if self._capture is not None and (start <= self._capture or info.rx_freq == self._frequency):
            return
        try:
            self.writer.add_capture(start, info.rx_freq, info.rx_time)
        except ValueError as error:  # a time that cannot be said
            self._report.fail("rx_time", f"rx_time is left out: {error}")
            self.writer.add_capture(start, info.rx_freq)
        self._capture, self._frequency = start, info.rx_freq


def _of_signal(info: TileInfo) -> dict:
    """What ``AnnotationWriter.add`` takes of a signal, or of a part of one."""
    signal = info.signal
    if signal is None:
        return {}
    said = "" if signal.snr is None else f"SNR {signal.snr:.1f} dB"
    return {"signal": f"{info.run}/{signal.signal}", "ended": signal.ended, "comment": said}


def label_of(prediction: Prediction) -> str:
    """The label; of a regression its value and unit. Raises ValueError if there is none."""
    if prediction.label or prediction.unknown:
        return prediction.label
    if prediction.unit is None and (prediction.labels or not len(prediction.scores)):
        raise ValueError("a prediction must have a label")
    values = ", ".join(f"{value:.4g}" for value in prediction.scores)
    return f"{values} {prediction.unit or ''}".strip()
