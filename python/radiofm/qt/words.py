# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Frequencies, times and answers as people write them."""

import re
from datetime import UTC, datetime

_EARLIEST = 1e8  # seconds since 1970; what is less is a clock that began with the receiver
_UNITS = ((1e9, "GHz"), (1e6, "MHz"), (1e3, "kHz"), (1.0, "Hz"))


def unit(hertz: float) -> tuple[float, str]:
    """The unit for a frequency: its Hz, and its name."""
    return next(((size, name) for size, name in _UNITS if abs(hertz) >= size), _UNITS[-1])


def frequency(hertz: float, step: float = 0.0) -> str:
    """Such as '433.921 MHz'. step: Hz that matter; without it, six digits."""
    size, name = unit(hertz)
    if not step:
        return f"{hertz / size:.6g} {name}"
    digits = 0
    while digits < 9 and size / 10**digits > step * 1.001:
        digits += 1
    return f"{hertz / size:.{digits}f} {name}"


def duration(seconds: float) -> str:
    """Such as '12 ms', '0.43 s', '2 min 5 s'."""
    if seconds >= 60:
        minutes, rest = divmod(round(seconds), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
    if seconds >= 1:
        return f"{seconds:.3g} s"
    return f"{1e3 * seconds:.3g} ms" if seconds >= 1e-3 else f"{1e6 * seconds:.3g} us"


def ago(seconds: float) -> str:
    """Since when something was heard last."""
    return "now" if seconds < 2 else f"{duration(float(round(seconds)))} ago"


def has_date(clock: float | None) -> bool:
    """Is it a time of day? Some receivers count from when they were switched on."""
    return clock is not None and clock >= _EARLIEST


def moment(seconds: float, clock: float | None, step: float = 1.0) -> str:
    """The time of day (UTC) where it is known, else the time in the stream. step: seconds that matter."""
    digits = next((d for d in range(7) if 10.0**-d <= step * 1.001), 6)
    if has_date(clock):
        ticks = round(clock * 10**digits)
        whole, rest = divmod(ticks, 10**digits)
        text = datetime.fromtimestamp(whole, UTC).strftime("%H:%M:%S")
        return text + (f".{rest:0{digits}d}" if digits else "")
    sign, seconds = "-" if seconds < 0 else "", abs(seconds)
    minutes, rest = divmod(round(seconds * 10**digits), 60 * 10**digits)
    rest /= 10**digits
    width = 2 + (digits + 1 if digits else 0)
    if minutes >= 1 or step >= 1:
        return f"{sign}{minutes}:{rest:0{width}.{digits}f}"
    return f"{sign}{rest:.{digits}f} s"


def day(clock: float) -> str:
    return datetime.fromtimestamp(int(clock), UTC).strftime("%Y-%m-%d")


_PLAIN = (  # what a classifier says, and what that means to who sits before the screen
    (r"no (signal|embedding) holds sample", "it is no longer kept, or was dropped. Choose a newer one"),
    (r"only (\d+) embeddings are kept, (\d+) were", r"only \1 were heard so far, \2 were asked for"),
    (r"'(.+)' is still being taught, (\d+) of (\d+) embeddings have come.*",
     r"'\1' is still being taught (\2 of \3 have come). Undo cancels that"),
    (r"the flowgraph has stopped", "the flowgraph was stopped before it was heard"),
    (r"cancelled by undo", "cancelled"),
    (r"cancelled by clear", "cancelled"),
    (r"no such command.*", "the classifier does not know this command"),
)
_DOING = {"enroll": "taught", "remove": "forgotten", "rename": "renamed", "undo": "undone", "save": "saved",
          "load": "loaded", "clear": "cleared", "false_alarm_rate": "changed"}


def refusal(command: str, reason: str, label: str = "") -> str:
    """Why something was not done."""
    for pattern, plain in _PLAIN:
        found = re.match(pattern, reason)
        if found:
            reason = found.expand(plain)
            break
    what = _DOING.get(command)
    if what is None:
        return reason[:1].upper() + reason[1:]
    return f"'{label}' is not {what}: {reason}" if label else f"Not {what}: {reason}"


def count(number: int, what: str) -> str:
    """Such as '1 shot', '5 shots'."""
    return f"{number} {what}{'' if number == 1 else 's'}"
