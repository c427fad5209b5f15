# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Whether a stream may be held back: yes where it comes from files or is computed, no where it is live."""

from ..radiofm_python import _flowgraph
from . import backlog
from .worker import OVERLOADS, BatchWorker

AUTO = "auto"  # 'block' where the source can wait, 'drop' where it is live

# Sources (the names that their blocks have) that make samples as they are asked for them. Of any other, also
# of those that read a socket, a pipe or a device, nobody knows: to hold it back may lose samples unseen.
PATIENT = {"file_source", "file_meta_source", "wavfile_source", "vector_source", "null_source", "sig_source",
           "noise_source", "fastnoise_source", "random_uniform_source", "glfsr_source_b", "glfsr_source_f",
           "lfsr_32k_source", "SigMF Source", "Beam Source"}
_CLOCK = "throttle"  # a block whose name begins so stands for a clock: what comes through it is live


def may_wait(block) -> bool:
    """Do all streams into a running block come from patient sources, none through a throttle? If it has none:
    do all blocks wait that send it messages (and can)?"""
    before = _flowgraph.upstream(block.to_basic_block())
    if not before:
        waits = [sender.waits() for sender in backlog.senders(block) if hasattr(sender, "waits")]
        return bool(waits) and all(waits)
    sources = {name for name, is_source in before if is_source}
    return bool(sources) and sources <= PATIENT and not any(name.startswith(_CLOCK) for name, _ in before)


def set_overload(overload: str, worker: BatchWorker, block=None) -> str:
    """Let a worker block or drop as the user has set it: 'auto', 'drop' or 'block', which is returned. block:
    that the worker is of, while the flowgraph runs; before, nobody knows where its stream comes from. Raises
    ValueError."""
    if overload not in (AUTO, *OVERLOADS):
        raise ValueError(f"overload must be one of {', '.join((AUTO, *OVERLOADS))}, got {overload!r}")
    if overload != AUTO:
        worker.set_overload(overload)
    elif block is not None:
        worker.set_overload("block" if may_wait(block) else "drop")
    return overload
