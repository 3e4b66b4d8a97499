// A row of any length, vector by vector, for what is computed number by number.
#pragma once
#include <cstdint>
#include <cstring>

#include "simd.h"

// A vector's worth of a row: where it begins, and which of its lanes no vector before it held. Of rows that are shorter than a
// vector, `count` lanes are there; of others all are, because the last vector overlaps the one before it.
struct Part {
  int64_t at;
  int count;
  Ints fresh;
};

template <class Each> INLINE void row(int64_t width, Each each) {
  const Ints lanes = lane_numbers();
  if (width < LANES) return each(Part{0, static_cast<int>(width), lanes < all(int32_t(width))});
  int64_t at = 0;
  for (; at + LANES <= width; at += LANES) each(Part{at, LANES, lanes >= 0});
  if (at < width) each(Part{width - LANES, LANES, unseen(static_cast<int>(width))});
}

INLINE Floats read(const float* from, Part part) {
  if (part.count == LANES) return load(from + part.at);
  float whole[LANES] = {};
  std::memcpy(whole, from, part.count * sizeof(float));
  return load(whole);
}

INLINE void write(float* to, Floats x, Part part) {
  if (part.count == LANES) return store(to + part.at, x);
  float whole[LANES];
  store(whole, x);
  std::memcpy(to, whole, part.count * sizeof(float));
}
