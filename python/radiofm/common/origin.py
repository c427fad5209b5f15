# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What the tags of a stream say about a stretch of it: rate, frequency, time, padding."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

import pmt

from ..radiofm_python import _tags
from . import arguments, messages
from .messages import MessageError

_KEYS = {name: pmt.intern(name) for name in ("rx_rate", "rx_freq", "rx_time", "radiofm_pad",
                                            "recording_shift")}


def stated_rate(name: str, samp_rate) -> float | None:
    """Samples/s that the user has set; None for 0, not known. Raises ValueError that begins with ``name``,
    the block's and the parameter's, for what no tag or message could say."""
    rate = arguments.number(name, samp_rate)
    try:
        return messages.rate(pmt.from_double(rate)) if rate else None
    except MessageError as error:
        raise ValueError(f"{name} {error}; 0 goes by the tags") from None


def rate_in_force(stated: float | None, tagged: float | None) -> float | None:
    """Samples/s. What the user has stated counts (None or 0: nothing); else what the latest ``rx_rate`` tag
    says, which a resampler upstream may have made untrue. None if neither is known."""
    return stated or tagged


def contradiction(stated: float | None, tagged: float | None) -> str:
    """What to say where the two differ; '' where they do not."""
    return _tags.rate_contradiction(stated, tagged) if stated and tagged else ""


@dataclass(frozen=True)
class Origin:
    """What the tags have said so far; a new one for every stretch with tags."""

    rate: float | None = None
    frequency: float | None = None
    time: tuple[int, tuple[int, float]] | None = None  # (sample, its time)
    before: tuple[int, tuple[int, float]] | None = None  # the same, of the tag before that
    padding: int | None = None  # first sample that is padding
    recording_shift: int | None = None  # index in the recording that is played, less that in the stream
    bad: int = 0  # tags that could not be read

    def time_of(self, sample: int, rate: float | None) -> tuple[int, float] | None:
        """Time of a sample at ``rate``. A sample that was before the latest clock's zero has its time by the
        clock before."""
        for known in (self.time, self.before):
            if known is None:
                continue
            start, time = known
            if sample != start:
                time = messages.time_after(time, sample - start, rate) if rate else None
            if time is not None:
                return time
        return None

    def with_tag(self, tag: "Tag", stated: float | None) -> "Origin":
        """With what a tag adds; stated: the rate that the user has set, if any. Raises MessageError."""
        if tag.key == "rx_rate":
            rate = messages.rate(tag.value)
            time = self.time
            if time is not None:  # up to here it ran at the old rate
                moved = self.time_of(tag.sample, rate_in_force(stated, self.rate))
                time = None if moved is None else (tag.sample, moved)
            return replace(self, rate=rate, time=time)
        if tag.key == "rx_freq":
            return replace(self, frequency=messages.frequency(tag.value))
        if tag.key == "rx_time":
            return replace(self, time=(tag.sample, messages.time_from_pmt(tag.value)), before=self.time)
        if tag.key == "radiofm_pad":
            padding = messages.whole(tag.value)
            if padding < tag.sample:  # an interpolator moves the tag, and not what it says
                raise MessageError(f"says that padding begins at {padding}, before its sample, {tag.sample}")
            return replace(self, padding=padding)
        if tag.key == "recording_shift":
            return replace(self, recording_shift=messages.number(tag.value, int))
        return self


class Tag(NamedTuple):
    sample: int  # of the stream before it was cut
    key: str
    value: object


def read_tags(tags: Iterable, samples_per_item: int) -> list[Tag]:
    """Stream tags that matter here, in order of their samples."""
    read = (Tag(tag.offset * samples_per_item, name, tag.value)
            for tag in tags for name, key in _KEYS.items() if pmt.eq(tag.key, key))
    return sorted(read, key=lambda tag: tag.sample)


def origins(origin: Origin, tags: list[Tag], ends: Iterable[int], stated: float | None,
            say: Callable[[str, str], None]) -> list[Origin]:
    """What holds for each of several stretches in a row: what the last tag before its end says.

    tags    in order; ends: the sample behind each stretch's last one, increasing
    stated  the rate that the user has set, if any
    say     told (subject, complaint) of a tag that cannot be read, which is left out and counted in ``bad``,
            and of a rate that contradicts the stated one
    """
    found, used = [], 0
    for end in ends:
        while used < len(tags) and tags[used].sample < end:
            tag = tags[used]
            try:
                origin = origin.with_tag(tag, stated)
                if tag.key == "rx_rate" and (text := contradiction(stated, origin.rate)):
                    say("rate", text)
            except MessageError as error:
                origin = replace(origin, bad=origin.bad + 1)
                say(tag.key, f"a tag {tag.key} is left out: it {error}")
            used += 1
        found.append(origin)
    return found
