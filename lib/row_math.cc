/* SPDX-License-Identifier: GPL-3.0-or-later
 * Copyright 2026 gr-radiofm authors
 */

#include "decibel.h"
#include "row_math.h"
#include <cmath>

namespace gr {
namespace radiofm {
namespace {

#define RADIOFM_INLINE static inline __attribute__((always_inline))

RADIOFM_INLINE float norm(const std::complex<float>& x)
{
    return x.real() * x.real() + x.imag() * x.imag();
}

RADIOFM_INLINE void db_loop(const std::complex<float>* bins, float* out, size_t n)
{
    for (size_t k = 0; k < n; k++)
        out[k] = decibel(norm(bins[k]));
}

RADIOFM_INLINE void magnitude_loop(const std::complex<float>* bins, float* out, size_t n)
{
    for (size_t k = 0; k < n; k++)
        out[k] = std::sqrt(norm(bins[k]));
}

RADIOFM_INLINE void add_power_loop(const std::complex<float>* bins, float* sum, size_t n)
{
    for (size_t k = 0; k < n; k++)
        sum[k] += norm(bins[k]);
}

RADIOFM_INLINE void mean_db_loop(const float* sum, float factor, float* out, size_t n)
{
    for (size_t k = 0; k < n; k++)
        out[k] = decibel(factor * sum[k]);
}

RADIOFM_INLINE void
mean_magnitude_loop(const float* sum, float factor, float* out, size_t n)
{
    for (size_t k = 0; k < n; k++)
        out[k] = std::sqrt(factor * sum[k]);
}

// The loops are inlined into one set of functions for each instruction set, and
// vectorised there. A test disassembles them.
#define RADIOFM_ROW_MATH(NAME, TARGET)                                                  \
    TARGET void NAME##_db(const std::complex<float>* bins, float* out, size_t n)        \
    {                                                                                   \
        db_loop(bins, out, n);                                                          \
    }                                                                                   \
    TARGET void NAME##_magnitude(const std::complex<float>* bins, float* out, size_t n) \
    {                                                                                   \
        magnitude_loop(bins, out, n);                                                   \
    }                                                                                   \
    TARGET void NAME##_add_power(const std::complex<float>* bins, float* sum, size_t n) \
    {                                                                                   \
        add_power_loop(bins, sum, n);                                                   \
    }                                                                                   \
    TARGET void NAME##_mean_db(const float* sum, float factor, float* out, size_t n)    \
    {                                                                                   \
        mean_db_loop(sum, factor, out, n);                                              \
    }                                                                                   \
    TARGET void NAME##_mean_magnitude(                                                  \
        const float* sum, float factor, float* out, size_t n)                           \
    {                                                                                   \
        mean_magnitude_loop(sum, factor, out, n);                                       \
    }                                                                                   \
    const row_math NAME = { NAME##_db,                                                  \
                            NAME##_magnitude,                                           \
                            NAME##_add_power,                                           \
                            NAME##_mean_db,                                             \
                            NAME##_mean_magnitude };

RADIOFM_ROW_MATH(baseline, )
#ifdef __x86_64__
RADIOFM_ROW_MATH(avx2, __attribute__((target("avx2,fma"))))
// Both compilers have to be told to use the whole width, each in its own way: clang
// ignores all of a target() in which it does not know a word.
#define RADIOFM_AVX512_TARGET "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma"
#ifdef __clang__
RADIOFM_ROW_MATH(avx512,
                 __attribute__((target(RADIOFM_AVX512_TARGET), min_vector_width(512))))
#else
RADIOFM_ROW_MATH(
    avx512, __attribute__((target(RADIOFM_AVX512_TARGET ",prefer-vector-width=512"))))
#endif
#endif

} // namespace

const row_math* row_math::with(instructions set)
{
    if (set == instructions::baseline)
        return &baseline;
#ifdef __x86_64__
    if (set == instructions::avx2 && __builtin_cpu_supports("avx2") &&
        __builtin_cpu_supports("fma"))
        return &avx2;
    if (set == instructions::avx512 && __builtin_cpu_supports("avx512f") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl"))
        return &avx512;
#endif
    return nullptr;
}

const row_math& row_math::best()
{
    static const row_math* const chosen = [] {
        for (const auto set : { instructions::avx512, instructions::avx2 })
            if (const row_math* const math = with(set))
                return math;
        return &baseline;
    }();
    return *chosen;
}

} // namespace radiofm
} // namespace gr
