/* SPDX-License-Identifier: GPL-3.0-or-later
 * Copyright 2026 gr-radiofm authors
 */

// A tone through the STFT; prints the number of rows, and the peak's bin and dB in the
// last.
#include <gnuradio/blocks/vector_sink.h>
#include <gnuradio/blocks/vector_source.h>
#include <gnuradio/radiofm/stft.h>
#include <gnuradio/top_block.h>
#include <algorithm>
#include <cmath>
#include <iostream>

int main()
{
    const int fft_size = 100, hop = 40, samples = 1000, bin = 7;
    std::vector<gr_complex> tone(samples);
    for (int i = 0; i < samples; i++)
        tone[i] = std::polar(
            1.0f, static_cast<float>(2 * M_PI * (bin * i % fft_size) / fft_size));

    auto tb = gr::make_top_block("consumer");
    auto source = gr::blocks::vector_source_c::make(tone);
    auto stft = gr::radiofm::stft::make(fft_size, hop, gr::fft::window::WIN_BLACKMAN);
    auto sink = gr::blocks::vector_sink_f::make(fft_size);
    tb->connect(source, 0, stft, 0);
    tb->connect(stft, 0, sink, 0);
    tb->run();

    const std::vector<float> rows = sink->data();
    const auto last = rows.end() - fft_size;
    const auto peak = std::max_element(last, rows.end());
    std::cout << rows.size() / fft_size << " " << peak - last << " " << *peak
              << std::endl;
    return 0;
}
