# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Simulator: signals of GNU Radio's own modulators in noise, with the truth in tags."""

import math
import threading
from dataclasses import dataclass

import numpy as np
import pmt
from gnuradio import analog, gr

from .common import messages, waveforms
from .common.arguments import number, whole
from .common.lifetime import Held

LABEL = pmt.intern("label")
NOISE_POWER = 1e-4  # -40 dB of full scale: 30 dB of SNR still fit below it
NOISE_POOL = 1 << 18  # samples that the noise source draws from


@dataclass(frozen=True)
class _Segment:
    """A stretch of one label; samples None: without end; snr, offset None: what the setters say."""

    label: str
    samples: int | None = None
    snr: float | None = None
    offset: float | None = None


def _number(name: str, value, low=-math.inf, high=math.inf) -> float:
    return number(f"waveform_source: {name}", value, low, high)


def _whole(name: str, value, low: int, high: int | None = None) -> int:
    return whole(f"waveform_source: {name}", value, low, high)


def _checked_snr(snr) -> float:
    return _number("snr", snr, high=60.0)


def _checked_offset(offset, samp_rate: float) -> float:
    return _number("frequency_offset", offset, -samp_rate / 2, samp_rate / 2)


def _checked_label(label, samp_rate: float) -> str:
    if label not in waveforms.LABELS:
        raise ValueError(f"waveform_source: there is no label {label!r}; "
                         f"labels: {', '.join(waveforms.LABELS)}")
    if label not in waveforms.labels_at(samp_rate):
        raise ValueError(f"waveform_source: {label} needs a sample rate of at least "
                         f"{waveforms.MIN_RATE[label]:g} Hz, got {samp_rate:g}")
    return label


def _checked_segment(entry, samp_rate: float) -> _Segment:
    if not isinstance(entry, (tuple, list)) or len(entry) not in (2, 4):
        raise ValueError("waveform_source: a schedule entry must be (label, samples) or "
                         f"(label, samples, snr, frequency_offset), got {entry!r}")
    label, samples, *rest = entry
    samples = _whole("samples of a schedule entry", samples, 1)
    snr, offset = (_checked_snr(rest[0]), _checked_offset(rest[1], samp_rate)) if rest else (None, None)
    return _Segment(_checked_label(label, samp_rate), samples, snr, offset)


class waveform_source(gr.hier_block2):
    """Simulated transmitter and receiver noise. A simulator: no channel, no front end.

    Every label of ``waveform_source.labels`` is one of GNU Radio's own modulators, fed with random data
    of its own from ``seed``. Labels change at the exact sample; without setter calls the output
    depends on nothing but the parameters, so that the same seed gives the same samples.

    Output: complex stream. Noise has a power of 1e-4 (-40 dB of full scale); the signal stands
    ``snr`` dB above it, both counted over the whole sample rate and the signal while it is keyed.
    Tags: ``rx_time``, ``rx_rate`` and ``rx_freq`` on the first sample, ``label`` (symbol) on the first
    sample and wherever it changes. Pauses between bursts keep the label.

    Args:
        samp_rate: sample rate in Hz
        label: what to send, one of ``waveform_source.labels``
        snr: signal to noise ratio in dB, at most 60
        frequency_offset: of the signal from the middle of the band, in Hz
        samples_per_symbol: of the digital signals (OOK 64 and FSK 4 times as many), 2 to 64
        duty: fraction of ``period`` in which the signal is keyed; 1 is continuous
        period: samples from the start of a burst to the start of the next; a new label starts a burst
        schedule: list of (label, samples) or (label, samples, snr, frequency_offset), sent one after
            the other instead of ``label``; empty for none
        repeat: start the schedule again at its end; otherwise the flowgraph ends with it
        seed: of data and noise
        center_freq: value of the tag ``rx_freq`` in Hz
        start_time: value of the tag ``rx_time`` in seconds since 1970

    Raises ValueError for a value that cannot be sent.
    """

    labels = waveforms.LABELS

    def __init__(self, samp_rate: float = 1e6, label: str = "qpsk", snr: float = 20.0,
                 frequency_offset: float = 0.0, samples_per_symbol: int = 8, duty: float = 1.0,
                 period: int = 16384, schedule=(), repeat: bool = False, seed: int = 1,
                 center_freq: float = 0.0, start_time: float = 0.0):
        gr.hier_block2.__init__(self, "waveform_source", gr.io_signature(0, 0, 0),
                                gr.io_signature(1, 1, gr.sizeof_gr_complex))
        samp_rate = _number("samp_rate", samp_rate, low=1.0)
        samples_per_symbol = _whole("samples_per_symbol", samples_per_symbol, 2, 64)
        seed = _whole("seed", seed, 0, 2**31 - 1)

        # Modulators that are off sleep, but the scheduler wakes them now and then: build what is needed.
        base = _Segment(_checked_label(label, samp_rate))
        segments = tuple(_checked_segment(entry, samp_rate) for entry in schedule or ())
        needed = {s.label for s in (base, *segments)} if segments else waveforms.labels_at(samp_rate)

        states = np.random.SeedSequence(seed).generate_state(len(waveforms.LABELS)) >> 1
        noise_seed, *seeds = states.tolist()
        made = {name: make(waveforms.Settings(samp_rate, samples_per_symbol, data_seed))
                for (name, make), data_seed in zip(waveforms.WAVEFORMS.items(), seeds, strict=True)
                if name in needed}
        self._switch = _switch(samp_rate, {name: wave.power for name, wave in made.items()}, base, segments,
                               repeat, snr, frequency_offset, duty, period, center_freq, start_time)
        # Every block is kept here: a Python block that nothing refers to crashes GNU Radio.
        self._noise = analog.fastnoise_source_c(analog.GR_GAUSSIAN, math.sqrt(NOISE_POWER), noise_seed,
                                                NOISE_POOL)
        self._chains = [wave.chain for wave in made.values()]
        self.connect(self._noise, (self._switch, 0))
        for port, chain in enumerate(self._chains, 1):
            self.connect(*chain, (self._switch, port))
        self.connect(self._switch, self)

    def set_label(self, label: str) -> None:
        """Send ``label`` from the next sample on; ends a running schedule."""
        self._switch.set_label(label)

    def set_snr(self, snr: float) -> None:
        """Signal to noise ratio in dB, where the schedule does not say another."""
        self._switch.set_snr(snr)

    def set_frequency_offset(self, frequency_offset: float) -> None:
        """Offset of the signal in Hz, where the schedule does not say another; the phase is continuous."""
        self._switch.set_frequency_offset(frequency_offset)

    def set_bursts(self, duty: float, period: int) -> None:
        """Keyed fraction of a period, and the period in samples."""
        self._switch.set_bursts(duty, period)

    def set_center_freq(self, center_freq: float) -> None:
        """Frequency in Hz for the tag rx_freq, written to the next sample."""
        self._switch.set_center_freq(center_freq)

    def label(self) -> str:
        """The label being sent."""
        return self._switch.label()

    def sent(self) -> int:
        """Samples sent since the start."""
        return self._switch.nitems_written(0)


class _switch(Held, gr.basic_block):
    """Takes samples of the label that is on, from its port, and adds the noise of port 0.

    Modulators that are off are not read: their buffers fill, and they sleep.
    """

    def __init__(self, samp_rate: float, powers: dict[str, float], base: _Segment,
                 schedule: tuple[_Segment, ...], repeat, snr, frequency_offset, duty, period, center_freq,
                 start_time):
        gr.basic_block.__init__(self, name="waveform_switch", in_sig=[np.complex64] * (1 + len(powers)),
                                out_sig=[np.complex64])
        self.set_tag_propagation_policy(gr.TPP_DONT)
        self._lock = threading.Lock()  # setters are called from other threads than work()
        self._samp_rate = samp_rate
        self._powers = powers
        self._ports = {name: port for port, name in enumerate(powers, 1)}
        self._repeat = bool(repeat)
        self._start_time = _number("start_time", start_time, low=0.0, high=253402300799.0)
        self._base, self._schedule = base, schedule
        self.set_snr(snr)
        self.set_frequency_offset(frequency_offset)
        self.set_bursts(duty, period)
        self.set_center_freq(center_freq)
        self._rewind()

    # -- parameters -------------------------------------------------------------------------------
    def set_label(self, label):
        _checked_label(label, self._samp_rate)
        if label != waveforms.NOISE and label not in self._ports:
            raise ValueError(f"waveform_source: {label} is not in the schedule; with a schedule only its "
                             "labels are built, without one all are")
        with self._lock:
            running, self._schedule = bool(self._schedule), ()
            self._base = _Segment(label)
            if self._segment is not None and (running or label != self._segment.label):
                self._start_segment(self._base)

    def set_snr(self, snr):
        self._snr = _checked_snr(snr)

    def set_frequency_offset(self, frequency_offset):
        self._offset = _checked_offset(frequency_offset, self._samp_rate)

    def set_bursts(self, duty, period):
        duty = _number("duty", duty, 0.0, 1.0)
        period = _whole("period", period, 1)
        keyed = round(duty * period)
        if keyed < 1:
            raise ValueError(f"waveform_source: a duty of {duty:g} of {period} samples keys none of them")
        self._bursts = keyed, period

    def set_center_freq(self, center_freq):
        self._center_freq = _number("center_freq", center_freq)
        self._tag_freq = True

    def label(self) -> str:
        return self._tagged or self._base.label

    # -- what comes next --------------------------------------------------------------------------
    def start(self):
        with self._lock:
            self._rewind()
        return True

    def _rewind(self):
        self._next = 0  # index into the schedule
        self._tagged = None  # label of the last tag
        self._phase, self._phase_offset, self._phase_count = 0.0, 0.0, 0  # turns, Hz, samples since then
        self._first = True
        self._start_segment(self._from_schedule() if self._schedule else self._base)

    def _from_schedule(self) -> _Segment | None:
        """The schedule's next segment; None behind its end."""
        if self._next == len(self._schedule):
            if not self._repeat:
                return None
            self._next = 0
        self._next += 1
        return self._schedule[self._next - 1]

    def _start_segment(self, segment):
        self._segment = segment
        self._position = 0  # samples of it sent

    def _piece(self, limit: int) -> tuple[int, bool]:
        """Length of the next piece that is all keyed or all pause, and which of the two."""
        keyed, period = self._bursts
        phase = self._position % period
        on = phase < keyed
        limit = min(limit, (keyed if on else period) - phase)
        if self._segment.samples is not None:
            limit = min(limit, self._segment.samples - self._position)
        return limit, on and self._segment.label != waveforms.NOISE

    # -- samples ----------------------------------------------------------------------------------
    def forecast(self, noutput_items, ninputs):
        required = [noutput_items] + [0] * (ninputs - 1)
        segment = self._segment
        if segment is not None and segment.label != waveforms.NOISE:
            count, on = self._piece(noutput_items)
            if on:
                required[self._ports[segment.label]] = count
        return required

    def general_work(self, input_items, output_items):
        noise, out = input_items[0], output_items[0]
        available = [len(items) for items in input_items]
        done = 0
        with self._lock:
            while done < min(len(noise), len(out)) and self._segment is not None:
                count, on = self._piece(min(len(noise), len(out)) - done)
                port = self._ports[self._segment.label] if on else 0
                used = len(input_items[port]) - available[port]
                count = min(count, available[port])
                if count == 0:
                    break
                self._tag(self.nitems_written(0) + done)
                out[done : done + count] = noise[done : done + count]
                if on:
                    out[done : done + count] += self._carry(input_items[port][used : used + count])
                    available[port] -= count
                available[0] -= count
                done += count
                self._position += count
                if self._position == self._segment.samples:
                    self._start_segment(self._from_schedule())
            ended = self._segment is None
        for port, items in enumerate(input_items):
            self.consume(port, len(items) - available[port])
        return -1 if ended and done == 0 else done

    def _carry(self, signal: np.ndarray) -> np.ndarray:
        """The signal at its level and frequency."""
        segment = self._segment
        snr = self._snr if segment.snr is None else segment.snr
        offset = self._offset if segment.offset is None else segment.offset
        scaled = signal * np.float32(math.sqrt(NOISE_POWER * 10 ** (snr / 10) / self._powers[segment.label]))
        if offset != self._phase_offset:
            self._phase, self._phase_offset, self._phase_count = self._turns(self._phase_count), offset, 0
        first, self._phase_count = self._phase_count, self._phase_count + len(signal)
        if self._phase == self._phase_offset == 0.0:
            return scaled
        # From the count since the last change, not chunk by chunk: the samples are the same for any
        # chunks. Whole turns go in double precision, what is left is small enough for single.
        angle = self._turns(np.arange(first, self._phase_count)).astype(np.float32) * np.float32(2 * math.pi)
        rotation = np.empty(len(signal), np.complex64)
        np.cos(angle, out=rotation.real)
        np.sin(angle, out=rotation.imag)
        return scaled * rotation

    def _turns(self, count):
        """Phase in turns, ``count`` samples behind the last change of the frequency offset."""
        return np.modf(self._phase + self._phase_offset / self._samp_rate * count)[0]

    def _tag(self, offset: int):
        """Tags due at absolute output sample ``offset``."""
        if self._first:
            seconds, fraction = messages.move_time((0, 0.0), self._start_time)
            self.add_item_tag(0, offset, messages.RX_TIME, messages.time_to_pmt(seconds, fraction))
            self.add_item_tag(0, offset, messages.RX_RATE, pmt.from_double(self._samp_rate))
        if self._first or self._tag_freq:
            self.add_item_tag(0, offset, messages.RX_FREQ, pmt.from_double(self._center_freq))
        self._first = self._tag_freq = False
        if self._segment.label != self._tagged:
            self.add_item_tag(0, offset, LABEL, pmt.intern(self._segment.label))
            self._tagged = self._segment.label
