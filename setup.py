# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The inner loops of detection in C++; all else stands in pyproject.toml.

Where there is no compiler, or it fails, radiofm_ml installs without them and uses NumPy.
"""

from pathlib import Path

from pybind11.setup_helpers import Pybind11Extension, build_ext
from setuptools import setup

# Paths must be relative. The flags are those of lib/CMakeLists.txt.
LIB = Path("lib")
setup(
    ext_modules=[Pybind11Extension(
        "radiofm_ml.detect._kernels",
        sorted(map(str, LIB.glob("detect_*.cc"))),
        include_dirs=[str(LIB)],
        depends=sorted(map(str, LIB.glob("detect_*.h"))),
        cxx_std=17,
        extra_compile_args=["-O3", "-fno-trapping-math", "-fno-math-errno", "-ffp-contract=fast"],
        optional=True,
    )],
    cmdclass={"build_ext": build_ext},
)
