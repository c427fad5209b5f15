/* SPDX-License-Identifier: GPL-3.0-or-later
 * Copyright 2026 gr-radiofm authors
 */

#include "detect_clones.h"
#include "detect_map.h"
#include "detect_order.h"
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace gr {
namespace radiofm {
namespace detect {

namespace {

// 2^f = exp2_poly[0] + exp2_poly[1] f + ... for -0.5 <= f <= 0.5, to 2e-7 of it: Taylor's
// series.
constexpr float exp2_poly[] = { 1.0f,           0.693147181f,   0.240226507f,
                                0.0555041087f,  0.00961812911f, 0.00133335581f,
                                0.000154035304f };
constexpr float octaves_per_db = 0.332192809f;

RADIOFM_INLINE float power_of(float db)
{
    float x = octaves_per_db * db;
    x = x < -125.0f ? -125.0f : x;
    x = x > 127.0f ? 127.0f : x;
    const float whole_at = 12582912.0f; // 1.5 2^23: adding it rounds to a whole number
    const float rounded = x + whole_at;
    int32_t bits;
    std::memcpy(&bits, &rounded, sizeof(bits));
    const float f = x - (rounded - whole_at);
    float y = exp2_poly[6];
    y = y * f + exp2_poly[5];
    y = y * f + exp2_poly[4];
    y = y * f + exp2_poly[3];
    y = y * f + exp2_poly[2];
    y = y * f + exp2_poly[1];
    y = y * f + exp2_poly[0];
    int32_t value;
    std::memcpy(&value, &y, sizeof(value));
    value += (bits - 0x4b400000) * (1 << 23);
    std::memcpy(&y, &value, sizeof(y));
    return y;
}

//! sum[i] += x[i] factor
RADIOFM_CLONES
void add_times(const float* x, float factor, size_t n, float* sum)
{
    if (factor != 0.0f)
        for (size_t i = 0; i < n; i++)
            sum[i] += x[i] * factor;
}

RADIOFM_CLONES
void over_floor(const float* level, const float* floor, size_t n, float* out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = power_of(level[i] - floor[i]);
}

//! sum[c] = the sum of `count` rows, the rows before the first and behind the last
//! repeated.
RADIOFM_CLONES
void sum_rows(const float* const* rows, size_t count, size_t n, float* sum)
{
    if (count == 5) { // of a step
        const float *a = rows[0], *b = rows[1], *c = rows[2], *d = rows[3], *e = rows[4];
        for (size_t i = 0; i < n; i++)
            sum[i] = a[i] + b[i] + c[i] + d[i] + e[i];
        return;
    }
    if (count == 3) { // of a cell
        const float *a = rows[0], *b = rows[1], *c = rows[2];
        for (size_t i = 0; i < n; i++)
            sum[i] = a[i] + b[i] + c[i];
        return;
    }
    std::copy_n(rows[0], n, sum);
    for (size_t k = 1; k < count; k++)
        for (size_t i = 0; i < n; i++)
            sum[i] += rows[k][i];
}

//! out[c] = x[c] + ... + x[c + width - 1]
RADIOFM_CLONES
void sum_neighbours(const float* x, size_t width, size_t n, float* out)
{
    if (width == 3) {
        for (size_t i = 0; i < n; i++)
            out[i] = x[i] + x[i + 1] + x[i + 2];
        return;
    }
    if (width <= 16) {
        std::copy_n(x, n, out);
        for (size_t k = 1; k < width; k++)
            for (size_t i = 0; i < n; i++)
                out[i] += x[i + k];
        return;
    }
    double sum = 0.0; // in double: what is subtracted must leave nothing behind
    for (size_t k = 0; k < width; k++)
        sum += x[k];
    for (size_t i = 0; i < n; i++) {
        out[i] = static_cast<float>(sum);
        if (i + 1 < n)
            sum += static_cast<double>(x[i + width]) - x[i];
    }
}

//! Sums over a cell around every bin of a row, edges counting on.
class cell_sums
{
public:
    cell_sums(const grid& from, extent cell)
        : d_from(from), d_cell(cell), d_rows(cell.rows), d_padded(from.bins + cell.bins)
    {
    }

    //! Less `change` times the weights of `gain`, which may have no terms.
    void
    row(size_t r, float* out, const float* change = nullptr, const product& gain = {})
    {
        for (size_t k = 0; k < d_cell.rows; k++) {
            const size_t at = std::max(r + k, d_cell.rows / 2) - d_cell.rows / 2;
            d_rows[k] = d_from.row(std::min(at, d_from.rows - 1));
        }
        const size_t before = d_cell.bins / 2, n = d_from.bins;
        float* const first = &d_padded[before];
        sum_rows(d_rows.data(), d_cell.rows, n, first);
        for (size_t k = 0; k < gain.terms; k++)
            add_times(gain.weights + k * n, -change[k], n, first);
        std::fill_n(d_padded.begin(), before, first[0]);
        std::fill_n(first + n, d_cell.bins - 1 - before, first[n - 1]);
        sum_neighbours(d_padded.data(), d_cell.bins, n, out);
    }

private:
    const grid d_from;
    const extent d_cell;
    std::vector<const float*> d_rows;
    std::vector<float> d_padded;
};

RADIOFM_CLONES
void keep_least(const float* x, size_t n, float* least)
{
    for (size_t i = 0; i < n; i++)
        least[i] = x[i] < least[i] ? x[i] : least[i];
}

RADIOFM_CLONES
void compare(
    const float* x, size_t n, float low, float high, uint8_t* is_low, uint8_t* is_high)
{
    for (size_t i = 0; i < n; i++) {
        is_low[i] = x[i] > low ? 1 : 0;
        is_high[i] = x[i] > high ? 2 : 0;
    }
}

//! out[i] = whether any (or, of `all`, every) one of a[i], b[i] is set
RADIOFM_INLINE void
combine(const uint8_t* a, const uint8_t* b, size_t n, bool all, uint8_t* out)
{
    if (all)
        for (size_t i = 0; i < n; i++)
            out[i] = a[i] & b[i];
    else
        for (size_t i = 0; i < n; i++)
            out[i] = a[i] | b[i];
}

//! Dilates (or, of `all`, erodes) a row by `width` bins, what is outside being neutral.
//! a, b: n + width.
RADIOFM_CLONES
void spread(uint8_t* row, size_t n, size_t width, bool all, uint8_t* a, uint8_t* b)
{
    const size_t before = width / 2;
    std::memset(a, all ? 1 : 0, n + width);
    std::memcpy(a + before, row, n);
    // a[i] stands for the bins from i on, in doubling numbers of them
    size_t have = 1;
    for (; 2 * have <= width; have *= 2) {
        combine(a, a + have, n + width - 2 * have, all, b);
        std::swap(a, b);
    }
    combine(a, a + width - have, n, all, row);
}

//! Dilates (or, of `all`, erodes) by `height` rows, what is outside being neutral.
RADIOFM_CLONES
void spread_rows(
    const uint8_t* in, size_t rows, size_t bins, size_t height, bool all, uint8_t* out)
{
    const size_t reach = height / 2;
    for (size_t r = 0; r < rows; r++) {
        uint8_t* const to = out + r * bins;
        const size_t first = r < reach ? 0 : r - reach,
                     last = std::min(r + reach, rows - 1);
        std::memcpy(to, in + first * bins, bins);
        for (size_t other = first + 1; other <= last; other++)
            combine(to, in + other * bins, bins, all, to);
    }
}

RADIOFM_CLONES
size_t count_beyond(const float* x, size_t n, float sign, float limit)
{
    int32_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += sign * x[i] > limit ? 1 : 0;
    return static_cast<size_t>(count);
}

RADIOFM_CLONES
size_t count_near(const float* x, size_t n, float middle, float slack)
{
    int32_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += std::abs(x[i] - middle) < slack ? 1 : 0;
    return static_cast<size_t>(count);
}

RADIOFM_CLONES
void difference(const float* a, const float* b, size_t n, float* out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = a[i] - b[i];
}

RADIOFM_CLONES
void scale(float* x, size_t n, float factor)
{
    for (size_t i = 0; i < n; i++)
        x[i] *= factor;
}

} // namespace

void whiten(const grid& level, const product& floor, float* out)
{
    std::vector<float> noise(level.bins);
    for (size_t r = 0; r < level.rows; r++) {
        std::fill(noise.begin(), noise.end(), 0.0f);
        for (size_t k = 0; k < floor.terms; k++)
            add_times(floor.weights + k * level.bins,
                      floor.amounts[r * floor.terms + k],
                      level.bins,
                      noise.data());
        over_floor(level.row(r), noise.data(), level.bins, out + r * level.bins);
    }
}

void common_steps(const grid& level,
                  size_t reach,
                  float least_db,
                  float slack_db,
                  double most,
                  double farther,
                  float* out)
{
    constexpr size_t width = 5;
    const size_t n = level.bins;
    std::vector<float> padded(n + width - 1), smooth(n);
    float* const change = &padded[width / 2];
    order select;
    std::vector<const float*> rows(reach);
    std::vector<float> sums((reach + 1) * n); // of `reach` rows, the last ones
    for (size_t r = 0; r + reach <= level.rows; r++) {
        for (size_t k = 0; k < reach; k++)
            rows[k] = level.row(r + k);
        float* const after = &sums[r % (reach + 1) * n];
        sum_rows(rows.data(), reach, n, after);
        if (r < reach)
            continue;
        difference(after, &sums[(r + 1) % (reach + 1) * n], n, change);
        std::fill_n(padded.begin(), width / 2, change[0]);
        std::fill_n(change + n, width / 2, change[n - 1]);
        sum_neighbours(padded.data(), width, n, smooth.data());
        scale(smooth.data(), n, 1.0f / static_cast<float>(reach * width));
        float& step = out[r - reach];
        step = 0.0f;
        // The median lies beyond a limit only if half of the bins do.
        const bool up = 2 * count_beyond(smooth.data(), n, 1.0f, least_db) >= n;
        if (!up && 2 * count_beyond(smooth.data(), n, -1.0f, least_db) < n)
            continue;
        const float middle = select.quantile(smooth.data(), n, 0.5);
        const float size = std::abs(middle);
        if (!(size > least_db))
            continue;
        const float slack = slack_db + 0.1f * size, sign = middle < 0.0f ? -1.0f : 1.0f;
        const size_t alike = count_near(smooth.data(), n, middle, slack);
        const double bins = static_cast<double>(n);
        if (static_cast<double>(alike) > most * bins)
            step = size;
        else if (5 * alike > 3 * n && static_cast<double>(count_beyond(
                                      smooth.data(), n, sign, size - slack)) > farther * bins)
            step = size;
    }
}

void least_means(const grid& level, extent cell, const product& gain, float* out)
{
    cell_sums sums(level, cell);
    std::vector<float> row(level.bins), change(gain.terms);
    std::fill_n(out, level.bins, std::numeric_limits<float>::infinity());
    for (size_t r = cell.rows / 2; r + cell.rows - cell.rows / 2 <= level.rows; r++) {
        for (size_t k = 0; k < gain.terms; k++) {
            change[k] = 0.0f;
            for (size_t i = 0; i < cell.rows; i++)
                change[k] += gain.amounts[(r - cell.rows / 2 + i) * gain.terms + k];
        }
        sums.row(r, row.data(), change.data(), gain);
        keep_least(row.data(), level.bins, out);
    }
    scale(out, level.bins, 1.0f / static_cast<float>(cell.rows * cell.bins));
}

signal_map::signal_map(extent cell, thresholds limits, extent closing)
    : d_cell(cell), d_limits(limits), d_closing(closing)
{
}

void signal_map::map(const grid& power, size_t begin, size_t end, uint8_t* out)
{
    const size_t n = power.bins, size = power.rows * n;
    const float cells = static_cast<float>(d_cell.rows * d_cell.bins);
    d_low.resize(size);
    d_high.resize(size);
    d_other.resize(size);
    d_padded.resize(2 * (n + d_closing.bins));
    cell_sums sums(power, d_cell);
    std::vector<float> row(n);
    for (size_t r = 0; r < power.rows; r++) {
        sums.row(r, row.data());
        compare(row.data(),
                n,
                cells * d_limits.low,
                cells * d_limits.high,
                &d_low[r * n],
                &d_high[r * n]);
    }
    uint8_t *const a = d_padded.data(), *const b = a + n + d_closing.bins;
    for (const bool all : { false, true }) {
        spread_rows(d_low.data(), power.rows, n, d_closing.rows, all, d_other.data());
        d_low.swap(d_other);
        for (size_t r = 0; r < power.rows; r++)
            spread(&d_low[r * n], n, d_closing.bins, all, a, b);
    }
    for (size_t i = begin * n, to = 0; i < end * n; i++, to++)
        out[to] = d_low[i] | d_high[i];
}

double mean(const grid& power, size_t t0, size_t t1, size_t f0, size_t f1)
{
    constexpr size_t lanes = 16;
    if (t0 >= t1 || f0 >= f1)
        return 0.0;
    double sum = 0.0;
    for (size_t r = t0; r < t1; r++) {
        const float* const row = power.row(r);
        float part[lanes] = {};
        size_t c = f0;
        for (; c + lanes <= f1; c += lanes)
            for (size_t j = 0; j < lanes; j++)
                part[j] += row[c + j];
        for (; c < f1; c++)
            sum += row[c];
        for (const float p : part)
            sum += p;
    }
    return sum / static_cast<double>((t1 - t0) * (f1 - f0));
}

} // namespace detect
} // namespace radiofm
} // namespace gr
