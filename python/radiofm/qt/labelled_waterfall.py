# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Labelled Waterfall: rows of STFT on the screen, a box and a name at every signal, to be taught there."""

import time

import numpy as np
from gnuradio import gr

from ..common import backlog, messages
from ..common.arguments import number, whole
from ..common.lingering import Lingering
from ..common.optional import optional
from ..common.origin import Origin, origins, rate_in_force, read_tags, stated_rate
from ..common.report import Report
from .answers import ANSWERS, Listener
from .rows import RowRing
from .waterfall import Waterfall

_NAME = "Labelled Waterfall"
_BUFFERED = 0.1  # seconds that fit into the buffer before the block, about: it works on as much at once
_LEAST_ROWS, _MOST_ROWS = 16, 2048
_SHARE = 0.15  # of one core that looking at rows may take; beyond, only some are looked at
_WATCHED = 0.5  # seconds over which that is measured
THEMES = ("auto", "dark", "light")


class labelled_waterfall(Listener, backlog.Reader, Lingering):
    """Draws rows of a spectrogram as they come, with what was found in them: a box at every signal, with its
    label and how sure that is. Draw a rectangle, or click a box, and type a name: it is taught.

    Nothing here computes a transform. Of the rows in a line of the picture the strongest value of each bin is
    kept, so that a short burst is seen at any rate; where even that would cost too much, every second or
    fourth row is looked at, and the window says so. The stream is never held up for drawing.

    Input: rows of STFT in dB, DC in the middle.
    Message input ``predictions``: prediction PDUs of any classifier; ``signals``: signal PDUs; ``answers``:
      what classifiers say on ``status``.
    Message output ``prototypes``: commands for the classifier's port of that name (docs/messages.md).
    Message output ``status``: {command 'show', ok false, reason} for every message that is refused, and once
      a run when the sample rate is not known.

    samp_rate    samples/s of the stream before the STFT; 0: as the ``rx_rate`` tags say
    center_freq  Hz in the middle of the band; 0: as the ``rx_freq`` tags say
    fft_size, hop, averaging  of the STFT
    history      seconds that can be scrolled back, 1 to 3600; less where that would be more than 256 MB
    lines        of the picture a second, at most
    theme        'auto' (as the window around it), 'dark' or 'light'

    ``qwidget()`` is the window, made with the block: a QApplication must be there. Raises ValueError naming
    the parameter, and ImportError if a Python package is missing.
    """

    def __init__(self, samp_rate: float = 0.0, center_freq: float = 0.0, fft_size: int = 1024, hop: int = 512,
                 averaging: int = 8, history: float = 300.0, lines: float = 50.0, theme: str = "auto"):
        size = whole(f"{_NAME}: fft_size", fft_size, 8, 1 << 24)
        stride = (whole(f"{_NAME}: hop", hop, 1) * whole(f"{_NAME}: averaging", averaging, 1))
        self.set_samp_rate(samp_rate)
        self.set_center_freq(center_freq)
        rows = RowRing(size, stride, number(f"{_NAME}: history", history, 1.0, 3600.0),
                       number(f"{_NAME}: lines", lines, 1.0, 1000.0))
        gr.basic_block.__init__(self, name=_NAME, in_sig=[(np.float32, size)], out_sig=None)
        self._report = Report(gr.logger(self.alias()), self.message_port_pub, "show",
                              Listener.COUNTERS)
        self._stride = stride
        self._model = Waterfall(rows, self._ask)
        for port in (messages.PROTOTYPES, messages.STATUS):
            self.message_port_register_out(port)
        self.read_messages({messages.PREDICTIONS: self.handle_prediction,
                            messages.SIGNALS: self.handle_signal},
                           {ANSWERS: self.handle_answer}, stream=True)
        buffered = round(_BUFFERED * (self._rate or 1e6) / stride)
        self._open_stream(min(max(buffered, _LEAST_ROWS), _MOST_ROWS))
        self._reset()
        self._window = optional(f"{__package__}.waterfall_window", _NAME).WaterfallWindow(self._model)
        self.set_theme(theme)

    def qwidget(self):
        """The window, a QWidget."""
        return self._window

    def _reset(self) -> None:
        self._origin = Origin()
        self._busy, self._since = 0.0, None
        self._model.clear()
        self._model.step = 1
        self._report.begin_run()

    # -- life -----------------------------------------------------------------------------------------
    def start(self):
        self._begin_stream()
        self._reset()
        self.begin_run()
        return True

    def stop(self):
        self.end_run()
        self._end_stream()
        return True

    # -- the block's thread: rows ---------------------------------------------------------------------
    def _take(self, rows: np.ndarray) -> int:
        began = time.perf_counter()
        first = self._next
        tags = read_tags(self.get_tags_in_range(0, first, first + len(rows)), self._stride)
        cuts = sorted({first, *(tag.sample // self._stride for tag in tags)})
        for begin, end in zip(cuts, [*cuts[1:], first + len(rows)], strict=True):
            here = [tag for tag in tags if begin * self._stride <= tag.sample < end * self._stride]
            (self._origin,) = origins(self._origin, here, [end * self._stride], self._rate, self._say)
            self._show(begin, rows[begin - first:end - first])
        self._watch_cost(began)
        return len(rows)

    def _show(self, begin: int, rows: np.ndarray) -> None:
        rate = rate_in_force(self._rate, self._origin.rate)
        if rate is None:
            self._report.count("skipped", len(rows))
            self._say("no rate", "the sample rate is not known: set it, or let an rx_rate tag come with the "
                                 "first sample; until then nothing is shown")
            return
        told, sample = self._origin.frequency, begin * self._stride
        clock = self._origin.time_of(sample, rate)
        clock = None if clock is None else sum(clock)
        self._model.rows.begin(sample, rate, self._centre or told, told, clock)
        self._model.rows.put(rows, self._model.step)

    def _watch_cost(self, began: float) -> None:
        """Look at fewer rows where looking takes too much of a core, at more where it takes little."""
        now = time.perf_counter()
        self._busy += now - began
        if self._since is None:
            self._busy, self._since = 0.0, now
        if now - self._since < _WATCHED:
            return
        share, stretch = self._busy / (now - self._since), self._model.rows.latest
        most = stretch.hold if stretch else 1
        if share > _SHARE and 2 * self._model.step <= most:
            self._model.step *= 2
        elif share < _SHARE / 4 and self._model.step > 1:
            self._model.step //= 2
        self._busy, self._since = 0.0, now

    def _rest(self, seconds: float, ended) -> bool:
        if ended() and not any(backlog.awaits(self, port) for port in (messages.PREDICTIONS,
                                                                       messages.SIGNALS)):
            return True
        time.sleep(seconds)
        return False

    def _failed(self, error: Exception) -> None:
        self._report.fail("rows", f"rows were not shown: {type(error).__name__}: {error}", announce=True)

    # -- the block's thread: messages -----------------------------------------------------------------
    def handle_signal(self, message) -> None:
        self._read(messages.SIGNALS, lambda: self._model.add_signal(messages.parse_signal(message)[0]))

    def _say(self, about: str, text: str) -> None:
        self._report.say(about, text, announce=True)

    # -- settings and counters ------------------------------------------------------------------------
    def set_samp_rate(self, samp_rate: float) -> None:
        """From the next rows on. 0: as the ``rx_rate`` tags say. Raises ValueError."""
        self._rate = stated_rate(f"{_NAME}: samp_rate", samp_rate)

    def set_center_freq(self, center_freq: float) -> None:
        """From the next rows on. 0: as the ``rx_freq`` tags say. Raises ValueError."""
        self._centre = number(f"{_NAME}: center_freq", center_freq, -1e12, 1e12) or None

    def set_theme(self, theme: str) -> None:
        """'auto', 'dark' or 'light'; from the window's thread. Raises ValueError."""
        if theme not in THEMES:
            raise ValueError(f"{_NAME}: theme must be one of {', '.join(THEMES)}, got {theme!r}")
        self._window.set_theme(theme)

    def skipped(self) -> int:
        """Rows that were not shown, because their sample rate was not known."""
        return self._report["skipped"]
