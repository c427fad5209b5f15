/* SPDX-License-Identifier: GPL-3.0-or-later
 * Copyright 2026 gr-radiofm authors
 */

#include "stft_impl.h"
#include <gnuradio/block_detail.h>
#include <gnuradio/buffer_reader.h>
#include <gnuradio/fft/fft.h>
#include <gnuradio/io_signature.h>
#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace gr {
namespace radiofm {

namespace {

[[noreturn]] void refuse(const std::string& why)
{
    throw std::invalid_argument("radiofm.stft: " + why);
}

bool is_complex(const std::string& output) { return output == "complex"; }

row_scale scale_of(const std::string& output)
{
    if (output == "db")
        return row_scale::db;
    if (output == "magnitude")
        return row_scale::magnitude;
    if (output == "power" || output == "complex")
        return row_scale::power;
    refuse("output must be \"db\", \"power\", \"magnitude\" or \"complex\", not \"" +
           output + "\"");
}

/* GNU Radio's windows take any parameter: a Kaiser window of beta 1000 is never done.
 * (Beta 100 has side lobes at -900 dB already.)
 */
void check_window_param(fft::window::win_type window, double param)
{
    std::string what;
    int most = 0;
    switch (window) {
    case fft::window::WIN_KAISER:
        what = "a Kaiser window's parameter, beta,";
        most = 100;
        break;
    case fft::window::WIN_EXPONENTIAL:
        what = "an exponential window's parameter, its attenuation in dB,";
        most = 1000;
        break;
    case fft::window::WIN_GAUSSIAN:
        what = "a Gaussian window's parameter, its standard deviation in samples,";
        most = 1 << 24;
        break;
    case fft::window::WIN_TUKEY:
        what = "a Tukey window's parameter, its tapered fraction,";
        most = 1;
        break;
    default:
        return;
    }
    if (!(param >= 0 && param <= most)) // nor a NaN
        refuse(what + " must lie in 0 to " + std::to_string(most) + ", not " +
               std::to_string(param));
}

std::vector<float> build_window(fft::window::win_type window, int fft_size, double param)
{
    if (window == fft::window::WIN_NONE)
        window = fft::window::WIN_RECTANGULAR;
    check_window_param(window, param);
    try {
        return fft::window::build(window, fft_size, param);
    } catch (const std::exception& e) { // a window type or parameter that does not exist
        refuse(e.what());
    }
}

std::shared_ptr<const stft_window> prepare_window(const std::vector<float>& taps,
                                                  size_t fft_size)
{
    if (taps.size() != fft_size)
        refuse("the window needs fft_size = " + std::to_string(fft_size) + " taps, not " +
               std::to_string(taps.size()));
    try {
        return std::make_shared<stft_window>(taps);
    } catch (const std::invalid_argument& e) {
        refuse(e.what());
    }
}

size_t check_averaging(int averaging, bool complex)
{
    if (averaging < 1)
        refuse("averaging must be at least 1, not " + std::to_string(averaging));
    if (complex && averaging != 1)
        refuse(
            "complex rows are not averaged: set averaging to 1, or output to \"power\"");
    return static_cast<size_t>(averaging);
}

double check_rate(double samp_rate)
{
    std::string why;
    if (samp_rate != 0 && !read_rate(pmt::from_double(samp_rate), why))
        refuse("samp_rate " + why + "; 0 goes by the tags");
    return samp_rate;
}

size_t check_size(int fft_size, int hop)
{
    // 2^24 bins are 64 MiB a row.
    if (fft_size < 8 || fft_size > (1 << 24))
        refuse("fft_size must be 8 to 16777216, not " + std::to_string(fft_size));
    if (hop < 1)
        refuse("hop must be at least 1, not " + std::to_string(hop));
    return static_cast<size_t>(fft_size);
}

} // namespace

stft::sptr stft::make(int fft_size,
                      int hop,
                      fft::window::win_type window,
                      int averaging,
                      const std::string& output,
                      bool shift,
                      double samp_rate,
                      double window_param)
{
    check_size(fft_size, hop);
    const auto taps = build_window(window, fft_size, window_param);
    return make(fft_size, hop, taps, averaging, output, shift, samp_rate);
}

stft::sptr stft::make(int fft_size,
                      int hop,
                      const std::vector<float>& taps,
                      int averaging,
                      const std::string& output,
                      bool shift,
                      double samp_rate)
{
    return gnuradio::make_block_sptr<stft_impl>(
        fft_size, hop, taps, averaging, output, shift, samp_rate);
}

stft_impl::stft_impl(int fft_size,
                     int hop,
                     const std::vector<float>& taps,
                     int averaging,
                     const std::string& output,
                     bool shift,
                     double samp_rate)
    : gr::block("stft",
                io_signature::make(1, 1, sizeof(gr_complex)),
                io_signature::make(1,
                                   1,
                                   check_size(fft_size, hop) * (is_complex(output)
                                                                    ? sizeof(gr_complex)
                                                                    : sizeof(float)))),
      d_fft_size(fft_size),
      d_hop(hop),
      d_shift(shift),
      d_complex(is_complex(output)),
      d_wanted(std::make_shared<settings>(settings{ taps,
                                                    prepare_window(taps, fft_size),
                                                    check_averaging(averaging, d_complex),
                                                    scale_of(output) })),
      d_samp_rate(check_rate(samp_rate)),
      d_used(d_wanted),
      d_row{ 0, 0 },
      d_transforms(0),
      d_skip(0),
      d_held_power(d_complex ? 0 : d_fft_size),
      d_held_bins(d_complex ? d_fft_size : 0),
      d_tagged_rate(0),
      d_bad_tags(0),
      d_rx_time_key(pmt::mp("rx_time")),
      d_rx_rate_key(pmt::mp("rx_rate")),
      d_rx_freq_key(pmt::mp("rx_freq"))
{
    {
        std::lock_guard<std::mutex> planning(fft::planner::mutex());
        d_kernel = std::make_unique<stft_kernel>(d_fft_size, shift);
    }
    set_tag_propagation_policy(TPP_DONT);
    ask_for_large_buffers();
}

stft_impl::~stft_impl()
{
    std::lock_guard<std::mutex> planning(fft::planner::mutex());
    d_kernel.reset();
}

/* A hand-over between threads costs about as much as 20,000 samples' transforms, so the
 * default buffers (8192 samples) waste most of the time. The flowgraph sizes our output
 * buffer by the output multiple, and the buffer before us by that and the relative rate.
 * Both are asked for here and taken back in start(), when the buffers exist: a lasting
 * multiple would lose the rows at the end that do not fill it.
 */
void stft_impl::ask_for_large_buffers()
{
    const size_t floats = 262144;
    const size_t rows = std::max<size_t>(1, floats / d_fft_size);
    const size_t samples = std::max(floats, d_fft_size);
    set_output_multiple(static_cast<int>(rows));
    set_relative_rate(1, samples / rows);
}

bool stft_impl::start()
{
    gr::thread::scoped_lock guard(d_setlock);
    set_output_multiple(1);
    set_relative_rate(1, d_hop * d_wanted->averaging);
    d_transforms = 0;
    d_skip = 0;
    d_tagged_rate = 0;
    d_bad_tags = 0;
    d_said.clear();
    return block::start();
}

bool stft_impl::stop()
{
    ask_for_large_buffers(); // for the next start
    return block::stop();
}

/* A row is due as soon as it has its samples. Only where the hop is greater than fft_size
 * is it held back until the samples between are passed over, since their tags belong to
 * it; at the end of the input it comes out at once.
 */
void stft_impl::forecast(int, gr_vector_int& ninput_items_required)
{
    int samples = 1;
    if (d_transforms == d_used->averaging)
        samples = detail()->input(0)->done() ? 0 : 1;
    else if (d_skip == 0)
        samples = static_cast<int>(d_fft_size);
    ninput_items_required[0] = samples;
}

int stft_impl::general_work(int noutput_items,
                            gr_vector_int& ninput_items,
                            gr_vector_const_void_star& input_items,
                            gr_vector_void_star& output_items)
{
    gr::thread::scoped_lock guard(d_setlock);
    const denormals_off fast_arithmetic;

    const auto* in = static_cast<const gr_complex*>(input_items[0]);
    auto* out = static_cast<char*>(output_items[0]);
    const size_t row_bytes = output_signature()->sizeof_stream_item(0);
    const size_t available = ninput_items[0];
    const uint64_t begin = nitems_read(0);
    const row_span open = d_transforms > 0 ? d_row : row_span{ begin, 0 };

    size_t used = 0;
    int rows = 0;
    while (rows < noutput_items) {
        const size_t passed = std::min(d_skip, available - used);
        d_skip -= passed;
        used += passed;

        if (d_transforms == d_used->averaging) {
            if (d_skip > 0 && !(used == available && input_ended(ninput_items[0])))
                break;
            emit_held_row(out + rows++ * row_bytes);
            continue;
        }
        if (d_skip > 0 || available - used < d_fft_size)
            break;

        if (d_transforms == 0)
            begin_row(begin + used);
        if (d_used->averaging == 1 && d_hop <= d_fft_size)
            transform_into(in + used, out + rows++ * row_bytes);
        else
            transform_into_held_row(in + used);
        const size_t step = std::min(d_hop, d_fft_size);
        used += step;
        d_skip = d_hop - step;
    }

    move_tags(begin, begin + used, open);
    consume_each(static_cast<int>(used));
    return rows;
}

void stft_impl::begin_row(uint64_t sample)
{
    if (d_used != d_wanted)
        d_used = d_wanted;
    d_row = { sample, d_hop * d_used->averaging };
}

void stft_impl::transform_into(const gr_complex* in, void* row)
{
    if (d_complex)
        d_kernel->complex_row(*d_used->window, in, static_cast<gr_complex*>(row));
    else
        d_kernel->row(*d_used->window, in, static_cast<float*>(row), d_used->scale);
}

void stft_impl::transform_into_held_row(const gr_complex* in)
{
    if (d_complex) {
        d_kernel->complex_row(*d_used->window, in, d_held_bins.data());
    } else {
        if (d_transforms == 0)
            std::fill(d_held_power.begin(), d_held_power.end(), 0.0f);
        d_kernel->add_power(*d_used->window, in, d_held_power.data());
    }
    d_transforms++;
}

void stft_impl::emit_held_row(void* row)
{
    if (d_complex)
        std::copy(d_held_bins.begin(), d_held_bins.end(), static_cast<gr_complex*>(row));
    else
        d_kernel->finish(
            d_held_power.data(), d_transforms, static_cast<float*>(row), d_used->scale);
    d_transforms = 0;
}

//! True if nothing will follow the samples that work() was given.
bool stft_impl::input_ended(int ninput_items) const
{
    const auto input = detail()->input(0);
    return input->done() && input->items_available() == ninput_items;
}

/* Hands on the tags of the samples [begin, end), each with its row. The samples of the
 * row that was open before the call come first; the rows begun since then have one
 * length, because settings change between calls only.
 */
void stft_impl::move_tags(uint64_t begin, uint64_t end, const row_span& open)
{
    const uint64_t first_row = nitems_written(0);
    const uint64_t rest = open.start + open.samples;
    const uint64_t rest_row = open.samples ? first_row + 1 : first_row;

    get_tags_in_range(d_tags, 0, begin, end);
    for (size_t i = 0; i < d_tags.size(); i++) {
        const tag_t& tag = d_tags[i];
        // A time and a rate of one sample belong together, in whichever order they come.
        if (i == 0 || tag.offset != d_tags[i - 1].offset)
            for (size_t j = i; j < d_tags.size() && d_tags[j].offset == tag.offset; j++)
                note_rate(d_tags[j]);

        if (tag.offset < rest) {
            move_tag(tag, first_row, open);
            continue;
        }
        const uint64_t n = (tag.offset - rest) / d_row.samples;
        move_tag(tag, rest_row + n, { rest + n * d_row.samples, d_row.samples });
    }
}

//! Hands a tag on with the row that holds its sample; what it says is read first.
void stft_impl::move_tag(const tag_t& tag, uint64_t row, const row_span& span)
{
    std::string why;
    if (pmt::eq(tag.key, d_rx_time_key)) {
        move_time_tag(tag, row, span);
    } else if (pmt::eq(tag.key, d_rx_rate_key)) {
        if (!read_rate(tag.value, why))
            leave_out(tag, why);
        else
            add_item_tag(0, row, tag.key, pmt::from_double(rate()), tag.srcid);
    } else if (pmt::eq(tag.key, d_rx_freq_key)) {
        const auto frequency = read_frequency(tag.value, why);
        if (!frequency)
            leave_out(tag, why);
        else
            add_item_tag(0, row, tag.key, pmt::from_double(*frequency), tag.srcid);
    } else {
        add_item_tag(0, row, tag.key, tag.value, tag.srcid);
    }
}

void stft_impl::move_time_tag(const tag_t& tag, uint64_t row, const row_span& span)
{
    std::string why;
    const auto time = read_time(tag.value, why);
    std::optional<item_time> moved;
    if (time)
        moved = time_of_item(*time,
                             static_cast<int64_t>(tag.offset - span.start),
                             static_cast<int64_t>(span.samples),
                             rate(),
                             why);
    if (!moved)
        leave_out(tag, why);
    else
        add_item_tag(
            0, row + (moved->next ? 1 : 0), tag.key, time_to_pmt(moved->time), tag.srcid);
}

void stft_impl::note_rate(const tag_t& tag)
{
    std::string why;
    if (!pmt::eq(tag.key, d_rx_rate_key))
        return;
    const auto tagged = read_rate(tag.value, why);
    if (!tagged)
        return; // move_tag says so
    d_tagged_rate = *tagged;
    if (d_samp_rate > 0)
        say_once("rate", rate_contradiction(d_samp_rate, *tagged));
}

void stft_impl::leave_out(const tag_t& tag, const std::string& why)
{
    d_bad_tags++;
    const std::string key = pmt::symbol_to_string(tag.key);
    say_once(key,
             "a tag " + key + " is left out: it " + why + " (said once, then counted)");
}

void stft_impl::say_once(const std::string& about, const std::string& text)
{
    if (!text.empty() && d_said.insert(about).second)
        d_logger->warn("{}", text);
}

uint64_t stft_impl::bad_tags()
{
    gr::thread::scoped_lock guard(d_setlock);
    return d_bad_tags;
}

std::vector<float> stft_impl::taps()
{
    gr::thread::scoped_lock guard(d_setlock);
    return d_wanted->taps;
}

void stft_impl::set_window(const std::vector<float>& taps)
{
    const auto window = prepare_window(taps, d_fft_size);
    change([&](settings& s) {
        s.taps = taps;
        s.window = window;
    });
}

void stft_impl::set_window(fft::window::win_type window, double param)
{
    set_window(build_window(window, fft_size(), param));
}

int stft_impl::averaging()
{
    gr::thread::scoped_lock guard(d_setlock);
    return static_cast<int>(d_wanted->averaging);
}

void stft_impl::set_averaging(int averaging)
{
    const size_t n = check_averaging(averaging, d_complex);
    change([&](settings& s) { s.averaging = n; });
}

std::string stft_impl::output()
{
    if (d_complex)
        return "complex";
    gr::thread::scoped_lock guard(d_setlock);
    switch (d_wanted->scale) {
    case row_scale::db:
        return "db";
    case row_scale::magnitude:
        return "magnitude";
    default:
        return "power";
    }
}

void stft_impl::set_output(const std::string& output)
{
    const row_scale scale = scale_of(output);
    if (is_complex(output) != d_complex)
        refuse("output \"" + output + "\" has another item type than \"" +
               this->output() + "\": make a new block");
    change([&](settings& s) { s.scale = scale; });
}

double stft_impl::samp_rate()
{
    gr::thread::scoped_lock guard(d_setlock);
    return d_samp_rate;
}

void stft_impl::set_samp_rate(double samp_rate)
{
    check_rate(samp_rate);
    gr::thread::scoped_lock guard(d_setlock);
    d_samp_rate = samp_rate;
}

void stft_impl::change(const std::function<void(settings&)>& edit)
{
    gr::thread::scoped_lock guard(d_setlock);
    auto next = std::make_shared<settings>(*d_wanted);
    edit(*next);
    d_wanted = next;
}

} // namespace radiofm
} // namespace gr
