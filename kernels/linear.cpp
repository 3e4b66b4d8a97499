// y = x W^T + b for many short rows, and its gradients. Both factors are packed into panels that lie in the innermost cache, so
// that neither the width of a row nor the number of rows matters; sums have one order, whatever the number of threads.
#include <algorithm>
#include <vector>

#include "simd.h"

namespace {

constexpr int WIDE = 2 * LANES;  // columns of a panel
constexpr int DEPTH = 256;       // of a panel: DEPTH x WIDE floats lie in the innermost cache
constexpr int BLOCK = 64;        // rows that run together
constexpr int SHARE = 4096;      // rows, at least, of one share of a gradient of weights
constexpr int64_t SHARES = 8;

int panels(int64_t columns) { return static_cast<int>((columns + WIDE - 1) / WIDE); }

// to: [panels][depth][WIDE], zeros beyond the columns; from: element (d, c) at d * row + c * column.
void pack(View from, int64_t depth, int64_t columns, float* to) {
  for (int64_t p = 0; p < panels(columns); p++) {
    const int width = static_cast<int>(std::min<int64_t>(WIDE, columns - p * WIDE));
    float* panel = to + p * depth * WIDE;
    for (int64_t d = 0; d < depth; d++) {
      const float* source = from.at + d * from.row + p * WIDE * from.column;
      if (from.column == 1) {
        copy(panel + d * WIDE, source, width);
      } else {
        for (int c = 0; c < width; c++) panel[d * WIDE + c] = source[c * from.column];
      }
      clear(panel + d * WIDE + width, WIDE - width);
    }
  }
}

// to [rows][columns] = a [rows][depth] times the packed matrix, plus bias [columns] (or null).
void multiply(const float* a, int rows, int64_t depth, const float* packed, const float* bias, int64_t columns, float* to) {
  float scratch[BLOCK * WIDE];
  for (int p = 0; p < panels(columns); p++) {
    const int width = static_cast<int>(std::min<int64_t>(WIDE, columns - p * WIDE));
    const int vectors = (width + LANES - 1) / LANES;
    const bool direct = width % LANES == 0;
    float* c = direct ? to + p * WIDE : scratch;
    const int64_t c_row = direct ? columns : WIDE;
    for (int64_t d = 0; d < depth; d += DEPTH) {
      const int deep = static_cast<int>(std::min<int64_t>(DEPTH, depth - d));
      const View left{a + d, depth, 1}, right{packed + (p * depth + d) * WIDE, WIDE, LANES};
      if (d == 0 && bias == nullptr) {
        rows_product<false>(left, right, rows, deep, c, c_row, vectors);
        continue;
      }
      if (d == 0)
        for (int r = 0; r < rows; r++) copy(c + r * c_row, bias + p * WIDE, width);
      rows_product<true>(left, right, rows, deep, c, c_row, vectors);
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

// d_weight [outputs][panels of inputs * WIDE] and d_bias [outputs] (or null) += of the rows from up to to.
void weights_of(int64_t from, int64_t to, int64_t inputs, int64_t outputs, const float* x, const float* grad, float* d_weight, float* d_bias) {
  constexpr int deep = 128;  // rows that are packed together
  const int64_t padded = static_cast<int64_t>(panels(inputs)) * WIDE;
  std::vector<float> wide(deep * padded), narrow(deep * ROWS);
  for (int64_t t = from; t < to; t += deep) {
    const int rows = static_cast<int>(std::min<int64_t>(deep, to - t));
    pack({x + t * inputs, inputs, 1}, rows, inputs, wide.data());
    for (int64_t o = 0; o < outputs; o += ROWS) {  // strips of ROWS outputs: [rows][ROWS]
      const int height = static_cast<int>(std::min<int64_t>(ROWS, outputs - o));
      float* strip = narrow.data();
      for (int r = 0; r < rows; r++) {
        const float* source = grad + (t + r) * outputs + o;
        if (height == ROWS) {
          std::memcpy(strip + r * ROWS, source, ROWS * sizeof(float));  // of a size that compilers know: one move
        } else {
          for (int i = 0; i < height; i++) strip[r * ROWS + i] = source[i];
        }
      }
      for (int p = 0; p < panels(inputs); p++)
        rows_product<true>({strip, 1, ROWS}, {wide.data() + static_cast<int64_t>(p) * rows * WIDE, WIDE, LANES}, height, rows,
                           d_weight + o * padded + p * WIDE, padded, WIDE / LANES);
    }
    if (d_bias)
      for (int r = 0; r < rows; r++) add_scaled(d_bias, grad + (t + r) * outputs, 1.f, static_cast<int>(outputs));
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

// d_weight [outputs][inputs], d_bias [outputs] or null; both are written.
void linear_backward_weight(int64_t rows, int64_t inputs, int64_t outputs, const float* x, const float* grad, float* d_weight, float* d_bias,
                            int64_t threads) {
  const int64_t padded = static_cast<int64_t>(panels(inputs)) * WIDE, shares = std::clamp<int64_t>(rows / SHARE, 1, SHARES);
  std::vector<float> weight(shares * outputs * padded, 0.f), bias(d_bias ? shares * outputs : 0, 0.f);
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
  for (int64_t s = 0; s < shares; s++)
    weights_of(rows * s / shares, rows * (s + 1) / shares, inputs, outputs, x, grad, weight.data() + s * outputs * padded,
               d_bias ? bias.data() + s * outputs : nullptr);
  for (int64_t s = 1; s < shares; s++) {
    add_scaled(weight.data(), weight.data() + s * outputs * padded, 1.f, static_cast<int>(outputs * padded));
    if (d_bias) add_scaled(bias.data(), bias.data() + s * outputs, 1.f, static_cast<int>(outputs));
  }
  for (int64_t o = 0; o < outputs; o++) copy(d_weight + o * inputs, weight.data() + o * padded, static_cast<int>(inputs));
  if (d_bias) copy(d_bias, bias.data(), static_cast<int>(outputs));
}
}
