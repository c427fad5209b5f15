# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Where the blocks of several antennas come from: the simulator, or a folder of DeepBeam's files.

Both split as published: of each gain and beam the first 60 % of the frames, in time, to train on, and the
others to test on; one block of a frame.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from radiofm_ml.data.beam_blocks import BeamBlocks
from radiofm_ml.data.beam_files import BeamFile, BeamFileError, load_blocks, published_split

PARTS = ("train", "test")
NUMBERED_SEED = 7_000_000  # keeps the numbered front ends' draws apart from the named ones'


@dataclass(frozen=True)
class SimulatedAntennas:
    """The named front ends of ``synth.beams``. frames: of each gain and beam, spread over a capture of 100 s.
    seed: of payload, noise and drift."""

    names: tuple[str, ...] = ("a", "b", "c", "d")
    frames: int = 100
    geometry: str = "basic"
    codebook: int = 24
    seed: int = 0

    def blocks(self, name: str, part: str) -> BeamBlocks:
        """Of one antenna, one part of PARTS."""
        whole = _captured(self, name)
        frame = np.tile(np.arange(self.frames), len(whole) // self.frames)
        return whole.take(np.isin(frame, published_split(self.frames)[PARTS.index(part)]))

    def numbered(self, first: int, count: int, frames: int,
                 on_step: Callable[[int], None] = lambda done: None) -> BeamBlocks:
        """Of ``count`` numbered front ends, which are never the named ones: ``frames`` blocks for each gain
        and beam, each of a capture of its own."""
        from radiofm_ml.synth.beams import GAINS_DB, BeamSimulator

        parts = []
        for number in range(first, first + count):
            simulator = BeamSimulator(number, self.geometry, self.codebook, seed=self.seed)
            rng = np.random.default_rng([NUMBERED_SEED, self.seed, number])
            parts += [simulator.blocks(beam, frames, rng, rx_gain_db=gain)
                      for gain in GAINS_DB for beam in simulator.beams]
            on_step(number - first + 1)
        return _labelled(np.concatenate(parts), frames, len(GAINS_DB), self.codebook, count)

    def facts(self) -> dict:
        from radiofm_ml.synth.beams import VERSION

        return {"source": "simulator", "version": VERSION, **asdict(self)}


@lru_cache(maxsize=4)
def _captured(antennas: SimulatedAntennas, name: str) -> BeamBlocks:
    from radiofm_ml.synth.beams import GAINS_DB, BeamSimulator

    simulator = BeamSimulator(name, antennas.geometry, antennas.codebook, seed=antennas.seed)
    number = antennas.names.index(name)
    parts = [simulator.capture(beam, antennas.frames, np.random.default_rng([antennas.seed, number, g, beam]),
                               rx_gain_db=gain, blocks=1)[:, 0]
             for g, gain in enumerate(GAINS_DB) for beam in simulator.beams]
    return _labelled(np.concatenate(parts), antennas.frames, len(GAINS_DB), antennas.codebook, 1)


def _labelled(iq: np.ndarray, frames: int, gains: int, beams: int, front_ends: int) -> BeamBlocks:
    """Blocks in the order front end, gain, beam, frame."""
    front_end, gain, beam, _ = np.indices((front_ends, gains, beams, frames)).reshape(4, -1)
    return BeamBlocks(iq, beam, gain, front_end, tuple(f"beam {b}" for b in range(beams)))


@dataclass(frozen=True)
class RecordedAntennas:
    """DeepBeam's files of one room and codebook in a folder; an antenna is called by its number. frames: at
    most so many of each gain and beam, evenly from the file. Raises BeamFileError."""

    folder: str
    frames: int = 1000

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._files())

    def blocks(self, name: str, part: str) -> BeamBlocks:
        with BeamFile(self._files()[name]) as file:
            index = published_split(file.frames)[PARTS.index(part)]
            wanted = max(1, round(self.frames * len(index) / file.frames))
            index = index[np.linspace(0, len(index) - 1, min(wanted, len(index))).astype(int)]
            iq, beam, gain = load_blocks(file, index)
            return BeamBlocks(iq[:, 0], beam, gain, np.zeros(len(iq), np.int64),
                              tuple(f"beam {b}" for b in file.beams))

    def facts(self) -> dict:
        return {"source": "files", "files": [path.name for path in self._files().values()],
                "frames": self.frames}

    def _files(self) -> dict[str, Path]:
        found, kinds = {}, set()
        for path in sorted(Path(self.folder).glob("*.h5")):
            with BeamFile(path) as file:
                if file.name is None or file.name.aoa or file.name.tx_antenna is None:
                    continue
                found[str(file.name.tx_antenna)] = path
                kinds.add((file.name.array, file.name.config, file.name.beams))
        if len(found) < 2 or len(kinds) > 1:
            raise BeamFileError(f"{self.folder}: must hold the files of two antennas or more, of one room "
                                "and codebook (srf-basic-config-24-beams-tx-ant-0-rx-ant-1.h5 ...); move "
                                "the others elsewhere")
        return found
