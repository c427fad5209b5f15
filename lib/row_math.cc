/* SPDX-License-Identifier: GPL-3.0-or-later
 * Copyright 2026 gr-radiofm authors
 */

#include "row_math.h"
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#if defined(__x86_64__) && defined(__GNUC__)
#define RADIOFM_X86 1
#endif

// The loop bodies are inlined into one function per instruction set and vectorised there.
#define RADIOFM_INLINE static inline __attribute__((always_inline))

namespace gr {
namespace radiofm {
namespace {

RADIOFM_INLINE float norm(const std::complex<float>& x)
{
    return x.real() * x.real() + x.imag() * x.imag();
}

/* 10 log10(p) to 1.1e-6 dB, not below -200; Inf and NaN stay what they are.
 *
 * p = 2^e m with m in [sqrt(1/2), sqrt(2)), log2(p) = e + t P(t) with t = m - 1. P is the
 * polynomial of degree 6 with the least greatest error of t P(t).
 */
RADIOFM_INLINE float decibel(float p)
{
    const float floor = 1e-20f;
    const float clamped = p < floor ? floor : p;
    int32_t bits;
    std::memcpy(&bits, &clamped, sizeof(bits));
    const int32_t sqrt_half = 0x3f3504f3;
    const int32_t e = (bits - sqrt_half) >> 23;
    bits -= e << 23;
    float m;
    std::memcpy(&m, &bits, sizeof(m));
    const float t = m - 1.0f;
    float poly = 0.170634374f;
    poly = poly * t - 0.272697926f;
    poly = poly * t + 0.297262609f;
    poly = poly * t - 0.35896185f;
    poly = poly * t + 0.480465025f;
    poly = poly * t - 0.721375883f;
    poly = poly * t + 1.44269967f;
    const float db = 3.01029996f * (static_cast<float>(e) + t * poly);
    return clamped < std::numeric_limits<float>::infinity() ? db : clamped;
}

// One copy of every loop, as inlined bodies, and a table of them for one instruction set.
#define RADIOFM_ROW_MATH(NAME, TARGET)                                                \
    namespace NAME {                                                                  \
    using cf = std::complex<float>;                                                   \
    TARGET void window(const float* x, const float* w, float* y, size_t n)            \
    {                                                                                 \
        for (size_t i = 0; i < 2 * n; i++)                                            \
            y[i] = x[i] * w[i];                                                       \
    }                                                                                 \
    TARGET void db(const cf* x, float* out, size_t n)                                 \
    {                                                                                 \
        for (size_t k = 0; k < n; k++)                                                \
            out[k] = decibel(norm(x[k]));                                             \
    }                                                                                 \
    TARGET void power(const cf* x, float* out, size_t n)                              \
    {                                                                                 \
        for (size_t k = 0; k < n; k++)                                                \
            out[k] = norm(x[k]);                                                      \
    }                                                                                 \
    TARGET void magnitude(const cf* x, float* out, size_t n)                          \
    {                                                                                 \
        for (size_t k = 0; k < n; k++)                                                \
            out[k] = std::sqrt(norm(x[k]));                                           \
    }                                                                                 \
    TARGET void add_power(const cf* x, float* out, size_t n)                          \
    {                                                                                 \
        for (size_t k = 0; k < n; k++)                                                \
            out[k] += norm(x[k]);                                                     \
    }                                                                                 \
    TARGET void finish_db(const float* sum, float factor, float* out, size_t n)       \
    {                                                                                 \
        for (size_t k = 0; k < n; k++)                                                \
            out[k] = decibel(factor * sum[k]);                                        \
    }                                                                                 \
    TARGET void finish_power(const float* sum, float factor, float* out, size_t n)    \
    {                                                                                 \
        for (size_t k = 0; k < n; k++)                                                \
            out[k] = factor * sum[k];                                                 \
    }                                                                                 \
    TARGET void finish_magnitude(const float* sum, float factor, float* out, size_t n) \
    {                                                                                 \
        for (size_t k = 0; k < n; k++)                                                \
            out[k] = std::sqrt(factor * sum[k]);                                      \
    }                                                                                 \
    const row_math table = { window,    db,           power,            magnitude,    \
                             add_power, finish_db,    finish_power,     finish_magnitude, \
                             #NAME };                                                 \
    }

RADIOFM_ROW_MATH(baseline, )
#ifdef RADIOFM_X86
RADIOFM_ROW_MATH(avx2, __attribute__((target("avx2,fma"))))
RADIOFM_ROW_MATH(avx512,
                 __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,avx2,fma,"
                                       "prefer-vector-width=512"))))
#endif

} // namespace

size_t row_math::all(const row_math* variants[3])
{
    size_t n = 0;
    variants[n++] = &baseline::table;
#ifdef RADIOFM_X86
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        variants[n++] = &avx2::table;
        if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
            __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw"))
            variants[n++] = &avx512::table;
    }
#endif
    return n;
}

const row_math& row_math::best()
{
    static const row_math& chosen = []() -> const row_math& {
        const row_math* variants[3];
        return *variants[all(variants) - 1];
    }();
    return chosen;
}

} // namespace radiofm
} // namespace gr
