/* SPDX-License-Identifier: GPL-3.0-or-later
 * Copyright 2026 gr-radiofm authors
 */

#include "detect_clones.h"
#include "detect_cut.h"
#include <algorithm>
#include <cstdlib>

namespace gr {
namespace radiofm {
namespace detect {

namespace {

//! to, rows of `rows` values: the map with rows for bins.
void turn(const uint8_t* map, size_t rows, size_t bins, uint8_t* to)
{
    constexpr size_t side = 32;
    for (size_t r = 0; r < rows; r += side)
        for (size_t c = 0; c < bins; c += side)
            for (size_t j = c; j < std::min(c + side, bins); j++)
                for (size_t i = r; i < std::min(r + side, rows); i++)
                    to[j * rows + i] = map[i * bins + j];
}

RADIOFM_CLONES
uint32_t count(const uint8_t* x, size_t n)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i];
    return sum;
}

//! sum[i] += add[i] - take[i]
RADIOFM_CLONES
void move(uint32_t* sum, const uint8_t* add, const uint8_t* take, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sum[i] = sum[i] + add[i] - take[i];
}

RADIOFM_CLONES
void add(uint32_t* sum, const uint8_t* more, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sum[i] = sum[i] + more[i];
}

RADIOFM_CLONES
void take_away(uint32_t* sum, const uint8_t* less, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sum[i] = sum[i] - less[i];
}

struct unlike {
    int64_t most, difference;
};

//! Of a few columns, whose products and their sums fit 32 bits.
RADIOFM_CLONES
void add_unlike(const uint32_t* before,
                const uint32_t* after,
                size_t n,
                uint32_t rows_before,
                uint32_t rows_after,
                unlike& sum)
{
    uint32_t most = 0, difference = 0;
    for (size_t i = 0; i < n; i++) {
        const uint32_t a = before[i] * rows_after, b = after[i] * rows_before;
        most += a < b ? b : a;
        difference += a < b ? b - a : a - b;
    }
    sum.most += most;
    sum.difference += difference;
}

/*! Sums over the columns: the greater of before / rows_before and after / rows_after, and
 * how far they are apart, both times rows_before rows_after. */
unlike compare(const uint32_t* before,
               const uint32_t* after,
               size_t n,
               uint32_t rows_before,
               uint32_t rows_after)
{
    constexpr size_t at_once = 1 << 10;
    unlike sum = { 0, 0 };
    if (static_cast<uint64_t>(rows_before) * rows_after * at_once <= UINT32_MAX) {
        for (size_t i = 0; i < n; i += at_once)
            add_unlike(before + i,
                       after + i,
                       std::min(at_once, n - i),
                       rows_before,
                       rows_after,
                       sum);
        return sum;
    }
    for (size_t i = 0; i < n; i++) {
        const int64_t a = static_cast<int64_t>(before[i]) * rows_after,
                      b = static_cast<int64_t>(after[i]) * rows_before;
        sum.most += std::max(a, b);
        sum.difference += std::abs(a - b);
    }
    return sum;
}

} // namespace

std::vector<rectangle> cutter::cut(const uint8_t* map, size_t rows, size_t bins)
{
    d_map = map;
    d_rows = rows;
    d_bins = bins;
    d_turned.resize(std::max(d_turned.size(), rows * bins));
    turn(map, rows, bins, d_turned.data());
    d_found.clear();
    part({ 0, rows, 0, bins }, 0);
    return d_found;
}

void cutter::part(rectangle whole, int depth)
{
    const rectangle all = whole;
    size_t pixels;
    if (!trim(whole, pixels))
        return;
    if (depth < d_rules.deepest)
        aside(all, whole, depth);
    if (pixels < d_rules.least)
        return;
    const double area = static_cast<double>(whole.rows() * whole.bins());
    if (depth < d_rules.deepest && static_cast<double>(pixels) / area < d_rules.solid) {
        const place in_time = best(d_map + whole.t0 * d_bins + whole.f0,
                                   d_bins,
                                   whole.rows(),
                                   whole.bins(),
                                   d_rules.rows);
        const place in_band = best(d_turned.data() + whole.f0 * d_rows + whole.t0,
                                   d_rows,
                                   whole.bins(),
                                   whole.rows(),
                                   d_rules.bins);
        if (std::max(in_time.difference, in_band.difference) > d_rules.difference) {
            rectangle first = whole, second = whole;
            if (in_time.difference >= in_band.difference)
                first.t1 = second.t0 = whole.t0 + in_time.at;
            else
                first.f1 = second.f0 = whole.f0 + in_band.at;
            part(first, depth + 1);
            part(second, depth + 1);
            return;
        }
    }
    d_found.push_back(whole);
}

//! Cuts what lies beside the fullest rows and columns of a part and is no fringe, but
//! another signal that crosses. It reaches as far as is looked beside a cut, and lasts
//! twice as long.
void cutter::aside(const rectangle& all, const rectangle& inner, int depth)
{
    const size_t first = d_found.size();
    if (inner.t0 - all.t0 >= d_rules.rows)
        part({ all.t0, inner.t0, all.f0, all.f1 }, depth + 1);
    if (all.t1 - inner.t1 >= d_rules.rows)
        part({ inner.t1, all.t1, all.f0, all.f1 }, depth + 1);
    if (inner.f0 - all.f0 >= d_rules.bins)
        part({ inner.t0, inner.t1, all.f0, inner.f0 }, depth + 1);
    if (all.f1 - inner.f1 >= d_rules.bins)
        part({ inner.t0, inner.t1, inner.f1, all.f1 }, depth + 1);
    const auto fringe = [this](const rectangle& r) {
        return r.rows() < 2 * d_rules.rows;
    };
    d_found.erase(std::remove_if(d_found.begin() + first, d_found.end(), fringe),
                  d_found.end());
}

//! Takes rows and columns of little off the sides of a box; false if it is empty. pixels:
//! of what is left.
bool cutter::trim(rectangle& box, size_t& pixels)
{
    const auto inside = [this](size_t& start, size_t& stop, const auto& filled) {
        d_filled.resize(std::max(d_filled.size(), stop));
        uint32_t most = 0;
        for (size_t i = start; i < stop; i++)
            most = std::max(most, d_filled[i] = filled(i));
        if (most == 0)
            return false;
        const double least = d_rules.edge_share * most;
        while (d_filled[start] < least)
            start++;
        while (d_filled[stop - 1] < least)
            stop--;
        return true;
    };
    const rectangle all = box;
    const bool any = inside(box.t0, box.t1, [&](size_t t) {
        return count(d_map + t * d_bins + all.f0, all.bins());
    });
    if (!any)
        return false;
    inside(box.f0, box.f1, [&](size_t f) {
        return count(d_turned.data() + f * d_rows + all.t0, all.rows());
    });
    pixels = 0;
    for (size_t t = box.t0; t < box.t1; t++)
        pixels += count(d_map + t * d_bins + box.f0, box.bins());
    return true;
}

//! The cut between rows whose two sides differ most in which columns they fill.
cutter::place
cutter::best(const uint8_t* map, size_t stride, size_t rows, size_t bins, size_t reach)
{
    place found = { 0.0, 0 };
    if (rows < 6)
        return found;
    d_before.assign(bins, 0);
    d_after.assign(bins, 0);
    const auto row = [&](size_t r) { return map + r * stride; };
    add(d_before.data(), row(0), bins);
    for (size_t r = 1; r < std::min(1 + reach, rows); r++)
        add(d_after.data(), row(r), bins);
    for (size_t at = 2; at + 1 < rows; at++) {
        // from a cut before row at - 1 to one before row at
        if (at > reach)
            move(d_before.data(), row(at - 1), row(at - 1 - reach), bins);
        else
            add(d_before.data(), row(at - 1), bins);
        if (at - 1 + reach < rows)
            move(d_after.data(), row(at - 1 + reach), row(at - 1), bins);
        else
            take_away(d_after.data(), row(at - 1), bins);
        const auto before = static_cast<uint32_t>(std::min(at, reach)),
                   after = static_cast<uint32_t>(std::min(rows - at, reach));
        const unlike sums = compare(d_before.data(), d_after.data(), bins, before, after);
        const double most = std::max<double>(static_cast<double>(sums.most),
                                             static_cast<double>(before) * after);
        const double difference = static_cast<double>(sums.difference) / most;
        if (difference > found.difference || found.at == 0)
            found = { difference, at };
    }
    return found;
}

} // namespace detect
} // namespace radiofm
} // namespace gr
