// The element-wise parts of an HSTU layer, each in one pass over a row: SiLU of a projection that is then split, and u * LN(x).
#include <cmath>
#include <cstdint>

#include "simd.h"

namespace {

// Calls each(place, values, count) for the vectors of a row and then for its end, where `count` < LANES of them are real.
template <class Each> INLINE void row(int64_t width, Each each) {
  int64_t at = 0;
  for (; at + LANES <= width; at += LANES) each(at, LANES);
  if (at < width) each(at, static_cast<int>(width - at));
}

INLINE Floats read(const float* from, int count) {
  if (count == LANES) return load(from);
  float part[LANES] = {};
  std::memcpy(part, from, count * sizeof(float));
  return load(part);
}

INLINE void write(float* to, Floats x, int count) {
  if (count == LANES) return store(to, x);
  float part[LANES];
  store(part, x);
  std::memcpy(to, part, count * sizeof(float));
}

}  // namespace

extern "C" {

// out[p] [rows][width] = silu of columns p * width on of z [rows][parts * width].
void silu_split_forward(int64_t rows, int64_t width, int64_t parts, const float* z, float* const* out, int64_t threads) {
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
  for (int64_t r = 0; r < rows; r++)
    for (int64_t p = 0; p < parts; p++) {
      const float* from = z + (r * parts + p) * width;
      float* to = out[p] + r * width;
      row(width, [&](int64_t at, int count) {
        const Floats x = read(from + at, count);
        write(to + at, x * sigmoid(x), count);
      });
    }
}

// d_z from gradients of the parts; a part without one is null.
void silu_split_backward(int64_t rows, int64_t width, int64_t parts, const float* z, const float* const* grad, float* d_z, int64_t threads) {
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
  for (int64_t r = 0; r < rows; r++)
    for (int64_t p = 0; p < parts; p++) {
      const int64_t start = (r * parts + p) * width;
      if (!grad[p]) {
        clear(d_z + start, width);
        continue;
      }
      const float* g = grad[p] + r * width;
      row(width, [&](int64_t at, int count) {
        const Floats x = read(z + start + at, count), gate = sigmoid(x);
        write(d_z + start + at, read(g + at, count) * gate * (1.f + x * (1.f - gate)), count);
      });
    }
}

// y [rows][width] = u * (x - mean) * rstd; moments [rows][2]: mean, rstd.
void gated_norm_forward(int64_t rows, int64_t width, float eps, const float* u, const float* x, float* y, float* moments, int64_t threads) {
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
  for (int64_t r = 0; r < rows; r++) {
    const float *from = x + r * width, *gate = u + r * width;
    Floats total = {}, squares = {};
    row(width, [&](int64_t at, int count) { total += read(from + at, count); });
    const float mean = sum(total) / width;
    row(width, [&](int64_t at, int count) {
      Floats apart = read(from + at, count) - mean;
      if (count < LANES) apart = select(lane_numbers() < all(int32_t(count)), apart, Floats{});
      squares += apart * apart;
    });
    const float rstd = 1 / std::sqrt(sum(squares) / width + eps);
    row(width, [&](int64_t at, int count) {
      write(y + r * width + at, read(gate + at, count) * (read(from + at, count) - mean) * rstd, count);
    });
    moments[2 * r] = mean, moments[2 * r + 1] = rstd;
  }
}

void gated_norm_backward(int64_t rows, int64_t width, const float* grad, const float* u, const float* x, const float* moments, float* d_u,
                         float* d_x, int64_t threads) {
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
  for (int64_t r = 0; r < rows; r++) {
    const float *from = x + r * width, *gate = u + r * width, *g = grad + r * width, mean = moments[2 * r], rstd = moments[2 * r + 1];
    Floats total = {}, along = {};
    row(width, [&](int64_t at, int count) {
      const Floats up = read(g + at, count), normed = (read(from + at, count) - mean) * rstd, step = up * read(gate + at, count);
      write(d_u + r * width + at, up * normed, count);
      total += step, along += step * normed;  // `up` is zero behind the row's end
    });
    const float middle = sum(total) / width, slope = sum(along) / width;
    row(width, [&](int64_t at, int count) {
      const Floats normed = (read(from + at, count) - mean) * rstd;
      write(d_x + r * width + at, rstd * (read(g + at, count) * read(gate + at, count) - middle - normed * slope), count);
    });
  }
}
}
