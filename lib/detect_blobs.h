/* SPDX-License-Identifier: GPL-3.0-or-later
 * Copyright 2026 gr-radiofm authors
 */

#ifndef INCLUDED_RADIOFM_DETECT_BLOBS_H
#define INCLUDED_RADIOFM_DETECT_BLOBS_H

#include <cstddef>
#include <cstdint>
#include <vector>

namespace gr {
namespace radiofm {
namespace detect {

//! Neighbouring pixels of a row, bins [f0, f1).
struct run {
    int64_t row;
    int32_t f0, f1;
};

//! Pixels that touch along an edge, in the order in which they came, a run at a time.
struct blob {
    std::vector<run> runs;
    int64_t t0, t1; //!< rows [t0, t1)
    int32_t f0, f1; //!< bins [f0, f1)
    int32_t first;  //!< bin of the first pixel of the first row
    bool high;      //!< is there a pixel above the upper threshold?

    //! The blob as a map, (t1 - t0) rows of (f1 - f0) bins, zero before.
    void draw(uint8_t* out) const;
};

/*!
 * \brief Connected pixels of a map that comes in blocks of rows.
 *
 * Runs of a row are joined with those of the row before that they touch (A. Rosenfeld and
 * J. L. Pfaltz, "Sequential operations in digital picture processing", J. ACM 13(4),
 * 1966); when two blobs meet, the one that began later becomes part of the other.
 */
class blobs
{
public:
    explicit blobs(size_t bins);

    /*!
     * \brief Takes rows of what signal_map makes. Returns the blobs that do not reach the
     * last of them and have a pixel above the upper threshold, by their first pixel in
     * time.
     */
    std::vector<blob> take(const uint8_t* map, size_t rows);

    //! Ends the open blobs that began at `row` or before; what of them follows is new.
    std::vector<blob> end_before(int64_t row);

    //! Those that reach the last row, without their runs.
    std::vector<blob> open() const;

    int64_t rows() const { return d_row; } //!< taken so far
    size_t bins() const { return d_bins; }

private:
    struct edge {
        int32_t f0, f1;
        size_t owner;
    };

    size_t find(size_t number);
    size_t unite(size_t a, size_t b);
    void take_run(int32_t f0, int32_t f1, bool high, size_t& before);
    void renumber();

    const size_t d_bins;
    int64_t d_row = 0;
    std::vector<blob> d_blobs;          //!< those that are not empty are open
    std::vector<size_t> d_parent;       //!< of a blob that became part of another one
    std::vector<edge> d_before, d_here; //!< runs of the row before and of this one
};

} // namespace detect
} // namespace radiofm
} // namespace gr

#endif /* INCLUDED_RADIOFM_DETECT_BLOBS_H */
