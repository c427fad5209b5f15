# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Signal Cutter: what Signal Detector has found, cut out of the stream, at baseband and a rate of its own."""

import time
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from gnuradio import gr

from .common import backlog, messages, runs
from .common.arguments import number, whole
from .common.lingering import PATIENCE, Lingering
from .common.messages import MessageError, TileInfo
from .common.optional import optional
from .common.origin import Origin, contradiction, origins, rate_in_force, read_tags, stated_rate
from .common.overload import AUTO, set_overload
from .common.report import Report
from .common.worker import OVERLOADS, BatchWorker
from .radiofm_python import _flowgraph

_NAME = "Signal Cutter"
_BUFFERED = 0.1  # seconds that fit into the buffer before the block, about
_LEAST_BUFFERED, _MOST_BUFFERED = 1 << 13, 1 << 21  # samples
_HISTORY = 3.0  # seconds that are kept where the user does not say, and at least, in samples:
_LEAST_HISTORY = 1 << 23
_MOST_HISTORY = 1 << 31
_MOST_AHEAD = 1 << 16  # boxes that may lie ahead of the stream


@dataclass(eq=False)
class _Wanted:
    """A box, in samples and cycles a sample, that waits for the samples that it needs."""

    info: TileInfo
    box: object
    needs: int  # samples that must have come

    @property
    def begins(self) -> int:
        """The first sample that it needs, or one before."""
        return self.box.sample_start - (self.needs - self.box.sample_start - self.box.sample_count)


class signal_cutter(backlog.Reader, Lingering):
    """Cuts the signals that Signal Detector has found out of the stream: each at baseband, at a rate of its
    own, exact to a sample and a hertz (docs/cutting.md).

    Connect the stream that the detector's STFT reads, too, and the detector's port. The newest samples are
    kept in a history; boxes that reach ahead of the stream wait for it. Cutting runs on a thread of its own.

    Message input ``signals``: signal PDUs, whose payload does not matter; those found at another sample rate
      are refused.
    Message output ``signals``: the same with the samples, (dict . c32vector), in the order in which the boxes
      became complete. The middle of ``freq_lower_edge`` and ``freq_upper_edge`` lies at 0 Hz. Added are
      ``rate`` (samples/s of the payload), ``lead`` (samples of the payload before the signal's first; as many
      or fewer follow its last; both fade) and ``missing`` (samples of the stream at the signal's beginning
      that were not kept any more). ``rx_time`` is that of the payload's first sample, ``sample_start`` still
      that of the signal.
    Message output ``status``: {command 'cut', ok false, reason} for every message that is refused, and once a
      run when signals could not be cut out.

    samp_rate     samples/s of the stream; 0: as the ``rx_rate`` tags say
    oversampling  least rate of a cut-out over its box's bandwidth, 1.25 to 16
    history       seconds of the stream that are kept, 8 bytes a sample and as many again for spectra; 0: 3 s,
                  and at least 8 million samples. It must cover the detector's ``longest`` twice over
    overload      'drop': the stream never waits; of more than ``max_queue`` signals that wait the oldest go,
                  and what the history has lost is missing, both counted. 'block': the stream waits. 'auto':
                  'block' where the stream comes from files or is computed, 'drop' where it is live
    max_queue     signals that may wait to be cut out

    Raises ValueError naming the parameter, and ImportError if a Python package is missing.
    """

    def __init__(self, samp_rate: float = 0.0, oversampling: float = 2.0, history: float = 0.0,
                 overload: str = AUTO, max_queue: int = 256):
        self._library = optional("radiofm_ml.detect.cutter", _NAME)
        self._box = optional("radiofm_ml.detect.stream", _NAME).Box
        self._history = number(f"{_NAME}: history", history, 0.0, 3600.0)
        self._rate = stated_rate(f"{_NAME}: samp_rate", samp_rate)
        self._running = False
        try:
            self._new_cutter = partial(self._library.Cutter, 1.0, oversampling)  # in cycles a sample
            self._plans = self._new_cutter(1 << 13)
            self._worker = BatchWorker(self._cut, max_batch=1, max_latency=0.0,
                                       capacity=whole(f"{_NAME}: max_queue", max_queue, 1, 4096),
                                       overload=OVERLOADS[0], on_error=self._failed, on_drop=self._dropping,
                                       name="signal_cutter")
            self.set_overload(overload)
        except ValueError as error:
            text = str(error)
            raise ValueError(text if text.startswith(_NAME) else f"{_NAME}: {text}") from None
        gr.basic_block.__init__(self, name=_NAME, in_sig=[np.complex64], out_sig=None)
        self._report = Report(gr.logger(self.alias()), self.message_port_pub, "cut",
                              ("received", "refused", "sent", "dropped", "lost", "incomplete", "failed"))
        self.message_port_register_out(messages.SIGNALS)
        self.message_port_register_out(messages.STATUS)
        self.read_messages({messages.SIGNALS: self.handle_signal}, stream=True)
        buffered = round(_BUFFERED * (self._rate or 1e6))
        self._open_stream(min(max(buffered, _LEAST_BUFFERED), _MOST_BUFFERED))
        self._oversampling = oversampling
        self._reset()

    def _reset(self) -> None:
        self._origin = Origin()
        self._waiting: list[_Wanted] = []  # for samples, or for the worker
        self._handed: list[_Wanted] = []  # to the worker, which has not done them yet
        self._cutter = None  # its history is as long as the rate, known with the first samples, asks for
        self._stopping = False
        self._report.begin_run()

    # -- life -----------------------------------------------------------------------------------------
    def start(self):
        self._begin_stream()
        self._reset()
        self._running = True
        self.set_overload(self._overload)
        left = self.begin_run()
        if left:
            self._report.say("left", f"{left} signals of the run before came late, and are dropped")
        self._report.count("dropped", left + self._worker.dropped)  # the worker counts from 0
        self._report.count("failed", self._worker.failed)
        self._worker.start()
        self._number = runs.begin()
        backlog.begin_sending(self)
        return True

    def stop(self):
        self._stopping, self._running = True, False
        self.end_run()
        self._worker.stop()
        self._report.count("dropped", len(self._waiting))
        if not _flowgraph.input_ended(self.to_basic_block(), 0):
            taken_back = backlog.take_back(self, (messages.SIGNALS,))
            self._report.count("sent", -taken_back)
            self._report.count("dropped", taken_back)
        self._cutter = None
        self._end_stream()
        runs.end(self._number)
        backlog.end_sending(self)
        return True

    # -- the block's thread ---------------------------------------------------------------------------
    def handle_signal(self, message) -> None:
        self._report.count("received")
        try:
            self._waiting.append(self._wanted(message))
        except (MessageError, ValueError) as error:
            self._report.refuse(str(error))
        except Exception as error:  # would end the block's thread and leave a flowgraph that never stops
            self._report.refuse(f"failed: {type(error).__name__}: {error}")
        else:
            self._offer()

    def _wanted(self, message) -> _Wanted:
        """Raises MessageError, ValueError."""
        info, _ = messages.parse_signal(message)
        own = rate_in_force(self._rate, self._origin.rate)
        rate = info.sample_rate or own
        if rate is None:
            raise MessageError("a signal: key 'sample_rate' is missing, and the stream's rate is not known")
        if text := contradiction(own, info.sample_rate):
            raise MessageError(f"a signal: it was found in another stream: {text}")
        if info.freq_lower_edge is None or info.freq_upper_edge is None:
            raise MessageError("a signal: keys 'freq_lower_edge' and 'freq_upper_edge' are missing")
        centre, signal = info.rx_freq or 0.0, info.signal
        if len(self._waiting) >= _MOST_AHEAD:
            raise MessageError(f"a signal: {_MOST_AHEAD} wait already")
        box = self._box(signal.signal, signal.part, signal.ended, info.sample_start, info.sample_count,
                        (info.freq_lower_edge - centre) / rate, (info.freq_upper_edge - centre) / rate, 0.0)
        return _Wanted(replace(info, sample_rate=rate), box, self._plans.needs(box))

    def _take(self, samples: np.ndarray) -> int:
        if self._cutter is None:
            self._note_tags(len(samples))
            self._kept = self._kept_samples()
            self._cutter = self._new_cutter(self._kept)
        self._offer()
        samples = samples[:self._room()]
        if len(samples):
            self._note_tags(len(samples))
            self._cutter.feed(samples)
            self._offer()
        else:
            self._worker.wait_idle(PATIENCE[1])
        return len(samples)

    def _note_tags(self, count: int) -> None:
        first = self._next
        tags = read_tags(self.get_tags_in_range(0, first, first + count), 1)
        (self._origin,) = origins(self._origin, tags, [first + count], self._rate, self._say)

    def _room(self) -> int:
        """How many samples may come without that some get lost that a box still needs."""
        if not self.waits():
            return self._kept
        if self._worker.wait_idle(0):
            self._handed.clear()
        ready = [w for w in self._waiting if w.needs <= self._cutter.position]
        first = min((w.begins for w in [*ready, *self._handed]), default=self._cutter.position)
        return max(0, first + self._kept - self._cutter.position)

    def _kept_samples(self) -> int:
        rate = rate_in_force(self._rate, self._origin.rate)
        if not self._history:
            return min(max(round(_HISTORY * (rate or 0.0)), _LEAST_HISTORY), _MOST_HISTORY)
        if rate is None:
            self._say("no rate", "history in seconds needs the sample rate, which is not known: "
                                 f"{_LEAST_HISTORY} samples are kept")
            return _LEAST_HISTORY
        return min(max(round(self._history * rate), 2 * self._library.BLOCK), _MOST_HISTORY)

    def _offer(self, all_there: bool = False) -> None:
        """Hand the boxes that are complete to the worker; those that there is room for."""
        position = self._cutter.position if self._cutter else 0
        if all_there:  # no more samples come
            beyond = [w for w in self._waiting if w.box.sample_start >= position]
            self._waiting = [w for w in self._waiting if w.box.sample_start < position]
            self._lose(len(beyond), "signals lie behind the end of the stream")
        ready = [w for w in self._waiting if all_there or w.needs <= position]
        if ready:
            self._handed += ready
            taken = self._worker.put(len(ready), ready.__getitem__)
            del self._handed[len(self._handed) - len(ready) + taken:]
            gone = set(map(id, ready[:taken]))
            self._waiting = [w for w in self._waiting if id(w) not in gone]
        excess = len(self._waiting) - self._worker.capacity
        if excess > 0 and not self.waits():
            del self._waiting[:excess]
            self._report.count("dropped", excess)
            self._dropping()

    def _rest(self, seconds: float, ended) -> bool:
        self._offer()
        if not ended() or backlog.awaits(self, messages.SIGNALS):
            time.sleep(seconds)
            return False
        self._offer(all_there=True)
        return not self._waiting and self._worker.wait_idle(seconds)

    # -- the worker's thread --------------------------------------------------------------------------
    def _cut(self, batch: list[_Wanted]) -> int:
        (wanted,) = batch
        cut = self._cutter.cut(wanted.box)
        if wanted in self._handed:
            self._handed.remove(wanted)
        if cut is None:
            self._lose(1, "signals are older than what is kept of the stream: make history longer")
            return 1
        backlog.wait(self, messages.SIGNALS, lambda: self._stopping or not self.waits())
        if self._stopping:  # the blocks behind read no more
            return 0
        if cut.missing:
            self._report.count("incomplete")
            self._say("missing", "the beginning of signals is older than what is kept of the stream: make "
                                 "history longer")
        self.message_port_pub(messages.SIGNALS, self._pdu(wanted.info, cut))
        self._report.count("sent")
        return 1

    def _pdu(self, info: TileInfo, cut):
        rate, time_there = info.sample_rate, info.rx_time
        if time_there is not None:
            time_there = messages.time_after(time_there, cut.start - info.sample_start, rate)
        signal = replace(info.signal, rate=cut.rate * rate, lead=cut.lead, missing=cut.missing)
        return messages.signal_pdu(replace(info, rx_time=time_there, run=self._number, signal=signal),
                                   cut.samples)

    # -- complaints -----------------------------------------------------------------------------------
    def _say(self, about: str, text: str) -> None:
        self._report.say(about, text, announce=True)

    def _lose(self, count: int, text: str) -> None:
        if count:
            self._report.count("lost", count)
            self._say("lost", text)

    def _dropping(self) -> None:
        self._say("dropping", "signals come faster than they can be cut out: the oldest that wait are "
                              "dropped, and counted. Where the source can wait, set overload to 'block'")

    def _failed(self, error: Exception) -> None:
        self._say("failed", f"{type(error).__name__}: {error}")

    # -- settings and counters ------------------------------------------------------------------------
    def set_samp_rate(self, samp_rate: float) -> None:
        """For what is to come; the history stays as long as it is. 0: as the ``rx_rate`` tags say. Raises
        ValueError."""
        self._rate = stated_rate(f"{_NAME}: samp_rate", samp_rate)

    def set_overload(self, overload: str) -> None:
        """'auto', 'drop' or 'block'. Raises ValueError."""
        self._overload = set_overload(overload, self._worker, self if self._running else None)

    def set_max_queue(self, max_queue: int) -> None:
        """Raises ValueError."""
        self._worker.set_capacity(max_queue)

    def samp_rate(self) -> float:
        return self._rate or 0.0

    def oversampling(self) -> float:
        return self._oversampling

    def history(self) -> float:
        """Seconds, as they were set."""
        return self._history

    def overload(self) -> str:
        """As it was set."""
        return self._overload

    def waits(self) -> bool:
        """Does the stream wait where cutting cannot keep up? With overload 'auto' it is known while the
        flowgraph runs."""
        return self._worker.overload == "block"

    def max_queue(self) -> int:
        return self._worker.capacity

    def received(self) -> int:
        """Messages that came."""
        return self._report["received"]

    def refused(self) -> int:
        """Messages that were no signals of this stream; each was answered on ``status``."""
        return self._report["refused"]

    def sent(self) -> int:
        """Signals cut out and sent."""
        return self._report["sent"]

    def incomplete(self) -> int:
        """Those among them of which the beginning is missing."""
        return self._report["incomplete"]

    def lost(self) -> int:
        """Signals of which nothing was kept any more, or that lie behind the stream's end."""
        return self._report["lost"]

    def dropped(self) -> int:
        """Signals dropped because ``max_queue`` waited already, or because the flowgraph was stopped."""
        return self._report["dropped"] + self._worker.dropped

    def failed(self) -> int:
        """Signals that could not be cut out because of a fault."""
        return self._report["failed"] + self._worker.failed
