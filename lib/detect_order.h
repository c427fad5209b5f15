/* SPDX-License-Identifier: GPL-3.0-or-later
 * Copyright 2026 gr-radiofm authors
 */

#ifndef INCLUDED_RADIOFM_DETECT_ORDER_H
#define INCLUDED_RADIOFM_DETECT_ORDER_H

#include <cstddef>
#include <utility>
#include <vector>

namespace gr {
namespace radiofm {
namespace detect {

//! Neighbouring columns, from start to before stop.
struct span {
    size_t start, stop;
};

//! Quantiles of sets of floats, exact, in buffers that are kept. No NaN, nothing beyond
//! 1e37.
class order
{
public:
    /*!
     * \brief The quantile `share` (0..1) of row[c] - offset[c] over the columns of spans,
     * interpolated between neighbours; offset may be null. There must be a column.
     */
    float quantile(const float* row,
                   const float* offset,
                   const std::vector<span>& columns,
                   double share);

    //! The same of the values x.
    float quantile(const float* x, size_t n, double share);

private:
    std::pair<float, float> neighbours(const float* x, size_t n, size_t rank);

    float d_last = 0.0f,
          d_width = 1.0f; //!< what was found last, and how far from it is looked
    std::vector<float> d_gathered;
};

/*!
 * \brief The values of some ranks in each column.
 *
 * rows: n rows of `columns` values, `stride` floats apart. out: a row for each of the
 * ranks, which are below n. No NaN.
 */
void column_ranks(const float* rows,
                  size_t n,
                  size_t stride,
                  size_t columns,
                  const std::vector<size_t>& ranks,
                  float* out);

} // namespace detect
} // namespace radiofm
} // namespace gr

#endif /* INCLUDED_RADIOFM_DETECT_ORDER_H */
