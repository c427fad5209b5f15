# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Signal Watch: what is new among the signals that are heard."""

import queue
import threading
import time

from gnuradio import gr

from .common import backlog, messages
from .common.arguments import whole
from .common.lifetime import Held
from .common.messages import MessageError, Prediction
from .common.optional import optional
from .common.report import Report

_NAME = "Signal Watch"
_IDLE = 0.25  # seconds after which the time is looked at
_SAVED = 60.0  # seconds after which what was learned is written, at the latest
_END = object()


class signal_watch(backlog.Reader, Held, gr.basic_block):
    """Learns for a stretch which signals are normal, then says what is new, each once: a label that was never
    heard, a known one at another frequency, one that has gone silent.

    What the stated rate of false alarms means, and what it takes for granted: docs/watch.md. Times are those
    of the stream, by its samples. Of a signal that goes on every part counts. Unknown signals are one label,
    'unknown': one where there was none before has moved.

    Message input ``predictions``: prediction PDUs, of signals or of tiles. The band is ``freq_lower_edge``,
      ``freq_upper_edge``, else that of the stream.
    Message input ``signals``: signal PDUs of Signal Detector or Signal Cutter, all labelled 'signal': what is
      new where nothing is classified. Connect one of the two.
    Message output ``alarms``: a dict for each: ``kind`` ('new', 'moved', 'silent'), ``label``,
      ``freq_lower_edge``, ``freq_upper_edge`` (Hz), ``time`` and ``since`` (seconds of the stream: when it
      was certain, and when it began), ``reason``, and ``rx_time`` of ``time`` and ``run`` as far as known.
    Message output ``status``: {command 'watch', ok, reason}: true when what is normal has been learned; false
      for a message that is refused, a state that cannot be written, and kinds of alarm that there can be none
      of at this rate after so short a time.

    learn         seconds of the stream that show what is normal
    false_alarms  alarms, at most, in an hour in which nothing has changed
    filename      the watch is kept here (.json), and goes on where it was; '': it begins anew each time
    pause         what is heard again within so many seconds was not away; 0: a hundredth of ``learn``
    tolerance     Hz by which a frequency may be off, beyond half of the bandwidth
    real_time     the stream comes as fast as the clock goes: where no message says how far it is, the clock
                  does, so that silence is noticed when nothing at all is heard. Off, messages alone do
    max_queue     messages that may wait; more are dropped and counted

    A watch from a file keeps what it has learned, and the pause that it did so with. Raises ValueError naming
    the parameter or the file and the cure, and ImportError if a Python package is missing.
    """

    def __init__(self, learn: float = 3600.0, false_alarms: float = 0.1, filename: str = "",
                 pause: float = 0.0, tolerance: float = 0.0, real_time: bool = True, max_queue: int = 65536):
        settings = optional("radiofm_ml.watch.settings", _NAME).Settings
        self._files = optional("radiofm_ml.watch.state", _NAME)
        self._event = optional("radiofm_ml.watch.events", _NAME).Event
        gr.basic_block.__init__(self, name=_NAME, in_sig=None, out_sig=None)
        self._filename = str(filename)
        try:
            wanted = settings(float(false_alarms), float(learn), float(pause), float(tolerance))
            self._watch = self._open(wanted)
        except ValueError as error:
            raise ValueError(f"{_NAME}: {error}") from None
        self._report = Report(gr.logger(self.alias()), self.message_port_pub, "watch",
                              ("received", "refused", "dropped", "failed", "alarms"))
        self._lock = threading.Lock()  # of the watch
        self._queue: queue.Queue = queue.Queue()
        self.set_max_queue(max_queue)
        self.set_real_time(real_time)
        self._worker: threading.Thread | None = None
        self._begin()
        self.message_port_register_out(messages.ALARMS)
        self.message_port_register_out(messages.STATUS)
        self.read_messages({messages.PREDICTIONS: self.handle_prediction,
                            messages.SIGNALS: self.handle_signal})

    def _open(self, settings):
        if not self._filename:
            return self._files.open_watch("", settings, ())
        self._files.check_place(self._filename)
        return self._files.open_watch(self._filename, settings, vars(settings))

    def _begin(self) -> None:
        """Of the stream nothing is known yet."""
        self._stream = None  # run and rate of the last message
        self._reached, self._since = 0.0, None  # seconds of the stream, and the clock when it was there
        self._time_at: tuple | None = None  # (seconds of the stream, rx_time)
        self._saved = time.monotonic()

    # -- life -----------------------------------------------------------------------------------------
    def start(self):
        self._report.begin_run()
        left = self.begin_run()
        if left:
            self._report.count("dropped", left)
            self._report.say("left", f"{left} messages of the run before came late, and are dropped")
        self._begin()
        self._worker = threading.Thread(target=self._work_queue, name="signal_watch", daemon=True)
        self._worker.start()
        backlog.begin_sending(self)
        return True

    def finish(self):
        self._queue.join()

    def stop(self):
        self.end_run()
        block = self.to_basic_block()
        for port, read in ((messages.PREDICTIONS, messages.parse_prediction),
                           (messages.SIGNALS, messages.parse_detection)):
            for _ in range(block.nmsgs(port)):  # what waits belongs to the run that ends
                self._take(read, block.delete_head_nowait(port), self._queue.put)
        self._queue.put(_END)
        self._worker.join()
        if not self._ended_itself:
            backlog.take_back(self, (messages.ALARMS,))
        backlog.end_sending(self)
        return True

    # -- messages: the handlers only check and queue ----------------------------------------------------
    def handle_prediction(self, message):
        self._take(messages.parse_prediction, message, self._queue.put_nowait)

    def handle_signal(self, message):
        self._take(messages.parse_detection, message, self._queue.put_nowait)

    def _take(self, read, message, put) -> None:
        self._report.count("received")
        try:
            put(_checked(read(message)))
        except queue.Full:
            self._report.count("dropped")
            self._report.say("dropped", "signals come faster than they can be noted; some are lost")
        except Exception as error:  # would end the block's thread
            self._report.refuse(str(error) or repr(error))

    # -- the thread that listens ------------------------------------------------------------------------
    def _work_queue(self) -> None:
        while True:
            try:
                item = self._queue.get(timeout=_IDLE)
            except queue.Empty:
                self._guarded(self._go_on)
                continue
            if item is not _END:
                self._guarded(self._hear, item)
            else:
                self._save()
            self._queue.task_done()
            if item is _END:
                return

    def _guarded(self, action, *arguments) -> None:
        """Do it; what goes wrong is refused or said, and the thread lives on."""
        try:
            action(*arguments)
        except ValueError as error:
            self._report.refuse(str(error))
        except Exception as error:
            self._report.fail("watch", f"a signal could not be noted: {error!r}", announce=True)
        if time.monotonic() - self._saved > _SAVED:
            self._save()

    def _hear(self, prediction: Prediction) -> None:
        info = prediction.info
        start, stop = (sample / info.sample_rate for sample in (info.sample_start,
                                                                info.sample_start + info.sample_count))
        event = self._event(start, stop, prediction.label or "unknown", *_band(info))
        with self._lock:
            learning = self._watch.learning
            if self._stream != (info.run, info.sample_rate):
                self._stream, self._reached = (info.run, info.sample_rate), start
                self._watch.begin(start)
            alarms = self._watch.feed([event])
        self._reached, self._since = max(self._reached, stop), time.monotonic()
        self._time_at = info.rx_time and (start, info.rx_time)
        self._send(alarms)
        self._say_what_was_learned(learning)

    def _go_on(self) -> None:
        """Nothing has come for a moment."""
        if not self._real_time or self._since is None:
            return
        with self._lock:
            learning = self._watch.learning
            alarms = self._watch.advance(self._reached + time.monotonic() - self._since)
        self._send(alarms)
        self._say_what_was_learned(learning)

    def _send(self, alarms: list) -> None:
        for alarm in alarms:
            self._report.count("alarms")
            known = {"run": self._stream[0]} if self._stream[0] is not None else {}
            moment = self._time_at and messages.move_time(self._time_at[1], alarm.time - self._time_at[0])
            self.message_port_pub(messages.ALARMS, messages.alarm(alarm, moment, **known))

    def _say_what_was_learned(self, was_learning: bool) -> None:
        if not was_learning or self._watch.learning:
            return
        said = f"has learned what is normal, {len(self._watch.labels)} labels"
        self.message_port_pub(messages.STATUS, messages.status("watch", True, said))
        self._say_what_is_not_seen()
        self._save()

    def _say_what_is_not_seen(self) -> None:
        for kind in self._watch.blind:
            self._report.say(f"blind {kind}", f"too little was learned for alarms of what is {kind} at "
                             f"{self._watch.settings.false_alarms:g} an hour; learn longer, or state another "
                             "rate", announce=True)

    def _save(self) -> None:
        self._saved = time.monotonic()
        if not self._filename:
            return
        try:
            with self._lock:
                self._files.save(self._watch, self._filename)
        except Exception as error:  # WatchError, whose text names the file; a later try may do
            self._report.fail("save", str(error) or repr(error), announce=True)

    # -- settings and counters ------------------------------------------------------------------------
    def _change(self, **values) -> None:
        try:
            with self._lock:
                learning = self._watch.learning
                self._watch.change(**values)
        except ValueError as error:
            raise ValueError(f"{_NAME}: {error}") from None
        self._say_what_was_learned(learning)

    def set_learn(self, learn: float) -> None:
        """While it learns: at once over if so much was heard. Later it changes nothing. Raises ValueError."""
        self._change(learn=float(learn))

    def set_false_alarms(self, false_alarms: float) -> None:
        """From the next signal on. Raises ValueError."""
        self._change(false_alarms=float(false_alarms))

    def set_tolerance(self, tolerance: float) -> None:
        """From the next signal on. Raises ValueError."""
        self._change(tolerance=float(tolerance))

    def set_real_time(self, real_time: bool) -> None:
        self._real_time = bool(real_time)

    def set_max_queue(self, max_queue: int) -> None:
        """Raises ValueError."""
        max_queue = whole(f"{_NAME}: max_queue", max_queue, 1)
        with self._queue.mutex:
            self._queue.maxsize = max_queue

    def learning(self) -> bool:
        """Is it still learning what is normal?"""
        return self._watch.learning

    def listened(self) -> float:
        """Seconds that it has listened for, those of learning and of earlier runs included."""
        return self._watch.listened

    def received(self) -> int:
        """Messages that came."""
        return self._report["received"]

    def refused(self) -> int:
        """Messages that say nothing about a signal; each was answered on ``status``."""
        return self._report["refused"]

    def dropped(self) -> int:
        """Messages lost because ``max_queue`` waited already, or because their run had ended."""
        return self._report["dropped"]

    def failed(self) -> int:
        """Times that the file could not be written, and signals that could not be noted."""
        return self._report["failed"]

    def alarms(self) -> int:
        """Alarms that were sent."""
        return self._report["alarms"]


def _checked(prediction: Prediction) -> Prediction:
    """If a watch can make something of it. Raises MessageError."""
    if not prediction.label and not prediction.unknown:
        raise MessageError("a prediction must have a label to be watched")
    if prediction.info.sample_rate is None:
        raise MessageError("key 'sample_rate' is missing, which tells the time: give samp_rate to the block "
                           "that makes the tiles, or let the stream have an rx_rate tag")
    return prediction


def _band(info: messages.TileInfo) -> tuple[float, float]:
    """Its edges in Hz, else those of the stream."""
    if info.freq_lower_edge is not None and info.freq_upper_edge is not None:
        return info.freq_lower_edge, info.freq_upper_edge
    centre = info.rx_freq or 0.0
    return centre - info.sample_rate / 2, centre + info.sample_rate / 2
