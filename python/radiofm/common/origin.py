# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What the tags of a stream say about a stretch of it: rate, frequency, time, padding."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import isfinite
from typing import NamedTuple

import pmt

from . import messages
from .messages import MessageError

KEYS = ("rx_rate", "rx_freq", "rx_time", "radiofm_pad", "recording_shift")


@dataclass(frozen=True)
class Origin:
    """What the tags have said so far; a new one for every stretch with tags."""

    rate: float | None = None
    frequency: float | None = None
    time: tuple[int, tuple[int, float]] | None = None  # (sample, its time)
    padding: int | None = None  # first sample that is padding
    recording_shift: int | None = None  # index in the recording that is played, less that in the stream

    def time_of(self, sample: int, rate: float | None) -> tuple[int, float] | None:
        """Time of a sample at ``rate``; whole seconds are divided off first, so that no digit is lost in a
        long run."""
        if self.time is None:
            return None
        start, time = self.time
        if sample == start or rate is None:
            return time if sample == start else None
        seconds, rest = divmod(sample - start, rate)
        return messages.move_time((time[0] + int(seconds), time[1]), rest / rate)

    def with_tag(self, tag: "Tag", samp_rate: float | None) -> "Origin":
        """With what a tag adds; samp_rate: where none has said it. Raises MessageError."""
        if tag.key == "rx_rate":
            rate = messages.number(tag.value, float)
            if not (isfinite(rate) and rate > 0):
                raise MessageError(f"must be positive, got {rate}")
            time = self.time_of(tag.sample, self.rate or samp_rate)  # up to here it ran at the old rate
            return replace(self, rate=rate, time=None if time is None else (tag.sample, time))
        if tag.key == "rx_freq":
            return replace(self, frequency=messages.number(tag.value, float))
        if tag.key == "rx_time":
            return replace(self, time=(tag.sample, messages.time_from_pmt(tag.value)))
        if tag.key == "radiofm_pad":
            return replace(self, padding=messages.number(tag.value, int))
        if tag.key == "recording_shift":
            return replace(self, recording_shift=messages.number(tag.value, int))
        return self


class Tag(NamedTuple):
    sample: int  # of the stream before it was cut
    key: str
    value: object


def read_tags(tags: Iterable, samples_per_item: int) -> list[Tag]:
    """Stream tags that matter here, in order of their samples."""
    read = (Tag(tag.offset * samples_per_item, pmt.write_string(tag.key), tag.value) for tag in tags)
    return sorted((tag for tag in read if tag.key in KEYS), key=lambda tag: tag.sample)


def origins(origin: Origin, tags: list[Tag], ends: Iterable[int], samp_rate: float | None,
            say) -> list[Origin]:
    """What holds for each of several stretches in a row: what the last tag before its end says.

    tags   in order; ends: the sample behind each stretch's last one, increasing
    say    told (key, complaint) of a tag that cannot be read; it is ignored
    """
    found, used = [], 0
    for end in ends:
        while used < len(tags) and tags[used].sample < end:
            try:
                origin = origin.with_tag(tags[used], samp_rate)
            except MessageError as error:
                say(tags[used].key, f"tag {tags[used].key}: {error}; it is ignored")
            used += 1
        found.append(origin)
    return found
