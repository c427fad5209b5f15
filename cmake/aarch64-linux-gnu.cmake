# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors

# Toolchain: Debian's cross compiler to 64-bit ARM; tests run under QEMU.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64)
