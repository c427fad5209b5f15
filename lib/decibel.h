/* SPDX-License-Identifier: GPL-3.0-or-later
 * Copyright 2026 gr-radiofm authors
 */

#ifndef INCLUDED_RADIOFM_DECIBEL_H
#define INCLUDED_RADIOFM_DECIBEL_H

#include <cstdint>
#include <cstring>
#include <limits>

namespace gr {
namespace radiofm {

//! The least power that is told from silence: -200 dB.
constexpr float least_power = 1e-20f;

/*! With p = 2^e (1 + t) and 0 <= t < 1,
 *
 *     10 log10(p) = e db_per_octave + db_poly[0] + db_poly[1] t + ... + db_poly[6] t^6
 *
 * to 7e-6 dB: the polynomial of degree 6 with the least greatest error.
 */
constexpr float db_per_octave = 3.01029996f;
constexpr float db_poly[] = { 5.55602355e-06f, 4.34234381f,  -2.16076636f,  1.3742671f,
                              -0.832470477f,   0.364252955f, -0.0773378536f };

//! 10 log10(p), not below -200; Inf and NaN stay what they are. Written to be vectorised.
static inline __attribute__((always_inline)) float decibel(float p)
{
    const float clamped = p < least_power ? least_power : p;
    int32_t bits;
    std::memcpy(&bits, &clamped, sizeof(bits));
    const int32_t one = 0x3f800000;
    const int32_t mantissa = (bits & 0x007fffff) | one;
    float m;
    std::memcpy(&m, &mantissa, sizeof(m));
    const float e = static_cast<float>((bits - one) >> 23);
    const float t = m - 1.0f;
    float db = db_poly[6];
    db = db * t + db_poly[5];
    db = db * t + db_poly[4];
    db = db * t + db_poly[3];
    db = db * t + db_poly[2];
    db = db * t + db_poly[1];
    db = db * t + db_poly[0];
    db = e * db_per_octave + db;
    return clamped < std::numeric_limits<float>::infinity() ? db : clamped;
}

} // namespace radiofm
} // namespace gr

#endif /* INCLUDED_RADIOFM_DECIBEL_H */
