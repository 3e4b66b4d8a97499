// Products of many short rows with a matrix that is packed into panels: each lies in the innermost cache while rows pass by. Sums
// have one order, whatever rows run together.
#pragma once
#include <algorithm>

#include "simd.h"

constexpr int WIDE = 2 * LANES;  // columns of a panel
constexpr int DEPTH = 256;       // of what runs together: DEPTH x WIDE floats lie in the innermost cache

static inline int64_t panels(int64_t columns) { return (columns + WIDE - 1) / WIDE; }

// to: [panels][depth][WIDE], zeros beyond the columns; from: element (d, c) at d * row + c * column.
static void pack(View from, int64_t depth, int64_t columns, float* to) {
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

// c [rows][vectors * LANES] = or += a [rows][depth] times one panel.
template <bool ADD>
static void panel_product(const float* a, int64_t a_row, int rows, int64_t depth, const float* panel, float* c, int64_t c_row, int vectors) {
  for (int64_t d = 0; d < depth; d += DEPTH) {
    const int deep = static_cast<int>(std::min<int64_t>(DEPTH, depth - d));
    const View left{a + d, a_row, 1}, right{panel + d * WIDE, WIDE, LANES};
    if (ADD || d > 0) {
      rows_product<true>(left, right, rows, deep, c, c_row, vectors);
    } else {
      rows_product<false>(left, right, rows, deep, c, c_row, vectors);
    }
  }
}

// The same for all panels; rows of c have room for whole vectors.
template <bool ADD>
static void panels_product(const float* a, int64_t a_row, int rows, int64_t depth, const float* packed, float* c, int64_t c_row, int vectors) {
  for (int v = 0; v < vectors; v += 2)
    panel_product<ADD>(a, a_row, rows, depth, packed + v * LANES * depth, c + v * LANES, c_row, std::min(2, vectors - v));
}

// c [columns of a][vectors * LANES] += a^T b for rows of a and b; `strips` has room for DEPTH x (columns of a, rounded up to TALL).
static void add_outer(const float* a, int64_t a_row, int columns, const float* b, int64_t b_row, int vectors, int rows, float* c, int64_t c_row,
                      float* strips) {
  for (int first = 0; first < rows; first += DEPTH) {
    const int deep = std::min(DEPTH, rows - first);
    for (int o = 0; o < columns; o += TALL) {  // strips of TALL columns: [deep][TALL]
      const int height = std::min(TALL, columns - o);
      float* strip = strips + o * deep;
      for (int r = 0; r < deep; r++) {
        const float* source = a + (first + r) * a_row + o;
        if (height == TALL) {
          std::memcpy(strip + r * TALL, source, TALL * sizeof(float));  // of a size that compilers know: one move
        } else {
          for (int i = 0; i < height; i++) strip[r * TALL + i] = source[i];
        }
      }
    }
    for (int v = 0; v < vectors; v += 2)
      for (int o = 0; o < columns; o += TALL)
        rows_product<true>({strips + o * deep, 1, TALL}, {b + first * b_row + v * LANES, b_row, LANES}, std::min(TALL, columns - o), deep,
                           c + o * c_row + v * LANES, c_row, std::min(2, vectors - v));
  }
}
