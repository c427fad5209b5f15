/* SPDX-License-Identifier: GPL-3.0-or-later
 * Copyright 2026 gr-radiofm authors
 */

#ifndef INCLUDED_RADIOFM_DETECT_CLONES_H
#define INCLUDED_RADIOFM_DETECT_CLONES_H

#include <cstddef> // or the C library is not known below

/*!
 * \brief Compiles a function for several instruction sets; the loader takes the
 * processor's best.
 *
 * For AVX2, where the C library can choose (glibc) and the compiler knows how; elsewhere,
 * and on 64-bit ARM, whose vectors every processor has, one version does. What such a
 * function calls must be RADIOFM_INLINE, or it is compiled for the oldest processor.
 * Its name must be its own among these files, also where it is local: Clang 14 makes it
 * global.
 */
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__OPTIMIZE__) && \
    (!defined(__clang__) || __clang_major__ >= 14)
#define RADIOFM_CLONES __attribute__((target_clones("default", "avx2")))
#else
#define RADIOFM_CLONES
#endif

#define RADIOFM_INLINE static inline __attribute__((always_inline))

#endif /* INCLUDED_RADIOFM_DETECT_CLONES_H */
