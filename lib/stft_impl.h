/* SPDX-License-Identifier: GPL-3.0-or-later
 * Copyright 2026 gr-radiofm authors
 */

#ifndef INCLUDED_RADIOFM_STFT_IMPL_H
#define INCLUDED_RADIOFM_STFT_IMPL_H

#include "stft_kernel.h"
#include "tags.h"
#include <gnuradio/radiofm/stft.h>
#include <functional>
#include <memory>
#include <set>

namespace gr {
namespace radiofm {

class stft_impl : public stft
{
public:
    stft_impl(int fft_size,
              int hop,
              const std::vector<float>& taps,
              int averaging,
              const std::string& output,
              bool shift,
              double samp_rate);
    ~stft_impl() override;

    int fft_size() const override { return static_cast<int>(d_fft_size); }
    int hop() const override { return static_cast<int>(d_hop); }
    bool shift() const override { return d_shift; }
    std::vector<float> taps() override;
    void set_window(fft::window::win_type window, double param) override;
    void set_window(const std::vector<float>& taps) override;
    int averaging() override;
    void set_averaging(int averaging) override;
    std::string output() override;
    void set_output(const std::string& output) override;
    double samp_rate() override;
    void set_samp_rate(double samp_rate) override;
    uint64_t bad_tags() override;

    bool start() override;
    bool stop() override;
    void forecast(int noutput_items, gr_vector_int& ninput_items_required) override;
    int general_work(int noutput_items,
                     gr_vector_int& ninput_items,
                     gr_vector_const_void_star& input_items,
                     gr_vector_void_star& output_items) override;

private:
    //! What the setters change: replaced as a whole, never altered.
    struct settings {
        std::vector<float> taps;
        std::shared_ptr<const stft_window> window;
        size_t averaging;
        row_scale scale;
    };

    //! The samples of a row: each sample belongs to one, also where transforms overlap.
    struct row_span {
        uint64_t start;
        uint64_t samples;
    };

    void change(const std::function<void(settings&)>& edit);
    void ask_for_large_buffers();
    bool input_ended(int ninput_items) const;
    void begin_row(uint64_t sample);
    void transform_into(const gr_complex* in, void* row);
    void transform_into_held_row(const gr_complex* in);
    void emit_held_row(void* row);
    void move_tags(uint64_t begin, uint64_t end, const row_span& open);
    void move_tag(const tag_t& tag, uint64_t row, const row_span& span);
    void move_time_tag(const tag_t& tag, uint64_t row, const row_span& span);
    void note_rate(const tag_t& tag);
    double rate() const { return d_samp_rate > 0 ? d_samp_rate : d_tagged_rate; }
    void leave_out(const tag_t& tag, const std::string& why);
    void say_once(const std::string& about, const std::string& text);

    const size_t d_fft_size;
    const size_t d_hop;
    const bool d_shift;
    const bool d_complex;
    std::unique_ptr<stft_kernel> d_kernel;

    // Written by setters, under d_setlock.
    std::shared_ptr<const settings> d_wanted;
    double d_samp_rate; //!< 0: as the tags say

    // The row in progress. It is held where it has several transforms, or samples to pass
    // over; otherwise it is written straight to the output.
    std::shared_ptr<const settings> d_used;
    row_span d_row;
    size_t d_transforms;              //!< transforms in the held row; 0: none is held
    size_t d_skip;                    //!< samples to pass over before the next transform
    volk::vector<float> d_held_power; //!< the sum of the transforms' power,
    volk::vector<gr_complex> d_held_bins; //!< or the complex bins

    double d_tagged_rate; //!< from the latest rx_rate tag; 0: none yet
    std::vector<tag_t> d_tags;
    uint64_t d_bad_tags;
    std::set<std::string> d_said; //!< what has been logged in this run
    const pmt::pmt_t d_rx_time_key;
    const pmt::pmt_t d_rx_rate_key;
    const pmt::pmt_t d_rx_freq_key;
};

} // namespace radiofm
} // namespace gr

#endif /* INCLUDED_RADIOFM_STFT_IMPL_H */
