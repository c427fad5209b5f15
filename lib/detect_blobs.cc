/* SPDX-License-Identifier: GPL-3.0-or-later
 * Copyright 2026 gr-radiofm authors
 */

#include "detect_blobs.h"
#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <tuple>

namespace gr {
namespace radiofm {
namespace detect {

namespace {

bool is_earlier(const blob& a, const blob& b)
{
    return std::tie(a.t0, a.first) < std::tie(b.t0, b.first);
}

//! The first place from `at` on whose bit 0 is set (or, of !wanted, is not).
size_t next(const uint8_t* row, size_t n, size_t at, bool wanted)
{
    if (wanted) // mostly empty: eight at once
        for (uint64_t eight; at + 8 <= n; at += 8) {
            std::memcpy(&eight, row + at, 8);
            if (eight & 0x0101010101010101u)
                break;
        }
    while (at < n && ((row[at] & 1) != 0) != wanted)
        at++;
    return at;
}

} // namespace

void blob::draw(uint8_t* out) const
{
    const size_t wide = static_cast<size_t>(f1 - f0);
    for (const run& part : runs)
        std::memset(out + static_cast<size_t>(part.row - t0) * wide + (part.f0 - f0),
                    1,
                    static_cast<size_t>(part.f1 - part.f0));
}

blobs::blobs(size_t bins) : d_bins(bins)
{
    if (bins == 0)
        throw std::invalid_argument("bins must be at least 1");
}

size_t blobs::find(size_t number)
{
    while (d_parent[number] != number)
        number = d_parent[number] = d_parent[d_parent[number]];
    return number;
}

//! Makes one blob of two.
size_t blobs::unite(size_t a, size_t b)
{
    a = find(a);
    b = find(b);
    if (a == b)
        return a;
    if (is_earlier(d_blobs[b], d_blobs[a]))
        std::swap(a, b);
    blob &kept = d_blobs[a], &gone = d_blobs[b];
    if (kept.runs.size() < gone.runs.size())
        kept.runs.swap(gone.runs);
    kept.runs.insert(kept.runs.end(), gone.runs.begin(), gone.runs.end());
    kept.t1 = std::max(kept.t1, gone.t1);
    kept.f0 = std::min(kept.f0, gone.f0);
    kept.f1 = std::max(kept.f1, gone.f1);
    kept.high |= gone.high;
    gone.runs = {};
    d_parent[b] = a;
    return a;
}

//! A run of this row. before: the first of the runs of the row before that may still
//! touch it.
void blobs::take_run(int32_t f0, int32_t f1, bool high, size_t& before)
{
    while (before < d_before.size() && d_before[before].f1 <= f0)
        before++;
    size_t owner = d_blobs.size();
    for (size_t i = before; i < d_before.size() && d_before[i].f0 < f1; i++)
        owner = owner == d_blobs.size() ? find(d_before[i].owner)
                                        : unite(owner, d_before[i].owner);
    if (owner == d_blobs.size()) {
        d_parent.push_back(owner);
        d_blobs.push_back({ {}, d_row, d_row, f0, f1, f0, false });
    }
    blob& mine = d_blobs[owner];
    mine.runs.push_back({ d_row, f0, f1 });
    mine.t1 = d_row + 1;
    mine.f0 = std::min(mine.f0, f0);
    mine.f1 = std::max(mine.f1, f1);
    mine.high |= high;
    d_here.push_back({ f0, f1, owner });
}

std::vector<blob> blobs::take(const uint8_t* map, size_t rows)
{
    for (size_t r = 0; r < rows; r++, d_row++) {
        const uint8_t* const row = map + r * d_bins;
        size_t before = 0;
        for (size_t at = next(row, d_bins, 0, true); at < d_bins;) {
            const size_t stop = next(row, d_bins, at, false);
            bool high = false;
            for (size_t i = at; i < stop; i++)
                high |= row[i] > 1;
            take_run(static_cast<int32_t>(at), static_cast<int32_t>(stop), high, before);
            at = next(row, d_bins, stop, true);
        }
        d_before.swap(d_here);
        d_here.clear();
    }
    std::vector<blob> ended;
    for (blob& one : d_blobs)
        if (!one.runs.empty() && one.t1 < d_row) {
            if (one.high)
                ended.push_back(std::move(one));
            one.runs = {};
        }
    renumber();
    std::sort(ended.begin(), ended.end(), is_earlier);
    return ended;
}

std::vector<blob> blobs::end_before(int64_t row)
{
    std::vector<blob> ended;
    for (blob& one : d_blobs)
        if (one.t0 <= row) {
            ended.push_back(std::move(one));
            one.runs = {};
        }
    renumber();
    std::sort(ended.begin(), ended.end(), is_earlier);
    ended.erase(std::remove_if(ended.begin(),
                               ended.end(),
                               [](const blob& one) { return !one.high; }),
                ended.end());
    return ended;
}

std::vector<blob> blobs::open() const
{
    std::vector<blob> found;
    found.reserve(d_blobs.size());
    for (const blob& one : d_blobs)
        found.push_back({ {}, one.t0, one.t1, one.f0, one.f1, one.first, one.high });
    return found;
}

//! Drops the blobs without runs, and the runs of the last row that were theirs.
void blobs::renumber()
{
    const size_t gone = d_blobs.size();
    std::vector<size_t> number(gone, gone);
    std::vector<blob> kept;
    for (size_t i = 0; i < gone; i++)
        if (!d_blobs[i].runs.empty()) {
            number[i] = kept.size();
            kept.push_back(std::move(d_blobs[i]));
        }
    std::vector<edge> edges;
    for (const edge& one : d_before) {
        const size_t owner = number[find(one.owner)];
        if (owner != gone)
            edges.push_back({ one.f0, one.f1, owner });
    }
    d_before.swap(edges);
    d_blobs.swap(kept);
    d_parent.resize(d_blobs.size());
    for (size_t i = 0; i < d_parent.size(); i++)
        d_parent[i] = i;
}

} // namespace detect
} // namespace radiofm
} // namespace gr
