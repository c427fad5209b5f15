# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Beam Source: simulated 60 GHz beams through a front end that can be swapped while the flowgraph runs."""

import math
import threading
from dataclasses import dataclass, replace

import numpy as np
import pmt
from gnuradio import gr

from .common import backlog, messages
from .common.arguments import number, whole
from .common.lifetime import Held
from .common.messages import MessageError, get
from .common.optional import optional

_NAME = "Beam Source"
SWEEP = -1  # in place of a beam
CONTROL, TRUTH = pmt.mp("control"), pmt.mp("truth")
_COMMAND = "control"
MAX_WAITING = 1024  # changes that may wait for their sample


@dataclass(frozen=True)
class _Settings:
    front_end: str | int
    beam: int
    rx_gain: float
    angle: float
    dwell: int


class beam_source(Held, gr.sync_block):
    """I/Q of a simulated 60 GHz link whose transmitter sends through one beam of its codebook or all in turn.

    A simulator (radiofm_ml.synth.beams): a classifier of beams that was taught with one front end fails with
    another, as on recorded data. The samples depend on nothing but the settings and where they change. It
    works as fast as its samples are taken; GNU Radio's *Throttle* holds it back.

    Output: complex stream, without gaps. Tags: ``rx_rate`` and ``rx_freq`` on the first sample; on the first
      and at the exact sample where each changes ``front_end``, ``beam``, ``rx_gain`` and ``angle``.
    Message input ``control``: a dict with any of ``front_end``, ``beam`` (-1 to sweep), ``rx_gain``,
      ``angle``, ``dwell``, which take effect together at the start of a block of 2048 samples: the next one
      to be made, or the first at ``sample_start`` or later.
    Message output ``status``: when a change has taken effect, {command 'control', ok true, sample_start} and
      what was set; for one that is refused {command 'control', ok false, reason}.
    Message output ``truth``: at the first sample and at every change, before the samples are out: a dict with
      ``sample_start``, ``label`` ('beam 7'), ``beam``, ``front_end``, ``rx_gain``, ``angle``.

    Args:
        front_end: 'a' to 'd', or the number of another from 0 (also as text)
        beam: number of the beam, or -1 to sweep through all of them from 0 on
        dwell: samples of a beam in a sweep
        rx_gain: gain of the receiver in dB, 0 to 80; the recorded data set has 40, 50 and 60
        angle: degrees by which the receiver is turned away, -90 to 90
        geometry: 'basic', 'diagonal' or 'obstacle'
        codebook: 24, 12 or 5 beams
        seed: of how the heads are installed, and of all that is random in the stream

    Started again it begins anew with the settings that it has then. Raises ValueError for a value that cannot
    be sent, and ImportError if a Python package is missing.
    """

    def __init__(self, front_end="a", beam: int = SWEEP, dwell: int = 30720, rx_gain: float = 50.0,
                 angle: float = 0.0, geometry: str = "basic", codebook: int = 24, seed: int = 0):
        library = optional("radiofm_ml.synth.beams", _NAME)
        gr.sync_block.__init__(self, name=_NAME, in_sig=None, out_sig=[np.complex64])
        seed = whole(f"{_NAME}: seed", seed, 0, 2**31 - 1)
        try:
            self._simulator = library.BeamSimulator(_named(front_end), geometry, codebook, seed=seed)
        except ValueError as error:
            raise ValueError(f"{_NAME}: {error}") from None
        self._block, self._seed = library.BLOCK, seed
        self._carrier = optional("radiofm_ml.synth.beams.constants", _NAME).CARRIER
        self._trial = self._stream()  # to see whether it takes a setting
        self._lock = threading.Lock()  # setters are called from other threads than work()
        start = _Settings(self._simulator.front_end, beam, rx_gain, angle, dwell)
        try:
            self._settings = self._checked(start)
        except MessageError as error:
            raise ValueError(f"{_NAME}: {error}") from None
        self._waiting: list[tuple[int, dict]] = []  # (sample from which on, changes), as they came
        self._rewind()
        self.message_port_register_in(CONTROL)
        self.set_msg_handler(CONTROL, self.handle_control)
        self.message_port_register_out(messages.STATUS)
        self.message_port_register_out(TRUTH)

    def _stream(self):
        return self._simulator.stream(np.random.default_rng([self._seed, 1]))

    # -- life -------------------------------------------------------------------------------------
    def start(self):
        with self._lock:
            self._rewind()
        backlog.begin_sending(self)
        return True

    def stop(self):
        with self._lock:
            late = [changes for sample, changes in self._waiting if sample]
            self._waiting = [entry for entry in self._waiting if not entry[0]]
        for changes in late:
            self.message_port_pub(messages.STATUS, messages.status(
                _COMMAND, False, "the flowgraph has stopped before that sample", **changes))
        backlog.end_sending(self)
        return True

    def _rewind(self) -> None:
        self._samples = self._stream()
        self._said: dict = {}  # what the last tags say
        self._set(self._settings)

    def _set(self, settings: _Settings) -> None:
        """Send with these from the next sample on. A sweep that is new begins with its first beam."""
        sweeps = settings.beam == SWEEP
        if not sweeps or not self._said or self._settings.beam != SWEEP:
            self._beam, self._left = (0, settings.dwell) if sweeps else (settings.beam, math.inf)
        self._settings = settings
        self._apply()

    def _apply(self) -> None:
        stream, settings = self._samples, self._settings
        if stream.front_end != settings.front_end:
            stream.front_end = settings.front_end
        wanted = {"beam": self._beam, "rx_gain_db": settings.rx_gain, "angle": settings.angle}
        for name, value in wanted.items():
            if getattr(stream, name) != value:  # each change costs a frame's computing
                setattr(stream, name, value)

    # -- samples ----------------------------------------------------------------------------------
    def work(self, input_items, output_items):
        out, first, done = output_items[0], self.nitems_written(0), 0
        with self._lock:
            while done < len(out):
                at = first + done
                if at % self._block == 0:
                    self._change(at)
                if self._left == 0:
                    self._beam, self._left = (self._beam + 1) % self._simulator.codebook, self._settings.dwell
                    self._apply()
                self._say_state(at)
                count = min(len(out) - done, self._block - at % self._block, self._left)
                out[done:done + count] = self._samples.samples(count)
                self._left -= count
                done += count
        return done

    def _change(self, at: int) -> None:
        """Make the changes that are due at the block that begins at sample ``at``."""
        due = [changes for sample, changes in self._waiting if sample <= at]
        self._waiting = [entry for entry in self._waiting if entry[0] > at]
        for changes in due:
            self._set(replace(self._settings, **changes))
            self.message_port_pub(messages.STATUS,
                                  messages.status(_COMMAND, True, "", sample_start=at, **changes))

    def _say_state(self, at: int) -> None:
        """Tags and the truth, where something is new."""
        settings = self._settings
        now = {"front_end": str(settings.front_end), "beam": self._beam, "rx_gain": settings.rx_gain,
               "angle": settings.angle}
        if now == self._said:
            return
        if not self._said:
            self.add_item_tag(0, at, messages.RX_RATE, pmt.from_double(self._simulator.sample_rate))
            self.add_item_tag(0, at, messages.RX_FREQ, pmt.from_double(self._carrier))
        for key, value in now.items():
            if self._said.get(key) != value:
                self.add_item_tag(0, at, pmt.intern(key), pmt.to_pmt(value))
        self._said = now
        truth = {"sample_start": at, "label": f"beam {self._beam}", **now}
        self.message_port_pub(TRUTH, messages.scalars(truth))

    # -- changes ----------------------------------------------------------------------------------
    def handle_control(self, message) -> None:
        try:
            changes, sample = _read(messages.open_dict(message))
            self._schedule(changes, sample)
        except MessageError as error:
            self.message_port_pub(messages.STATUS, messages.status(_COMMAND, False, str(error)))
        except Exception as error:  # would end the block's thread and leave a flowgraph that never stops
            self.message_port_pub(messages.STATUS, messages.status(
                _COMMAND, False, f"failed: {type(error).__name__}: {error}"))

    def _schedule(self, changes: dict, sample: int = 0) -> None:
        """Raises MessageError for what cannot be sent; nothing changes then."""
        with self._lock:
            if len(self._waiting) >= MAX_WAITING:
                raise MessageError(f"{MAX_WAITING} changes are waiting already")
            checked = self._checked(replace(self._settings, **changes))
            self._waiting.append((sample, {key: getattr(checked, key) for key in changes}))

    def _checked(self, settings: _Settings) -> _Settings:
        """With its values as numbers of the right kind. Raises MessageError."""
        front_end = _named(settings.front_end)
        trial = self._trial
        try:
            beam = whole("beam", settings.beam, SWEEP, self._simulator.codebook - 1)
            dwell = whole("dwell", settings.dwell, 1, 2**40)
            rx_gain, angle = number("rx_gain", settings.rx_gain), number("angle", settings.angle)
            trial.front_end, trial.rx_gain_db, trial.angle = front_end, rx_gain, angle
        except ValueError as error:
            raise MessageError(str(error)) from None
        return _Settings(front_end, beam, rx_gain, angle, dwell)

    def _set_one(self, name: str, value) -> None:
        try:
            self._schedule({name: value})
        except MessageError as error:
            raise ValueError(f"{_NAME}: {error}") from None

    def set_front_end(self, front_end) -> None:
        """Like all setters: from the next block of 2048 samples on. Raises ValueError."""
        self._set_one("front_end", front_end)

    def set_beam(self, beam: int) -> None:
        self._set_one("beam", beam)

    def set_dwell(self, dwell: int) -> None:
        """From the next beam on."""
        self._set_one("dwell", dwell)

    def set_rx_gain(self, rx_gain: float) -> None:
        self._set_one("rx_gain", rx_gain)

    def set_angle(self, angle: float) -> None:
        self._set_one("angle", angle)

    # -- as it is now -----------------------------------------------------------------------------
    def front_end(self) -> str:
        """Through which is sent now."""
        return str(self._settings.front_end)

    def beam(self) -> int:
        """That is sent now, also in a sweep."""
        return self._beam

    def dwell(self) -> int:
        return self._settings.dwell

    def rx_gain(self) -> float:
        return self._settings.rx_gain

    def angle(self) -> float:
        return self._settings.angle

    def sent(self) -> int:
        """Samples sent since the start."""
        return self.nitems_written(0)

    def waiting(self) -> int:
        """Changes that wait for their sample."""
        return len(self._waiting)


def _named(front_end) -> str | int:
    """A name, or a number also where it comes as text."""
    number = isinstance(front_end, str) and front_end.isascii() and front_end.isdigit()
    return int(front_end) if number else front_end


def _read(message) -> tuple[dict, int]:
    """Changes, and the sample from which on, of a control message. Raises MessageError."""
    keys = messages.keys(message)
    for key in keys:
        if key not in _READERS and key != "sample_start":
            raise MessageError(f"key '{key}' is not known; there are {', '.join(_READERS)} and sample_start")
    changes = {key: get(message, key, read, required=True) for key, read in _READERS.items() if key in keys}
    if not changes:
        raise MessageError(f"nothing to change; there are {', '.join(_READERS)}")
    sample = get(message, "sample_start", _whole, 0)
    if sample < 0:
        raise MessageError("key 'sample_start' must not be negative")
    return changes, sample


def _name(value) -> str | int:
    return messages.text(value) if pmt.is_symbol(value) else messages.number(value, int)


def _whole(value) -> int:
    return messages.number(value, int)


def _real(value) -> float:
    return messages.number(value, float)


_READERS = {"front_end": _name, "beam": _whole, "rx_gain": _real, "angle": _real, "dwell": _whole}
