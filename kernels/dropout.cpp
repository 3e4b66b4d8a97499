// Dropout whose mask is a function of a seed and the place, so that nothing is stored for the backward pass: y = mask * scale * x.
#include <algorithm>
#include <cstdint>
#include <cstring>

namespace {

constexpr int64_t CHUNK = 256;  // numbers whose random bits are made together

// SplitMix64 (Steele et al. 2014): the counter-th number of the stream `seed`; 16 bits of it decide about one entry.
inline uint64_t random_bits(uint64_t seed, uint64_t counter) {
  uint64_t z = seed + (counter + 1) * 0x9E3779B97F4A7C15ull;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return z ^ (z >> 31);
}

}  // namespace

extern "C" {

// An entry is dropped if its 16 random bits are below `threshold`.
void dropout(int64_t size, const float* x, float* y, uint64_t seed, int64_t threshold, float scale, int64_t threads) {
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
  for (int64_t begin = 0; begin < size; begin += CHUNK) {
    uint64_t bits[CHUNK / 4];
    for (int64_t i = 0; i < CHUNK / 4; i++) bits[i] = random_bits(seed, static_cast<uint64_t>(begin / 4 + i));
    uint16_t lanes[CHUNK];
    std::memcpy(lanes, bits, sizeof(bits));
    const int64_t count = std::min(CHUNK, size - begin);
    for (int64_t i = 0; i < count; i++) y[begin + i] = lanes[i] >= threshold ? x[begin + i] * scale : 0.f;
  }
}
}
