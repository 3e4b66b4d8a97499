// The element-wise parts of an HSTU layer, each in one pass over a row: SiLU of a projection that is then split, and u * LN(x).
#include <cmath>
#include <cstdint>

#include "row_parts.h"

extern "C" {

// out[p] [rows][width] = silu of columns p * width on of z [rows][parts * width].
void silu_split_forward(int64_t rows, int64_t width, int64_t parts, const float* z, float* const* out, int64_t threads) {
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
  for (int64_t r = 0; r < rows; r++)
    for (int64_t p = 0; p < parts; p++) {
      const float* from = z + (r * parts + p) * width;
      float* to = out[p] + r * width;
      row(width, [&](Part part) {
        const Floats x = read(from, part);
        write(to, x * sigmoid(x), part);
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
      row(width, [&](Part part) {
        const Floats x = read(z + start, part), gate = sigmoid(x);
        write(d_z + start, read(g, part) * gate * (1.f + x * (1.f - gate)), part);
      });
    }
}

// y [rows][width] = u * (x - mean) * rstd; moments [rows][2]: mean, rstd.
void gated_norm_forward(int64_t rows, int64_t width, float eps, const float* u, const float* x, float* y, float* moments, int64_t threads) {
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
  for (int64_t r = 0; r < rows; r++) {
    const float *from = x + r * width, *gate = u + r * width;
    Floats total = {}, squares = {};
    row(width, [&](Part part) { total += select(part.fresh, read(from, part), Floats{}); });
    const float mean = sum(total) / width;
    row(width, [&](Part part) {
      const Floats apart = select(part.fresh, read(from, part) - mean, Floats{});
      squares += apart * apart;
    });
    const float rstd = 1 / std::sqrt(sum(squares) / width + eps);
    row(width, [&](Part part) {
      write(y + r * width, read(gate, part) * (read(from, part) - mean) * rstd, part);
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
    row(width, [&](Part part) {
      const Floats up = read(g, part), normed = (read(from, part) - mean) * rstd, step = up * read(gate, part);
      write(d_u + r * width, up * normed, part);
      total += select(part.fresh, step, Floats{}), along += select(part.fresh, step * normed, Floats{});
    });
    const float middle = sum(total) / width, slope = sum(along) / width;
    row(width, [&](Part part) {
      const Floats normed = (read(from, part) - mean) * rstd;
      write(d_x + r * width, rstd * (read(g, part) * read(gate, part) - middle - normed * slope), part);
    });
  }
}
}
