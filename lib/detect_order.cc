/* SPDX-License-Identifier: GPL-3.0-or-later
 * Copyright 2026 gr-radiofm authors
 */

#include "detect_clones.h"
#include "detect_order.h"
#include <algorithm>
#include <cstdint>
#include <cstring>

namespace gr {
namespace radiofm {
namespace detect {

namespace {

// Values that are compared at once. Compilers vectorise few loops with minima by
// themselves.
constexpr size_t lanes = 4;
typedef float vec __attribute__((vector_size(lanes * sizeof(float))));
constexpr size_t tile = 32; // columns that are sorted at once
constexpr float greatest = 1e37f;

RADIOFM_CLONES
size_t count_below(const float* x, size_t n, float limit)
{
    int32_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += x[i] < limit ? 1 : 0;
    return static_cast<size_t>(count);
}

//! The greatest value below limit and the least from limit on.
RADIOFM_CLONES
void beside(const float* x, size_t n, float limit, float& below, float& from)
{
    constexpr size_t chains = 4; // so that none waits for the one before
    vec low[chains], high[chains];
    for (size_t k = 0; k < chains; k++) {
        low[k] = vec{} - greatest;
        high[k] = vec{} + greatest;
    }
    size_t i = 0;
    for (; i + chains * lanes <= n; i += chains * lanes)
        for (size_t k = 0; k < chains; k++) {
            vec v;
            std::memcpy(&v, x + i + k * lanes, sizeof(v));
            const vec under = v < limit ? v : low[k], over = v < limit ? high[k] : v;
            low[k] = under > low[k] ? under : low[k];
            high[k] = over < high[k] ? over : high[k];
        }
    below = -greatest;
    from = greatest;
    for (; i < n; i++)
        if (x[i] < limit)
            below = std::max(below, x[i]);
        else
            from = std::min(from, x[i]);
    for (size_t k = 0; k < chains; k++)
        for (size_t j = 0; j < lanes; j++) {
            below = std::max(below, low[k][j]);
            from = std::min(from, high[k][j]);
        }
}

RADIOFM_CLONES
void subtract(const float* a, const float* b, size_t n, float* out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = a[i] - b[i];
}

//! Sorts each of the columns of n rows of `tile` values: K. E. Batcher's odd-even merge
//! sort.
RADIOFM_CLONES
void sort_columns(float* x, size_t n)
{
    for (size_t p = 1, shift = 1; p < n; p += p, shift++)
        for (size_t k = p; k >= 1; k /= 2)
            for (size_t j = k % p; j + k < n; j += 2 * k)
                for (size_t i = j, end = std::min(j + k, n - k); i < end; i++) {
                    if (i >> shift != (i + k) >> shift)
                        continue;
                    float* low = x + i * tile;
                    float* high = x + (i + k) * tile;
                    for (size_t c = 0; c < tile; c += lanes) {
                        vec a, b;
                        std::memcpy(&a, low + c, sizeof(a));
                        std::memcpy(&b, high + c, sizeof(b));
                        const vec least = b < a ? b : a, most = b < a ? a : b;
                        std::memcpy(low + c, &least, sizeof(a));
                        std::memcpy(high + c, &most, sizeof(b));
                    }
                }
}

} // namespace

float order::quantile(const float* row,
                      const float* offset,
                      const std::vector<span>& columns,
                      double share)
{
    size_t n = 0;
    for (const span& part : columns)
        n += part.stop - part.start;
    d_gathered.resize(std::max(n, d_gathered.size()));
    float* to = d_gathered.data();
    for (const span& part : columns) {
        const size_t wide = part.stop - part.start;
        if (offset)
            subtract(row + part.start, offset + part.start, wide, to);
        else
            std::copy_n(row + part.start, wide, to);
        to += wide;
    }
    return quantile(d_gathered.data(), n, share);
}

float order::quantile(const float* x, size_t n, double share)
{
    const double place = share * static_cast<double>(n - 1);
    const size_t rank = std::min(static_cast<size_t>(place), n - 1);
    const auto [low, high] = neighbours(x, n, rank);
    return low + (high - low) * static_cast<float>(place - static_cast<double>(rank));
}

//! The values of a rank and of the next, the last one twice.
std::pair<float, float> order::neighbours(const float* x, size_t n, size_t rank)
{
    // low is not above the value of the rank, high is above it; below and reached values
    // lie under them. What is sought is often near what was found last.
    float low = d_last - d_width, high = d_last + d_width, step = d_width;
    size_t below = count_below(x, n, low), reached = count_below(x, n, high);
    const bool near = below <= rank && reached > rank;
    for (; below > rank && low > -greatest; step *= 8) {
        high = low;
        reached = below;
        low = std::max(low - step, -greatest);
        below = count_below(x, n, low);
    }
    for (; reached <= rank && high < greatest; step *= 8) {
        low = high;
        below = reached;
        high = std::min(high + step, greatest);
        reached = count_below(x, n, high);
    }
    if (below > rank || reached <= rank)
        return below > rank ? std::pair{ -greatest, -greatest }
                            : std::pair{ greatest, greatest };
    d_width = near ? std::max(d_width * (reached - below > n / 8 ? 0.5f : 1.0f), 1e-3f)
                   : 2 * d_width;

    for (int turn = 1; reached != rank + 1; turn++) {
        // By turns where the next value would be if all lay evenly, and in the middle.
        const float share =
            static_cast<float>(rank + 1 - below) / static_cast<float>(reached - below);
        float between = turn % 3 ? low + (high - low) * share : 0.5f * low + 0.5f * high;
        if (!(low < between && between < high))
            between = 0.5f * low + 0.5f * high;
        if (!(low < between && between < high)) { // all that lie between are equal
            d_last = low;
            return { low, low };
        }
        const size_t count = count_below(x, n, between);
        (count <= rank ? low : high) = between;
        (count <= rank ? below : reached) = count;
    }
    std::pair<float, float> found;
    beside(x, n, high, found.first, found.second);
    d_last = found.first;
    return rank + 1 == n ? std::pair{ d_last, d_last } : found;
}

void column_ranks(const float* rows,
                  size_t n,
                  size_t stride,
                  size_t columns,
                  const std::vector<size_t>& ranks,
                  float* out)
{
    std::vector<float> sorted(n * tile);
    for (size_t first = 0; first < columns; first += tile) {
        const size_t wide = std::min(tile, columns - first);
        for (size_t r = 0; r < n; r++)
            std::copy_n(rows + r * stride + first, wide, &sorted[r * tile]);
        sort_columns(sorted.data(), n);
        for (size_t i = 0; i < ranks.size(); i++)
            std::copy_n(&sorted[ranks[i] * tile], wide, out + i * columns + first);
    }
}

} // namespace detect
} // namespace radiofm
} // namespace gr
