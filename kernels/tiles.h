// Small matrix products on tiles that stay in the caches, with the vector extensions of GCC and Clang: one source for every CPU.
#pragma once
#include <cstdint>
#include <cstring>

#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX__)
#define LANES 8
#else
#define LANES 4
#endif

typedef float Vector __attribute__((vector_size(LANES * 4), aligned(4), may_alias));

static inline Vector load(const float* from) { return *reinterpret_cast<const Vector*>(from); }
static inline void store(float* to, Vector value) { *reinterpret_cast<Vector*>(to) = value; }
static inline Vector broadcast(float value) { return Vector{} + value; }
static inline float total(Vector value) {
  float sum = 0;
  for (int i = 0; i < LANES; i++) sum += value[i];
  return sum;
}
static inline int padded(int size) { return (size + LANES - 1) / LANES * LANES; }

// What the product is added to.
enum class Begin { zero, row, c };

// C[0..M)[0..V * LANES) = begin + sum_k A[m * a_row + k * a_column] * B[k * b_row + ...]; `row` is one row for all of C.
template <int M, int V, Begin begin>
static inline __attribute__((always_inline)) void tile(const float* a, int a_row, int a_column, const float* b, int b_row, int depth,
                                                       const float* row, float* c, int c_row) {
  Vector sum[M][V];
  for (int m = 0; m < M; m++)
    for (int v = 0; v < V; v++)
      sum[m][v] = begin == Begin::zero ? broadcast(0) : load(begin == Begin::row ? row + v * LANES : c + m * c_row + v * LANES);
  for (int k = 0; k < depth; k++) {
    Vector right[V];
    for (int v = 0; v < V; v++) right[v] = load(b + k * b_row + v * LANES);
    for (int m = 0; m < M; m++) {
      const Vector left = broadcast(a[m * a_row + k * a_column]);
      for (int v = 0; v < V; v++) sum[m][v] += left * right[v];
    }
  }
  for (int m = 0; m < M; m++)
    for (int v = 0; v < V; v++) store(c + m * c_row + v * LANES, sum[m][v]);
}

template <int M, Begin begin>
static inline void rows_of_product(int columns, const float* a, int a_row, int a_column, const float* b, int b_row, int depth,
                                   const float* row, float* c, int c_row) {
  int n = 0;
  for (; n + 3 * LANES <= columns && M <= 8 && (columns - n) % (2 * LANES) != 0; n += 3 * LANES)
    tile<M, 3, begin>(a, a_row, a_column, b + n, b_row, depth, row + n, c + n, c_row);
  for (; n + 2 * LANES <= columns; n += 2 * LANES)
    tile<M, 2, begin>(a, a_row, a_column, b + n, b_row, depth, row + n, c + n, c_row);
  if (n < columns) tile<M, 1, begin>(a, a_row, a_column, b + n, b_row, depth, row + n, c + n, c_row);
}

// C [rows][columns] = begin + A B, columns a multiple of LANES. A is read by element, so that either of its axes may be its rows.
template <Begin begin>
static void product(int rows, int columns, int depth, const float* a, int a_row, int a_column, const float* b, int b_row,
                    const float* row, float* c, int c_row) {
  int m = 0;
  for (; m + 8 <= rows; m += 8) rows_of_product<8, begin>(columns, a + m * a_row, a_row, a_column, b, b_row, depth, row, c + m * c_row, c_row);
  for (; m + 4 <= rows; m += 4) rows_of_product<4, begin>(columns, a + m * a_row, a_row, a_column, b, b_row, depth, row, c + m * c_row, c_row);
  for (; m < rows; m++) rows_of_product<1, begin>(columns, a + m * a_row, a_row, a_column, b, b_row, depth, row, c + m * c_row, c_row);
}
