# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Signal Detector: rows of a spectrogram in, a message for every signal in the band."""

import time
from dataclasses import replace

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


class signal_detector(Lingering):
    """Finds every signal in the rows of STFT and sends a PDU for each soon after it has ended; for a long one
    also while it goes on, in parts.

    How it decides, and what the stated rate of false boxes means: docs/detection.md. Nothing is ever
    dropped: where detection cannot keep up, the stream waits.

    What is found does not depend on how the rows come. Where a tag changes the rate, the frequency or the
    place in a recording, the signals until there have ended, and the noise is learnt anew.

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

    Settings that change take effect with the next rows: signals that go on end there and begin anew, and the
    noise is learnt anew. Raises ValueError naming the parameter, and ImportError if a Python package is
    missing.
    """

    def __init__(self, samp_rate: float = 0.0, fft_size: int = 1024, hop: int = 512, averaging: int = 8,
                 window=windows.WIN_HANN, false_boxes: float = 0.01,
                 min_level_db: float = 3.0, least_seconds: float = 0.0, least_hertz: float = 0.0,
                 pause: float = 0.0, longest: float = 1.0):
        self._stream = optional("radiofm_ml.detect.stream", _NAME)
        size = whole(f"{_NAME}: fft_size", fft_size, 64, 1 << 20)
        taps = windows.build(window, size) if isinstance(window, windows.win_type) else window
        try:
            # the rate is known when the first row comes
            self._form = self._stream.RowFormat(1.0, size, hop, averaging, np.asarray(taps, np.float32))
            self._settings = optional("radiofm_ml.detect.settings", _NAME).Settings(
                false_boxes=false_boxes, min_level_db=min_level_db, least_seconds=least_seconds,
                least_hertz=least_hertz, pause=pause, longest=longest)
        except ValueError as error:
            raise ValueError(f"{_NAME}: {error}") from None
        gr.basic_block.__init__(self, name=_NAME, in_sig=[(np.float32, size)], out_sig=None)
        self._report = Report(gr.logger(self.alias()), self.message_port_pub, "detect",
                              ("sent", "skipped", "failed"))
        self.set_samp_rate(samp_rate)
        self.message_port_register_out(messages.SIGNALS)
        self.message_port_register_out(messages.STATUS)
        rows = round(_BUFFERED * (self._rate or 1e6) / self._form.stride)
        self._open_stream(min(max(rows, _LEAST_ROWS), _MOST_ROWS))
        self._reset()

    def _reset(self) -> None:
        self._origin = Origin()
        self._detector, self._base = None, 0  # and the sample that its first row began with
        self._changed = False  # a setting, for the next rows
        self._following, self._signals = 0, 0  # number of the next detector's first signal; found so far
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
    def _take(self, rows: np.ndarray) -> int:
        first, stride = self._next, self._form.stride
        tags = read_tags(self.get_tags_in_range(0, first, first + len(rows)), stride)
        cuts = sorted({first, *(tag.sample // stride for tag in tags)})
        for begin, end in zip(cuts, [*cuts[1:], first + len(rows)], strict=True):
            here = [tag for tag in tags if begin * stride <= tag.sample < end * stride]
            (origin,) = origins(self._origin, here, [end * stride], self._rate, self._say)
            if self._changed or self._place(origin) != self._place(self._origin):
                self._changed = False
                self._end_here(begin * stride)
            self._origin = origin
            self._detect(rows[begin - first:end - first], begin * stride)
        return len(rows)

    def _rest(self, seconds: float, ended) -> bool:
        if ended():
            self._end_here(None)
            return True
        time.sleep(seconds)
        return False

    def _place(self, origin: Origin) -> tuple:
        """What the signals of one detector have in common."""
        return rate_in_force(self._rate, origin.rate), origin.frequency, origin.recording_shift

    def _detect(self, rows: np.ndarray, sample: int) -> None:
        rate = rate_in_force(self._rate, self._origin.rate)
        if rate is None:
            self._report.count("skipped", len(rows))
            self._say("no rate", "the sample rate is not known: set it, or let an rx_rate tag come with the "
                                 "first sample; until then nothing is found")
            return
        if self._detector is None:
            form = replace(self._form, sample_rate=rate)
            self._detector, self._base = self._stream.Detector(form, self._settings), sample
        self._send(self._detector.feed(rows), rate, None)

    def _end_here(self, sample: int | None) -> None:
        """Signals end, the next ones are found by a new detector. sample: that follows; None at the end of
        the stream."""
        detector, self._detector = self._detector, None
        if detector is not None:
            self._send(detector.flush(), detector.rows.sample_rate, sample)
        self._following = self._signals

    def _send(self, boxes: list, rate: float, end: int | None) -> None:
        for box in boxes:
            info = self._info(box, rate, end)
            if info.sample_count > 0:
                self.message_port_pub(messages.SIGNALS, messages.signal_pdu(info))
                self._report.count("sent")

    def _info(self, box, rate: float, end: int | None) -> TileInfo:
        """end: the first sample behind all that was looked at; None where there is no more."""
        origin, start = self._origin, self._base + box.sample_start
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
        """The rows at hand are lost; a new detector goes on."""
        self._detector, self._following = None, self._signals
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
