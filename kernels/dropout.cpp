// Dropout whose mask is a function of a seed and the place, so that nothing is stored for the backward pass: y = mask * scale * x.
#include <algorithm>
#include <cstdint>

#include "random_bits.h"

namespace {

constexpr int64_t CHUNK = 256;  // numbers whose random bits are made together

}  // namespace

extern "C" {

// An entry is dropped if its 16 random bits are below `threshold`.
void dropout(int64_t size, const float* x, float* y, uint64_t seed, int64_t threshold, float scale, int64_t threads) {
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
  for (int64_t begin = 0; begin < size; begin += CHUNK) {
    uint16_t lanes[CHUNK];
    bits_of_entries(seed, begin, CHUNK, lanes);
    const int64_t count = std::min(CHUNK, size - begin);
    for (int64_t i = 0; i < count; i++) y[begin + i] = lanes[i] >= threshold ? x[begin + i] * scale : 0.f;
  }
}
}
