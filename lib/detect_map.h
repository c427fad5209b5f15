/* SPDX-License-Identifier: GPL-3.0-or-later
 * Copyright 2026 gr-radiofm authors
 */

#ifndef INCLUDED_RADIOFM_DETECT_MAP_H
#define INCLUDED_RADIOFM_DETECT_MAP_H

#include <cstddef>
#include <cstdint>
#include <vector>

namespace gr {
namespace radiofm {
namespace detect {

//! A spectrogram: `rows` rows of `bins` values, one after the other.
struct grid {
    const float* data;
    size_t rows, bins;
    const float* row(size_t r) const { return data + r * bins; }
};

//! A number of rows and of bins.
struct extent {
    size_t rows, bins;
};

//! What changes alike in many bins: `amounts` (rows, terms) times `weights` (terms,
//! bins).
struct product {
    const float* amounts;
    const float* weights;
    size_t terms;
};

/*!
 * \brief Power over the floor: 10^((level - floor) / 10), to 4e-6 of it, within 1e-37 and
 * 1e38.
 *
 * out: rows of bins, as level.
 */
void whiten(const grid& level, const product& floor, float* out);

/*!
 * \brief Where all bins change together.
 *
 * For each row from `reach` to rows - reach, the mean of `reach` rows from it on less
 * that of as many before it, averaged over 5 bins: the median of the bins, if it is
 * beyond least_db and a share of more than `most` of the bins is less than slack_db and a
 * tenth of it apart from it, or three fifths are and more than `farther` of all change as
 * far or farther; else 0. out: rows - 2 reach + 1 absolute values.
 */
void common_steps(const grid& level,
                  size_t reach,
                  float least_db,
                  float slack_db,
                  double most,
                  double farther,
                  float* out);

/*!
 * \brief The least mean of a cell that lies wholly in time, for each bin, of level less
 * gain; edges count on in frequency.
 */
void least_means(const grid& level, extent cell, const product& gain, float* out);

struct thresholds {
    float low, high;
};

/*!
 * \brief What stands above the floor in rows [begin, end).
 *
 * power is averaged over the cell (edges count on); out, (end - begin) rows: bit 0 where
 * the mean is above low, closed by a rectangle of `closing` (odd sizes), bit 1 where it
 * is above high.
 */
class signal_map
{
public:
    signal_map(extent cell, thresholds limits, extent closing);
    void map(const grid& power, size_t begin, size_t end, uint8_t* out);

private:
    const extent d_cell;
    const thresholds d_limits;
    const extent d_closing;
    std::vector<uint8_t> d_low, d_high, d_other, d_padded;
};

//! The mean of rows [t0, t1), bins [f0, f1); 0 if that is empty.
double mean(const grid& power, size_t t0, size_t t1, size_t f0, size_t f1);

} // namespace detect
} // namespace radiofm
} // namespace gr

#endif /* INCLUDED_RADIOFM_DETECT_MAP_H */
