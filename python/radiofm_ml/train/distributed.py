# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""One process or several: what a training loop needs to not care which.

Started by ``torchrun`` the processes share every batch; started plainly, there is one of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import nn

PATIENCE = timedelta(hours=12)  # while the first process writes shards, the others wait


@contextmanager
def processes() -> Iterator[None]:
    """Join the other processes that torchrun started, if it did: NCCL on GPUs, else Gloo."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo", timeout=PATIENCE)
    try:
        yield
    finally:
        dist.destroy_process_group()


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def world() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def device() -> torch.device:
    """The GPU of this process, or the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("cuda", torch.cuda.current_device())


def wait() -> None:
    """Go on when every process has come here."""
    if dist.is_initialized():
        dist.barrier()


def gather(x: torch.Tensor) -> torch.Tensor:
    """The rows of every process (world * n, ...), in the order of ranks. Its own only have gradients."""
    if world() == 1:
        return x
    parts = [torch.empty_like(x) for _ in range(world())]
    dist.all_gather(parts, x.detach().contiguous())
    parts[rank()] = x
    return torch.cat(parts)


def average_gradients(parameters: list[nn.Parameter]) -> None:
    """Give every process the mean of the gradients of all, in one message."""
    if world() == 1:
        return
    gradients = [p.grad for p in parameters]
    flat = mean(torch.cat([g.flatten() for g in gradients]))
    for gradient, averaged in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(averaged.view_as(gradient))


def mean(x: torch.Tensor) -> torch.Tensor:
    """Mean over the processes, without gradient."""
    x = x.detach().clone()
    if dist.is_initialized():
        dist.all_reduce(x)
    return x / world()
