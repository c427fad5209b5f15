# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Commands as a shell finds them in which the environment of this Python is activated."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
GRCC = shutil.which("grcc", path=PATH)


def run(*command, folder, **variables) -> str:
    """In ``folder``, which is HOME, too. Its stdout; fails where the command fails or shows a traceback."""
    environment = {**os.environ, "PATH": PATH, "OMP_NUM_THREADS": "1", "HOME": str(folder), **variables}
    environment.pop("GRC_BLOCKS_PATH", None)  # the blocks are found without it
    done = subprocess.run([*map(str, command)], cwd=folder, env=environment, text=True, capture_output=True,
                          stdin=subprocess.DEVNULL, timeout=300)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout
