// The bits that decide about entries of a tensor in dropout: a function of a seed and the place, so that no mask is ever stored.
#pragma once
#include <cstdint>
#include <cstring>

// SplitMix64 (Steele et al. 2014): the counter-th number of the stream `seed`; 16 bits of it decide about one entry.
static inline uint64_t random_bits(uint64_t seed, uint64_t counter) {
  uint64_t z = seed + (counter + 1) * 0x9E3779B97F4A7C15ull;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return z ^ (z >> 31);
}

// Of `count` entries from `first` on; both are multiples of 4.
static inline void bits_of_entries(uint64_t seed, int64_t first, int64_t count, uint16_t* to) {
  for (int64_t i = 0; i < count / 4; i++) {
    const uint64_t four = random_bits(seed, static_cast<uint64_t>(first / 4 + i));
    std::memcpy(to + 4 * i, &four, sizeof(four));
  }
}
