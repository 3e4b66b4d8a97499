// What lies between the products of Transformers' blocks, each in one pass over memory: GELU, the gate of SwiGLU, RMS norms.
#include <algorithm>
#include <cmath>
#include <vector>

#include "row_parts.h"

namespace {

constexpr int64_t SHARES = 8;      // of a sum over rows: one order, whatever the number of threads
constexpr int64_t STRETCH = 4096;  // numbers that one thread takes at a time

// Of a standard normal variable: the probability of a smaller value, and the density.
struct Normal {
  Floats below, density;
};

// The tail is e^(-x^2 / 2) times a polynomial in t = 1 / (1 + 0.297 |x|), fitted to erfcx here: off by 4e-8 of the tail.
INLINE Normal normal(Floats x) {
  const Floats size = select(x < Floats{}, -x, x), t = 1.f / (1.f + 0.296984848f * size), power = exponential(x * x * -0.5f);
  Floats p = all(7.838059334e-02f);
  p = p * t - 3.569091390e-01f;
  p = p * t + 5.102444041e-01f;
  p = p * t - 2.031112115e-01f;
  p = p * t + 3.141450653e-01f;
  p = p * t + 1.773318163e-01f;
  p = p * t + 2.435649219e-01f;
  p = p * t + 2.363277054e-01f;
  p = p * t + 2.588391115e-05f;
  const Floats tail = 0.5f * p * power;
  return {select(x < Floats{}, tail, 1.f - tail), power * 0.398942280f};
}

template <class Each> void stretches(int64_t n, int64_t threads, Each each) {
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
  for (int64_t first = 0; first < n; first += STRETCH) row(std::min(STRETCH, n - first), [&](Part part) { each(first, part); });
}

}  // namespace

extern "C" {

void gelu_forward(int64_t n, const float* x, float* y, int64_t threads) {
  stretches(n, threads, [&](int64_t first, Part part) {
    const Floats from = read(x + first, part);
    write(y + first, from * normal(from).below, part);
  });
}

void gelu_backward(int64_t n, const float* x, const float* grad, float* d_x, int64_t threads) {
  stretches(n, threads, [&](int64_t first, Part part) {
    const Floats from = read(x + first, part);
    const Normal at = normal(from);
    write(d_x + first, read(grad + first, part) * (at.below + from * at.density), part);
  });
}

// y [rows][width] = silu(gate) * up, both in a row of z [rows][2 * width].
void silu_gate_forward(int64_t rows, int64_t width, const float* z, float* y, int64_t threads) {
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
  for (int64_t r = 0; r < rows; r++) {
    const float* from = z + 2 * r * width;
    row(width, [&](Part part) {
      const Floats x = read(from, part);
      write(y + r * width, x * sigmoid(x) * read(from + width, part), part);
    });
  }
}

void silu_gate_backward(int64_t rows, int64_t width, const float* z, const float* grad, float* d_z, int64_t threads) {
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
  for (int64_t r = 0; r < rows; r++) {
    const float *from = z + 2 * r * width, *g = grad + r * width;
    float* to = d_z + 2 * r * width;
    row(width, [&](Part part) {
      const Floats x = read(from, part), up = read(from + width, part), step = read(g, part), open = sigmoid(x);
      write(to, step * up * open * (1.f + x * (1.f - open)), part);
      write(to + width, step * x * open, part);
    });
  }
}

// y [rows][width] = x / rms(x) * weight; scale [rows]: 1 / rms.
void rms_norm_forward(int64_t rows, int64_t width, float eps, const float* x, const float* weight, float* y, float* scale, int64_t threads) {
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
  for (int64_t r = 0; r < rows; r++) {
    const float* from = x + r * width;
    Floats squares = {};
    row(width, [&](Part part) {
      const Floats one = select(part.fresh, read(from, part), Floats{});
      squares += one * one;
    });
    const float whole = scale[r] = 1 / std::sqrt(sum(squares) / width + eps);
    row(width, [&](Part part) { write(y + r * width, read(from, part) * whole * read(weight, part), part); });
  }
}

void rms_norm_backward(int64_t rows, int64_t width, const float* grad, const float* x, const float* weight, const float* scale, float* d_x,
                       float* d_weight, int64_t threads) {
  const int64_t shares = std::clamp<int64_t>(rows / 64, 1, SHARES);
  std::vector<float> sums(shares * width, 0.f);
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
  for (int64_t s = 0; s < shares; s++) {
    float* own = sums.data() + s * width;
    for (int64_t r = rows * s / shares; r < rows * (s + 1) / shares; r++) {
      const float *from = x + r * width, *g = grad + r * width, whole = scale[r];
      Floats along = {};
      row(width, [&](Part part) {
        const Floats normed = read(from, part) * whole, step = select(part.fresh, read(g, part) * normed, Floats{});
        along += step * read(weight, part);
        write(own, read(own, part) + step, part);
      });
      const float slope = sum(along) / width;
      row(width, [&](Part part) {
        write(d_x + r * width, whole * (read(g, part) * read(weight, part) - read(from, part) * whole * slope), part);
      });
    }
  }
  for (int64_t s = 1; s < shares; s++) add_scaled(sums.data(), sums.data() + s * width, 1.f, static_cast<int>(width));
  copy(d_weight, sums.data(), static_cast<int>(width));
}
}
