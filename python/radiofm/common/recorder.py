# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""A stream of samples becomes the dataset of a SigMF recording."""

import os

import numpy as np
import pmt

from . import messages
from .origin import contradiction
from .report import Report

_SAMPLE = np.dtype(np.complex64).itemsize
_TAGS = {  # name: (key, what reads it)
    "rx_rate": (messages.RX_RATE, messages.rate), "rx_freq": (messages.RX_FREQ, messages.frequency),
    "rx_time": (messages.RX_TIME, messages.time_from_pmt),
}


class Recorder:
    """Writes samples beside the metadata of an AnnotationWriter, which it tells of the captures.

    A capture begins with every run, and where an ``rx_freq`` or ``rx_time`` tag says something new.

    Where samples cannot be written (no space, no folder), or no room would be left for the metadata, the
    recording ends, whole up to there; ``take`` goes on taking samples, and leaves them out until ``start``.

    samp_rate  as the user states it; None to take it from the first ``rx_rate`` tag
    report     told what goes wrong
    """

    def __init__(self, writer, samp_rate: float | None, report: Report):
        self.path = writer.path.with_suffix(".sigmf-data")
        self._writer, self._stated, self._report = writer, samp_rate, report
        self._rate = samp_rate
        self._file = None
        self._started = False
        self._base, self._end = 0, 0  # samples before this run, and up to now
        self._left_out = 0  # samples of this run
        self._forget()

    def _forget(self) -> None:
        self._capture: int | None = None  # where the last capture of this run begins
        self._frequency: float | None = None  # its centre frequency
        self._time: tuple | None = None  # (sample, (seconds, fraction)) of the last rx_time

    @property
    def base(self) -> int:
        """Where the stream's first sample is in the recording."""
        return self._base

    @property
    def left_out(self) -> int:
        """Samples of this run that are not in the recording, since they could not be written."""
        return self._left_out

    def start(self) -> None:
        """Open the file; one that was written before goes on behind its last whole sample. Raises OSError."""
        self._left_out = 0
        self._forget()
        self._file = open(self.path, "ab" if self._started else "wb", buffering=0)
        self._started = True
        self._cut()
        self._base = self._end
        self._writer.set_end(None)

    def stop(self) -> None:
        """Close the file. Annotations end with the samples."""
        if self._file is not None:
            self._file.close()
            self._file = None
        self._end_annotations()

    def take(self, samples: np.ndarray, first: int, tags) -> None:
        """Write complex64 samples, the first of them number ``first`` of the stream. Never raises."""
        if self._file is None:
            self._left_out += len(samples)
            return
        try:
            self._check_place()
            self._note_tags(first, tags)
            self._store(samples)
            self._end += len(samples)
        except Exception as error:
            self._give_up(error, self._base + first + len(samples))

    # -- inside -------------------------------------------------------------------------------------
    def _check_place(self) -> None:
        if not self._writer.has_room:
            raise OSError("the disk is full, but for the metadata")
        if os.fstat(self._file.fileno()).st_nlink == 0:
            raise OSError("the file has been removed")

    def _store(self, samples: np.ndarray) -> None:
        view = memoryview(samples).cast("B")
        while view:
            view = view[self._file.write(view):]

    def _cut(self) -> None:
        """Leave whole samples, behind what a full disk has left of one."""
        self._end = os.fstat(self._file.fileno()).st_size // _SAMPLE
        self._file.truncate(self._end * _SAMPLE)

    def _give_up(self, error: Exception, wanted: int) -> None:
        """wanted: samples that the recording should have now."""
        try:
            self._cut()
            self._file.close()
        except OSError:
            pass  # ``_end`` is what was written
        self._file = None
        self._left_out += wanted - self._end
        self._end_annotations()
        reason = (error.strerror or str(error)) if isinstance(error, OSError) else repr(error)
        self._report.fail("samples", f"{self.path}: cannot be written: {reason}; the recording ends at "
                          f"sample {self._end}, all else goes on", announce=True)

    def _end_annotations(self) -> None:
        self._report.count("outside", self._writer.set_end(self._end))

    # -- tags ---------------------------------------------------------------------------------------
    def _note_tags(self, first: int, tags) -> None:
        by_sample: dict[int, dict] = {}
        if first == 0:
            by_sample[0] = {}  # a capture begins here, with tags or without
        for tag in tags:
            for name, (key, read) in _TAGS.items():
                if pmt.eqv(tag.key, key):
                    values = by_sample.setdefault(tag.offset, {})
                    try:
                        values[name] = read(tag.value)
                    except messages.MessageError as error:
                        self._report.fail(name, f"a tag {name} is left out: it {error}")
        for offset in sorted(by_sample):
            self._note_capture(self._base + offset, by_sample[offset])

    def _note_capture(self, sample: int, tags: dict) -> None:
        if "rx_rate" in tags:
            self._note_rate(tags["rx_rate"])
        frequency, time = tags.get("rx_freq", self._frequency), tags.get("rx_time")
        if time is not None:
            self._time = sample, time
        elif self._capture is not None and frequency == self._frequency:
            return  # nothing new
        elif self._time is not None and self._rate is not None:
            time = messages.time_after(self._time[1], sample - self._time[0], self._rate)
        self._add_capture(sample, frequency, time)
        self._capture, self._frequency = sample, frequency

    def _add_capture(self, sample: int, frequency: float | None, time: tuple | None) -> None:
        try:
            self._writer.add_capture(sample, frequency, time)
        except ValueError as error:  # counted on from the last rx_time it can leave the calendar
            self._report.fail("time", f"the time of sample {sample} is left out: {error}")
            self._writer.add_capture(sample, frequency)

    def _note_rate(self, rate: float) -> None:
        if self._rate is None:
            self._rate = rate
            self._writer.set_sample_rate(rate)
        elif text := contradiction(self._rate, rate):
            if self._stated:
                self._report.say("rate", text, announce=True)
            else:
                self._report.fail("rate", f"the rate changes from {self._rate:.10g} to {rate:.10g} S/s; "
                                  "a recording has one, the first", announce=True)
