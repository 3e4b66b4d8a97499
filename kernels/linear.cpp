// y = x W^T + b for many short rows, and its gradients; sums have one order, whatever the number of threads.
#include <vector>

#include "panels.h"

namespace {

constexpr int BLOCK = 64;    // rows that run together
constexpr int SHARE = 4096;  // rows, at least, of one share of a gradient of weights
constexpr int64_t SHARES = 8;

int padded(int64_t columns) { return static_cast<int>((columns + LANES - 1) / LANES * LANES); }

// to [rows][columns] = a [rows][depth] times the packed matrix, plus bias [columns] (or null).
void multiply(const float* a, int rows, int64_t depth, const float* packed, const float* bias, int64_t columns, float* to) {
  float scratch[BLOCK * WIDE];
  for (int p = 0; p < panels(columns); p++) {
    const int width = static_cast<int>(std::min<int64_t>(WIDE, columns - p * WIDE));
    const int vectors = padded(width) / LANES;
    const bool direct = width % LANES == 0;
    float* c = direct ? to + p * WIDE : scratch;
    const int64_t c_row = direct ? columns : WIDE;
    const float* panel = packed + p * depth * WIDE;
    if (bias) {
      for (int r = 0; r < rows; r++) copy(c + r * c_row, bias + p * WIDE, width);
      panel_product<true>(a, depth, rows, depth, panel, c, c_row, vectors);
    } else {
      panel_product<false>(a, depth, rows, depth, panel, c, c_row, vectors);
    }
    if (!direct)
      for (int r = 0; r < rows; r++) copy(to + r * columns + p * WIDE, scratch + r * WIDE, width);
  }
}

void multiply_all(const float* a, int64_t rows, int64_t depth, View matrix, const float* bias, int64_t columns, float* to, int64_t threads) {
  std::vector<float> packed(static_cast<size_t>(panels(columns)) * depth * WIDE);
  pack(matrix, depth, columns, packed.data());
  const int64_t blocks = (rows + BLOCK - 1) / BLOCK;
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
  for (int64_t b = 0; b < blocks; b++) {
    const int64_t r = b * BLOCK;
    multiply(a + r * depth, static_cast<int>(std::min<int64_t>(BLOCK, rows - r)), depth, packed.data(), bias, columns, to + r * columns);
  }
}

// Rows [rows][columns] of a matrix of which one is multiplied number by number and one vector by vector.
struct Side {
  const float* at;
  int columns;
};

// sums [narrow columns][padded wide columns] += narrow^T wide.
void outer(Side narrow, Side wide, int64_t rows, float* sums) {
  const int row = padded(wide.columns);
  std::vector<float> whole(wide.columns == row ? 0 : DEPTH * row, 0.f), strips(DEPTH * (narrow.columns + TALL));
  for (int64_t first = 0; first < rows; first += DEPTH) {
    const int count = static_cast<int>(std::min<int64_t>(DEPTH, rows - first));
    const float* b = wide.at + first * wide.columns;
    if (!whole.empty()) {
      for (int r = 0; r < count; r++) copy(whole.data() + r * row, b + r * wide.columns, wide.columns);
      b = whole.data();
    }
    add_outer(narrow.at + first * narrow.columns, narrow.columns, narrow.columns, b, row, row / LANES, count, sums, row, strips.data());
  }
}

}  // namespace

extern "C" {

// y [rows][outputs] = x [rows][inputs] W^T + b; W [outputs][inputs]; b null: none.
void linear_forward(int64_t rows, int64_t inputs, int64_t outputs, const float* x, const float* weight, const float* bias, float* y,
                    int64_t threads) {
  multiply_all(x, rows, inputs, {weight, 1, inputs}, bias, outputs, y, threads);
}

void linear_backward_input(int64_t rows, int64_t inputs, int64_t outputs, const float* grad, const float* weight, float* d_x, int64_t threads) {
  multiply_all(grad, rows, outputs, {weight, inputs, 1}, nullptr, inputs, d_x, threads);
}

// d_weight [outputs][inputs], d_bias [outputs] or null; both are written. Vectors run along what fills them better.
void linear_backward_weight(int64_t rows, int64_t inputs, int64_t outputs, const float* x, const float* grad, float* d_weight, float* d_bias,
                            int64_t threads) {
  const int along_inputs = padded(inputs), along_outputs = padded(outputs);
  const bool turned = along_inputs * outputs > along_outputs * inputs;
  const int64_t shares = std::clamp<int64_t>(rows / SHARE, 1, SHARES), size = turned ? inputs * along_outputs : outputs * along_inputs;
  std::vector<float> sums(shares * size, 0.f), bias(d_bias ? shares * outputs : 0, 0.f);
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
  for (int64_t s = 0; s < shares; s++) {
    const int64_t first = rows * s / shares, end = rows * (s + 1) / shares;
    const Side in{x + first * inputs, static_cast<int>(inputs)}, out{grad + first * outputs, static_cast<int>(outputs)};
    outer(turned ? in : out, turned ? out : in, end - first, sums.data() + s * size);
    if (d_bias)
      for (int64_t r = first; r < end; r++) add_scaled(bias.data() + s * outputs, grad + r * outputs, 1.f, out.columns);
  }
  for (int64_t s = 1; s < shares; s++) {
    add_scaled(sums.data(), sums.data() + s * size, 1.f, static_cast<int>(size));
    if (d_bias) add_scaled(bias.data(), bias.data() + s * outputs, 1.f, static_cast<int>(outputs));
  }
  for (int64_t o = 0; o < outputs; o++) {
    if (!turned) copy(d_weight + o * inputs, sums.data() + o * along_inputs, static_cast<int>(inputs));
    for (int64_t i = 0; turned && i < inputs; i++) d_weight[o * inputs + i] = sums[i * along_outputs + o];
  }
  if (d_bias) copy(d_bias, bias.data(), static_cast<int>(outputs));
}
}
