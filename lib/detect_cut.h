/* SPDX-License-Identifier: GPL-3.0-or-later
 * Copyright 2026 gr-radiofm authors
 */

#ifndef INCLUDED_RADIOFM_DETECT_CUT_H
#define INCLUDED_RADIOFM_DETECT_CUT_H

#include <cstddef>
#include <cstdint>
#include <vector>

namespace gr {
namespace radiofm {
namespace detect {

//! Rows [t0, t1), bins [f0, f1).
struct rectangle {
    size_t t0, t1, f0, f1;
    size_t rows() const { return t1 - t0; }
    size_t bins() const { return f1 - f0; }
};

//! How a region is cut into boxes.
struct cut_rules {
    size_t least;      //!< pixels of a box
    size_t rows, bins; //!< how far beside a cut is looked, in time and in frequency
    double difference; //!< how much of what is there must differ, 0..1
    double edge_share; //!< of the fullest row or column: less is fringe
    double solid;      //!< of a region's box: it is one
    int deepest;       //!< cuts of cuts
};

//! The recursive cut of a map along rows and columns.
class cutter
{
public:
    explicit cutter(const cut_rules& rules) : d_rules(rules) {}

    //! The boxes of a map of 0 and 1, the first of two parts before the other.
    std::vector<rectangle> cut(const uint8_t* map, size_t rows, size_t bins);

private:
    struct place {
        double difference;
        size_t at;
    };

    void part(rectangle whole, int depth);
    void aside(const rectangle& all, const rectangle& inner, int depth);
    bool trim(rectangle& box, size_t& pixels);
    place best(const uint8_t* map, size_t stride, size_t rows, size_t bins, size_t reach);

    const cut_rules d_rules;
    const uint8_t* d_map = nullptr;
    size_t d_rows = 0, d_bins = 0;
    std::vector<uint8_t> d_turned;           //!< d_map with rows for bins
    std::vector<uint32_t> d_before, d_after; //!< of each column, what lies beside a cut
    std::vector<uint32_t> d_filled;
    std::vector<rectangle> d_found;
};

} // namespace detect
} // namespace radiofm
} // namespace gr

#endif /* INCLUDED_RADIOFM_DETECT_CUT_H */
