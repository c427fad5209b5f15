# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Signal Detector: rows of a spectrogram in, a message for every signal in the band."""

import math
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from gnuradio import gr
from gnuradio.fft import window as windows

from .common import backlog, messages, runs
from .common.arguments import whole
from .common.lingering import Lingering
from .common.messages import Signal, TileInfo
from .common.optional import optional
from .common.origin import Origin, origins, rate_in_force, read_tags, stated_rate
from .common.report import Report
from .radiofm_python import _flowgraph

_NAME = "Signal Detector"
_BUFFERED = 0.1  # seconds that fit into the buffer before the block, about: it works on as much at once
_LEAST_ROWS, _MOST_ROWS = 64, 512


def _row_format(fft_size: int, hop: int, averaging: int, window=windows.WIN_HANN):
    """How the rows of an input are made; the rate is known when the first one comes. Raises ValueError."""
    form = optional("radiofm_ml.detect.stream", _NAME).RowFormat
    size = whole("fft_size", fft_size, 64, 1 << 20)
    taps = windows.build(window, size) if isinstance(window, windows.win_type) else window
    return form(1.0, size, hop, averaging, np.asarray(taps, np.float32))


class _Rows:
    """Rows of one input that wait, ``stride`` samples apart."""

    def __init__(self, stride: int):
        self.stride, self.next = stride, 0  # number of the first that waits
        self._waiting: list[np.ndarray] = []

    @property
    def end(self) -> int:
        """The sample that the next row to come begins with."""
        return (self.next + sum(map(len, self._waiting))) * self.stride

    def put(self, rows: np.ndarray) -> None:
        self._waiting.append(rows.copy())  # the buffer before the block is used again

    def take(self, until: int | None) -> tuple[int, np.ndarray]:
        """The rows that begin before a sample, or all; and the number of the first of them."""
        if not self._waiting:
            return self.next, np.empty((0, 0), np.float32)
        rows = self._waiting[0] if len(self._waiting) == 1 else np.concatenate(self._waiting)
        count = len(rows) if until is None else min(len(rows), max(0, -(-until // self.stride) - self.next))
        first, self.next = self.next, self.next + count
        self._waiting = [rows[count:]] if count < len(rows) else []
        return first, rows[:count]


@dataclass
class _Stretch:
    """A stretch of the stream at one rate and frequency, and what its tags have said so far."""

    start: int
    origin: Origin


class signal_detector(Lingering):
    """Finds every signal in the rows of STFT and sends a PDU for each soon after it has ended; for a long one
    also while it goes on, in parts.

    How it decides, and what the stated rate of false boxes means: docs/detection.md. Nothing is ever
    dropped: where detection cannot keep up, the stream waits.

    What is found does not depend on how the rows come. Where a tag changes the rate, the frequency or the
    place in a recording, the signals until there have ended, and the noise is learnt anew.

    With rows at several resolutions (``more_rows``) the boxes are those of the input that resolves each best.
    What the tags say is read from the first input.

    Message output ``signals``: signal PDUs (docs/messages.md), the payload empty: ``signal`` (its number),
      ``part``, ``ended``, ``sample_start``, ``sample_count``, ``sample_rate``, ``freq_lower_edge``,
      ``freq_upper_edge`` (Hz; around 0 without ``rx_freq``), ``snr`` (dB, in its own band), ``bandwidth``
      (Hz), ``duration`` (s), and as far as tags tell ``rx_freq`` and ``rx_time`` of its first sample.
    Message output ``status``: {command 'detect', ok false, reason}, once a run, when the sample rate is not
      known, when a tag cannot be read, and when one contradicts ``samp_rate``.

    samp_rate      samples/s of the stream before the STFT; 0: as the ``rx_rate`` tags say
    fft_size, hop, averaging, window  of the STFT, whose output must be dB with DC in the middle; window is
                   one of ``gnuradio.fft.window``, or its taps
    false_boxes    boxes that noise may make, per second and MHz
    min_level_db   mean power of a signal over the noise, signal and noise together
    least_seconds, least_hertz  leave out what is shorter, what is narrower
    pause          seconds between bursts of one signal, at most; 0: six rows
    longest        seconds after which a signal that goes on is a part
    more_rows      (fft_size, hop, averaging, window) of each further input: rows of the stream at another
                   resolution, where one cannot hold both short bursts and narrow carriers

    Settings that change take effect with the next rows: signals that go on end there and begin anew, and the
    noise is learnt anew. Raises ValueError naming the parameter, and ImportError if a Python package is
    missing.
    """

    def __init__(self, samp_rate: float = 0.0, fft_size: int = 1024, hop: int = 512, averaging: int = 8,
                 window=windows.WIN_HANN, false_boxes: float = 0.01,
                 min_level_db: float = 3.0, least_seconds: float = 0.0, least_hertz: float = 0.0,
                 pause: float = 0.0, longest: float = 1.0, more_rows: Sequence[tuple] = ()):
        self._library = optional("radiofm_ml.detect.finder", _NAME)
        try:
            self._forms = [_row_format(*given) for given in ((fft_size, hop, averaging, window), *more_rows)]
            self._settings = optional("radiofm_ml.detect.settings", _NAME).Settings(
                false_boxes=false_boxes, min_level_db=min_level_db, least_seconds=least_seconds,
                least_hertz=least_hertz, pause=pause, longest=longest)
        except ValueError as error:
            raise ValueError(f"{_NAME}: {error}") from None
        gr.basic_block.__init__(self, name=_NAME, out_sig=None,
                                in_sig=[(np.float32, form.fft_size) for form in self._forms])
        self._report = Report(gr.logger(self.alias()), self.message_port_pub, "detect",
                              ("sent", "skipped", "failed"))
        self.set_samp_rate(samp_rate)
        self.message_port_register_out(messages.SIGNALS)
        self.message_port_register_out(messages.STATUS)
        rows = round(_BUFFERED * (self._rate or 1e6) / min(form.stride for form in self._forms))
        self._open_stream(min(max(rows, _LEAST_ROWS), _MOST_ROWS))
        self._reset()

    def _reset(self) -> None:
        self._origin = Origin()
        self._rows = [_Rows(form.stride) for form in self._forms]  # of each input, that wait
        self._stretches = deque([_Stretch(0, self._origin)])  # the one that is looked at, and those after it
        self._finder = None
        self._changed = False  # a setting, for the next rows
        self._following, self._signals = 0, 0  # number of the next finder's first signal; found so far
        self._report.begin_run()

    # -- life -----------------------------------------------------------------------------------------
    def start(self):
        self._begin_stream()
        self._reset()
        self._number = runs.begin()
        backlog.begin_sending(self)
        return True

    def stop(self):
        if not _flowgraph.input_ended(self.to_basic_block(), 0):
            backlog.take_back(self, (messages.SIGNALS,))
        self._end_stream()
        runs.end(self._number)
        backlog.end_sending(self)
        return True

    # -- the block's thread ---------------------------------------------------------------------------
    def _take_from(self, port: int, rows: np.ndarray) -> int:
        if port == 0:
            self._note_tags(len(rows))
        self._rows[port].put(rows)
        self._look_at_rows()
        return len(rows)

    def _rest(self, seconds: float, ended) -> bool:
        if ended():
            self._look_at_rows(last=True)
            return True
        time.sleep(seconds)
        return False

    def _note_tags(self, count: int) -> None:
        """Begin another stretch where the tags of the first input say that something else begins."""
        first, stride = self._next, self._forms[0].stride
        tags = read_tags(self.get_tags_in_range(0, first, first + count), stride)
        cuts = sorted({first, *(tag.sample // stride for tag in tags)})
        for begin, end in zip(cuts, [*cuts[1:], first + count], strict=True):
            here = [tag for tag in tags if begin * stride <= tag.sample < end * stride]
            (origin,) = origins(self._origin, here, [end * stride], self._rate, self._say)
            if begin and (self._changed or self._place(origin) != self._place(self._origin)):
                self._stretches.append(_Stretch(begin * stride, origin))
            self._changed = False
            self._origin = self._stretches[-1].origin = origin

    def _place(self, origin: Origin) -> tuple:
        """What the signals of one stretch have in common."""
        return rate_in_force(self._rate, origin.rate), origin.frequency, origin.recording_shift

    def _look_at_rows(self, last: bool = False) -> None:
        """Find signals in the rows that belong to a stretch for sure: the first input tells where it ends."""
        while True:
            here = self._stretches[0]
            end = self._stretches[1].start if len(self._stretches) > 1 else None
            known = None if last else self._rows[0].end
            for number, waiting in enumerate(self._rows):
                first, rows = waiting.take(known if end is None else end)
                begin = -(-self._begin(here) // waiting.stride)
                self._find(here, number, rows[max(0, begin - first):])
            if end is None and not last:
                return
            if not last and any(waiting.next * waiting.stride < end for waiting in self._rows):
                return
            self._end_here(here, end)
            if end is None:
                return
            self._stretches.popleft()

    def _begin(self, stretch: "_Stretch") -> int:
        """The first sample at which rows of all inputs begin."""
        together = math.lcm(*(form.stride for form in self._forms))
        return -(-stretch.start // together) * together

    def _find(self, stretch: "_Stretch", number: int, rows: np.ndarray) -> None:
        rate = rate_in_force(self._rate, stretch.origin.rate)
        if not len(rows):
            return
        if rate is None:
            self._report.count("skipped", len(rows))
            self._say("no rate", "the sample rate is not known: set it, or let an rx_rate tag come with the "
                                 "first sample; until then nothing is found")
            return
        if self._finder is None:
            forms = [replace(form, sample_rate=rate) for form in self._forms]
            self._finder = self._library.Finder(forms, self._settings)
        self._send(self._finder.take(number, rows), stretch, None)

    def _end_here(self, stretch: "_Stretch", end: int | None) -> None:
        """The signals of a stretch end; what follows, from sample ``end`` on, is for a new finder."""
        finder, self._finder = self._finder, None
        if finder is not None:
            self._send(finder.flush(), stretch, end)
        self._following = self._signals

    def _send(self, boxes: list, stretch: "_Stretch", end: int | None) -> None:
        for box in boxes:
            info = self._info(box, stretch, end)
            if info.sample_count > 0:
                self.message_port_pub(messages.SIGNALS, messages.signal_pdu(info))
                self._report.count("sent")

    def _info(self, box, stretch: "_Stretch", end: int | None) -> TileInfo:
        origin, start = stretch.origin, self._begin(stretch) + box.sample_start
        rate = rate_in_force(self._rate, origin.rate)
        stop = min(start + box.sample_count, *(s for s in (end, origin.padding) if s is not None), 1 << 62)
        number = self._following + box.signal
        self._signals = max(self._signals, number + 1)
        centre = origin.frequency or 0.0
        signal = Signal(number, box.part, box.ended, box.snr_db, box.freq_upper - box.freq_lower,
                        (stop - start) / rate)
        return TileInfo(start, max(0, stop - start), rate, origin.frequency, origin.time_of(start, rate),
                        freq_lower_edge=centre + box.freq_lower, freq_upper_edge=centre + box.freq_upper,
                        run=self._number, recording_shift=origin.recording_shift, signal=signal)

    # -- complaints -----------------------------------------------------------------------------------
    def _say(self, about: str, text: str) -> None:
        self._report.say(about, text, announce=True)

    def _failed(self, error: Exception) -> None:
        """The rows at hand are lost; a new finder goes on with a new stretch."""
        self._finder, self._following = None, self._signals
        for waiting in self._rows:
            waiting.take(None)
        self._stretches = deque([_Stretch(max(waiting.end for waiting in self._rows), self._origin)])
        self._report.fail("failed", f"detection failed: {type(error).__name__}: {error}", announce=True)

    # -- settings and counters ------------------------------------------------------------------------
    def set_samp_rate(self, samp_rate: float) -> None:
        """From the next rows on. 0: as the ``rx_rate`` tags say. Raises ValueError."""
        self._rate = stated_rate(f"{_NAME}: samp_rate", samp_rate)
        self._changed = True

    def _set(self, **values) -> None:
        try:
            self._settings = replace(self._settings, **values)
        except ValueError as error:
            raise ValueError(f"{_NAME}: {error}") from None
        self._changed = True

    def set_false_boxes(self, false_boxes: float) -> None:
        self._set(false_boxes=false_boxes)

    def set_min_level_db(self, min_level_db: float) -> None:
        self._set(min_level_db=min_level_db)

    def set_least_seconds(self, least_seconds: float) -> None:
        self._set(least_seconds=least_seconds)

    def set_least_hertz(self, least_hertz: float) -> None:
        self._set(least_hertz=least_hertz)

    def set_pause(self, pause: float) -> None:
        self._set(pause=pause)

    def set_longest(self, longest: float) -> None:
        self._set(longest=longest)

    def samp_rate(self) -> float:
        return self._rate or 0.0

    def settings(self):
        """``radiofm_ml.detect.settings.Settings`` in force."""
        return self._settings

    def signals(self) -> int:
        """Signals found in this run."""
        return self._signals

    def sent(self) -> int:
        """PDUs sent: one for every part of a signal."""
        return self._report["sent"]

    def skipped(self) -> int:
        """Rows left out because the sample rate was not known."""
        return self._report["skipped"]

    def failed(self) -> int:
        """How often detection failed and began anew."""
        return self._report["failed"]

    def bad_tags(self) -> int:
        """Tags of this run that could not be read and were left out."""
        return self._origin.bad
