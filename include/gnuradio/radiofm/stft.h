/* SPDX-License-Identifier: GPL-3.0-or-later
 * Copyright 2026 gr-radiofm authors
 */

#ifndef INCLUDED_RADIOFM_STFT_H
#define INCLUDED_RADIOFM_STFT_H

#include <gnuradio/block.h>
#include <gnuradio/fft/window.h>
#include <gnuradio/radiofm/api.h>
#include <cstdint>
#include <string>
#include <vector>

namespace gr {
namespace radiofm {

/*!
 * \brief Short-time Fourier transform: complex samples in, rows of fft_size bins out.
 * \ingroup radiofm
 *
 * \details
 * Transform i uses fft_size samples from sample i * hop on. With averaging n, a row is
 * the mean power of n transforms: row r of those from r * n on. With w the window, power
 * is |FFT(w x)|^2 / (sum w)^2: a full-scale complex tone on a bin has power 1, which is
 * 0 dB. Rows in dB are not below -200.
 *
 * \b Tail: every row whose fft_size samples (with averaging, those of its n transforms)
 * arrived is delivered, at any chunking; what remains is shorter than a row and is
 * dropped.
 *
 * \b Tags: a tag at sample s goes to row floor(s / (hop * averaging)) with its key and
 * value. The time in `rx_time` is moved back to that row's first sample, by samp_rate, or
 * where that is 0 by the latest `rx_rate` tag at or before s; a time that would be before
 * the clock's zero goes to the next row. `rx_time` leaves as {uint64, double}, `rx_rate`
 * (the rate in force) and `rx_freq` as double, whatever kind of number came. One that
 * cannot be read is left out, said once and counted.
 *
 * \b Setters may be called while the flowgraph runs; they take effect with the next row
 * that is begun. Denormals count as zero; a NaN or Inf reaches the rows that use its
 * sample and no other.
 */
class RADIOFM_API stft : virtual public gr::block
{
public:
    typedef std::shared_ptr<stft> sptr;

    /*!
     * \brief An STFT with one of GNU Radio's windows.
     *
     * \param fft_size samples in a transform and bins in a row, 8 or more, any number
     * \param hop samples from one transform's start to the next, 1 or more; may exceed
     *        fft_size, then the samples between are skipped
     * \param window window type; WIN_NONE is rectangular
     * \param averaging transforms whose power is averaged into a row; 1 if complex
     * \param output "db", "power" or "magnitude" (float rows) or "complex"
     * \param shift whether a row runs upwards from -samp_rate / 2, with DC at bin
     *        fft_size / 2; else DC is bin 0
     * \param samp_rate samples a second; 0: as the `rx_rate` tags say
     * \param window_param the parameter of the windows that have one (Kaiser's beta, 0
     *        to 100)
     *
     * \throws std::invalid_argument if a parameter is out of range
     */
    static sptr make(int fft_size,
                     int hop,
                     gr::fft::window::win_type window = gr::fft::window::WIN_HANN,
                     int averaging = 1,
                     const std::string& output = "db",
                     bool shift = true,
                     double samp_rate = 0.0,
                     double window_param = 6.76);

    /*!
     * \brief An STFT with a window of one's own.
     *
     * \param window its taps: fft_size finite numbers whose sum is not zero
     * \param fft_size, hop, averaging, output, shift, samp_rate as above
     */
    static sptr make(int fft_size,
                     int hop,
                     const std::vector<float>& window,
                     int averaging = 1,
                     const std::string& output = "db",
                     bool shift = true,
                     double samp_rate = 0.0);

    virtual int fft_size() const = 0;
    virtual int hop() const = 0;
    virtual bool shift() const = 0;

    //! The window's taps, as given.
    virtual std::vector<float> taps() = 0;
    virtual void set_window(gr::fft::window::win_type window, double param = 6.76) = 0;
    virtual void set_window(const std::vector<float>& taps) = 0;

    virtual int averaging() = 0;
    virtual void set_averaging(int averaging) = 0;

    //! "db", "power", "magnitude" or "complex".
    virtual std::string output() = 0;
    //! From one float output to another; complex is fixed, as the item type is.
    virtual void set_output(const std::string& output) = 0;

    virtual double samp_rate() = 0;
    virtual void set_samp_rate(double samp_rate) = 0;

    //! Tags of this run that could not be read, and were left out.
    virtual uint64_t bad_tags() = 0;
};

} // namespace radiofm
} // namespace gr

#endif /* INCLUDED_RADIOFM_STFT_H */
