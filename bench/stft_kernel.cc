/* SPDX-License-Identifier: GPL-3.0-or-later
 * Copyright 2026 gr-radiofm authors
 */

/* How fast rows in dB are made on one core, without a flowgraph: input samples per second
 * of thread CPU time, at a hop of fft_size. "hot" data stays in the L2 cache; "cold" data
 * comes from and goes to memory. Prints JSON. Usage: radiofm_bench_stft [ROUNDS]
 */

#include "stft_kernel.h"
#include <fftw3.h>
#include <time.h>
#include <volk/volk.h>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <random>
#include <string>

using gr::radiofm::row_scale;
using gr::radiofm::stft_kernel;
using gr::radiofm::stft_window;
using cfloat = std::complex<float>;

namespace {

double cpu_seconds()
{
    timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

struct contender {
    std::string name;
    std::function<void(const cfloat* in, float* out)> row;
    std::vector<double> rates = {};
};

//! What a row costs when FFTW and VOLK are called one after the other.
class call_by_call
{
public:
    explicit call_by_call(const std::vector<float>& taps)
        : d_taps(taps.begin(), taps.end()), d_in(taps.size()), d_bins(taps.size())
    {
        d_plan = fftwf_plan_dft_1d(static_cast<int>(taps.size()),
                                   reinterpret_cast<fftwf_complex*>(d_in.data()),
                                   reinterpret_cast<fftwf_complex*>(d_bins.data()),
                                   FFTW_FORWARD,
                                   FFTW_MEASURE | FFTW_DESTROY_INPUT);
    }
    ~call_by_call() { fftwf_destroy_plan(d_plan); }

    void fft_alone() { fftwf_execute(d_plan); }

    void row(const cfloat* in, float* out)
    {
        const auto n = static_cast<unsigned>(d_taps.size());
        volk_32fc_32f_multiply_32fc(d_in.data(), in, d_taps.data(), n);
        fftwf_execute(d_plan);
        volk_32fc_magnitude_squared_32f(out, d_bins.data(), n);
        volk_32f_log2_32f(out, out, n);
        volk_32f_s32f_multiply_32f(out, out, 3.01029996f, n);
    }

private:
    volk::vector<float> d_taps;
    volk::vector<cfloat> d_in, d_bins;
    fftwf_plan d_plan;
};

double median(std::vector<double> v)
{
    std::nth_element(v.begin(), v.begin() + v.size() / 2, v.end());
    return v[v.size() / 2];
}

void measure(const char* name, size_t n, size_t samples, size_t passes, int rounds)
{
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    volk::vector<cfloat> in(samples);
    volk::vector<float> out(samples);
    for (auto& x : in)
        x = { normal(random), normal(random) };
    std::vector<float> taps(n);
    for (size_t i = 0; i < n; i++)
        taps[i] = static_cast<float>(0.5 - 0.5 * std::cos(2 * M_PI * i / n));

    const stft_window window(taps);
    stft_kernel best(n, true), fftw(n, true, stft_kernel::engine::fftw);
    call_by_call volk(taps);
    volk.row(in.data(), out.data()); // so that the FFT alone has numbers to work on
    contender contenders[] = {
        { "fft_alone", [&](const cfloat*, float*) { volk.fft_alone(); } },
        { "call_by_call", [&](const cfloat* x, float* y) { volk.row(x, y); } },
        { "kernel_fftw",
          [&](const cfloat* x, float* y) { fftw.row(window, x, y, row_scale::db); } },
        { "kernel",
          [&](const cfloat* x, float* y) { best.row(window, x, y, row_scale::db); } },
    };
    for (int round = 0; round < rounds; round++)
        for (auto& c : contenders) {
            const double start = cpu_seconds();
            for (size_t pass = 0; pass < passes; pass++)
                for (size_t i = 0; i + n <= samples; i += n)
                    c.row(&in[i], &out[i]);
            const double spent = cpu_seconds() - start;
            c.rates.push_back(static_cast<double>(passes * (samples / n * n)) / spent);
        }
    std::printf("\"%s\": {", name);
    const char* separator = "";
    for (const auto& c : contenders) {
        std::printf("%s\"%s\": %.4g", separator, c.name.c_str(), median(c.rates));
        separator = ", ";
    }
    std::printf("}");
}

} // namespace

int main(int argc, char** argv)
{
    const int rounds = argc > 1 ? std::max(1, std::atoi(argv[1])) : 31;
    const char* separator = "{\n";
    for (const size_t n : { 256, 1024, 4096 }) {
        std::printf("%s\"%zu\": {", separator, n);
        measure("hot", n, 32768, 32, rounds);
        std::printf(", ");
        measure("ring", n, 1 << 19, 2, rounds);
        std::printf(", ");
        measure("cold", n, 1 << 22, 1, std::max(1, rounds / 4));
        std::printf("}");
        separator = ",\n";
    }
    std::printf("\n}\n");
    return 0;
}
