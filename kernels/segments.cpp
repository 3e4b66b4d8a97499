// What differs from example to example over jagged tokens: attention of an example's own queries over its tokens, and the product of
// its tokens with a matrix of its own. Tokens of an example lie end to end, from offsets[i] up to offsets[i + 1].
#include <algorithm>
#include <cmath>
#include <vector>

#include "simd.h"

namespace {

constexpr int64_t SHARE = 32;  // examples that one thread takes at a time

int wide(int64_t n) { return round_up(static_cast<int>(n), LANES); }

// Rows that lie `apart` -> rows of whole vectors, zeros behind.
void gather(const float* from, int64_t apart, int rows, int size, float* to) {
  const int whole = wide(size);
  for (int r = 0; r < rows; r++) {
    copy(to + r * whole, from + r * apart, size);
    for (int at = size; at < whole; at++) to[r * whole + at] = 0;
  }
}

void scatter(const float* from, int rows, int size, float* to, int64_t apart) {
  const int whole = wide(size);
  for (int r = 0; r < rows; r++) copy(to + r * apart, from + r * whole, size);
}

// Rows that lie `apart` -> columns, in rows of whole vectors, zeros behind.
void turn(const float* from, int64_t apart, int rows, int size, float* to) {
  const int whole = wide(rows);
  for (int at = 0; at < size; at++) {
    for (int r = 0; r < rows; r++) to[at * whole + r] = from[r * apart + at];
    for (int r = rows; r < whole; r++) to[at * whole + r] = 0;
  }
}

// Calls each(example, memory) for all of them; memory(tokens of the longest one that is near) says how many numbers are needed.
template <class Need, class Each>
void examples(int64_t n, const int64_t* offsets, int64_t threads, Need need, Each each) {
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
  for (int64_t first = 0; first < n; first += SHARE) {
    const int64_t end = std::min(n, first + SHARE);
    int64_t longest = 0;
    for (int64_t i = first; i < end; i++) longest = std::max(longest, offsets[i + 1] - offsets[i]);
    std::vector<float> memory(need(longest));
    for (int64_t i = first; i < end; i++) each(i, memory.data());
  }
}

}  // namespace

extern "C" {

struct Attention {
  int64_t examples, queries, heads, size, behind;  // queries of an example, 0: as many as it has tokens
                                                   // behind: query j sees its example's tokens from the j-th on, not all of them
  const int64_t *offsets, *weights_at;             // where an example's weights begin
  const float *q, *key_value;                      // [queries of all][heads * size], [tokens][2 * heads * size]
  float *out, *weights;                            // as q; of an example with L tokens [heads][queries][L]

  int queries_of(int64_t tokens) const { return static_cast<int>(queries ? queries : tokens); }
  int64_t first_query(int64_t i) const { return queries ? i * queries : offsets[i]; }
};

void segment_attention_forward(const Attention* p, int64_t threads) {
  const int size = static_cast<int>(p->size), columns = wide(size);
  const int64_t width = p->heads * p->size;
  const float alpha = 1 / std::sqrt(static_cast<float>(size));
  const auto need = [&](int64_t longest) {
    const int64_t queries = p->queries_of(longest);
    return 2 * queries * columns + size * wide(longest) + queries * wide(longest) + longest * columns;
  };
  examples(p->examples, p->offsets, threads, need, [&](int64_t i, float* memory) {
    const int64_t begin = p->offsets[i];
    const int tokens = static_cast<int>(p->offsets[i + 1] - begin), row = wide(tokens), queries = p->queries_of(tokens);
    float *q = memory, *result = q + queries * columns, *keys = result + queries * columns, *s = keys + size * row, *values = s + queries * row;
    for (int64_t h = 0; h < p->heads; h++) {
      const float* key = p->key_value + begin * 2 * width + h * size;
      const int64_t own = p->first_query(i) * width + h * size;
      gather(p->q + own, width, queries, size, q);
      turn(key, 2 * width, tokens, size, keys);
      gather(key + width, 2 * width, tokens, size, values);
      rows_product<false>({q, columns, 1}, {keys, row, LANES}, queries, size, s, row, row / LANES);
      for (int j = 0; j < queries; j++) {
        float* logits = s + j * row;
        const int first = p->behind ? j : 0;
        const auto seen = [&](int c) { return (lane_numbers() >= first - c) & (lane_numbers() < tokens - c); };
        Floats most = all(-INFINITY), total = {};
        for (int c = 0; c < row; c += LANES) {
          const Floats logit = select(seen(c), load(logits + c) * alpha, all(-INFINITY));
          most = select(logit > most, logit, most);
        }
        const float top = largest(most);
        for (int c = 0; c < row; c += LANES) {
          const Floats weight = select(seen(c), exponential(load(logits + c) * alpha - top), Floats{});
          store(logits + c, weight);
          total += weight;
        }
        const float normaliser = first < tokens ? 1 / sum(total) : 0.f;
        for (int c = 0; c < row; c += LANES) store(logits + c, load(logits + c) * normaliser);
        copy(p->weights + p->weights_at[i] + (h * queries + j) * tokens, logits, tokens);
      }
      rows_product<false>({s, row, 1}, {values, columns, LANES}, queries, tokens, result, columns, columns / LANES);
      scatter(result, queries, size, p->out + own, width);
    }
  });
}

// d_q and d_key_value have the shapes of what they are gradients of; of both, all that belongs to an example is written.
void segment_attention_backward(const Attention* p, const float* grad, float* d_q, float* d_key_value, int64_t threads) {
  const int size = static_cast<int>(p->size), columns = wide(size);
  const int64_t width = p->heads * p->size;
  const float alpha = 1 / std::sqrt(static_cast<float>(size));
  const auto need = [&](int64_t longest) {
    const int64_t queries = p->queries_of(longest);
    return 3 * queries * columns + size * wide(longest) + 2 * queries * wide(longest) + 2 * longest * columns;
  };
  examples(p->examples, p->offsets, threads, need, [&](int64_t i, float* memory) {
    const int64_t begin = p->offsets[i];
    const int tokens = static_cast<int>(p->offsets[i + 1] - begin), row = wide(tokens), queries = p->queries_of(tokens);
    float *q = memory, *g = q + queries * columns, *of_q = g + queries * columns, *values = of_q + queries * columns;
    float *w = values + size * row, *step = w + queries * row, *keys = step + queries * row, *of_token = keys + tokens * columns;
    for (int64_t h = 0; h < p->heads; h++) {
      const float* key = p->key_value + begin * 2 * width + h * size;
      float* d_key = d_key_value + begin * 2 * width + h * size;
      const int64_t own = p->first_query(i) * width + h * size;
      gather(p->q + own, width, queries, size, q);
      gather(grad + own, width, queries, size, g);
      gather(key, 2 * width, tokens, size, keys);
      turn(key + width, 2 * width, tokens, size, values);
      gather(p->weights + p->weights_at[i] + h * queries * tokens, tokens, queries, tokens, w);
      rows_product<false>({g, columns, 1}, {values, row, LANES}, queries, size, step, row, row / LANES);
      for (int j = 0; j < queries; j++) {
        const float* weight = w + j * row;
        float* of_logit = step + j * row;
        Floats total = {};
        for (int c = 0; c < row; c += LANES) total += load(weight + c) * load(of_logit + c);
        const float mean = sum(total);
        for (int c = 0; c < row; c += LANES) store(of_logit + c, load(weight + c) * (load(of_logit + c) - mean) * alpha);
      }
      rows_product<false>({step, row, 1}, {keys, columns, LANES}, queries, tokens, of_q, columns, columns / LANES);
      scatter(of_q, queries, size, d_q + own, width);
      rows_product<false>({step, 1, row}, {q, columns, LANES}, tokens, queries, of_token, columns, columns / LANES);
      scatter(of_token, tokens, size, d_key, 2 * width);
      rows_product<false>({w, 1, row}, {g, columns, LANES}, tokens, queries, of_token, columns, columns / LANES);
      scatter(of_token, tokens, size, d_key + width, 2 * width);
    }
  });
}

struct Product {
  int64_t examples, inputs, outputs;
  const int64_t* offsets;
  const float *x, *matrix;  // [tokens][inputs], [examples][inputs][outputs]
};

// y [tokens][outputs]: each token times its example's matrix.
void segment_product_forward(const Product* p, float* y, int64_t threads) {
  const int inputs = static_cast<int>(p->inputs), outputs = static_cast<int>(p->outputs), columns = wide(outputs);
  const auto need = [&](int64_t longest) { return inputs * columns + longest * columns; };
  examples(p->examples, p->offsets, threads, need, [&](int64_t i, float* memory) {
    const int64_t begin = p->offsets[i];
    const int tokens = static_cast<int>(p->offsets[i + 1] - begin);
    float* result = memory + inputs * columns;
    gather(p->matrix + i * inputs * outputs, outputs, inputs, outputs, memory);
    rows_product<false>({p->x + begin * inputs, inputs, 1}, {memory, columns, LANES}, tokens, inputs, result, columns, columns / LANES);
    scatter(result, tokens, outputs, y + begin * outputs, outputs);
  });
}

// d_x [tokens][inputs], d_matrix [examples][inputs][outputs]; all of both is written.
void segment_product_backward(const Product* p, const float* grad, float* d_x, float* d_matrix, int64_t threads) {
  const int inputs = static_cast<int>(p->inputs), outputs = static_cast<int>(p->outputs), columns = wide(outputs), narrow = wide(inputs);
  const auto need = [&](int64_t longest) { return outputs * narrow + longest * narrow + longest * columns + inputs * columns; };
  examples(p->examples, p->offsets, threads, need, [&](int64_t i, float* memory) {
    const int64_t begin = p->offsets[i];
    const int tokens = static_cast<int>(p->offsets[i + 1] - begin);
    float *turned = memory, *of_x = turned + outputs * narrow, *g = of_x + tokens * narrow, *of_matrix = g + tokens * columns;
    turn(p->matrix + i * inputs * outputs, outputs, inputs, outputs, turned);
    gather(grad + begin * outputs, outputs, tokens, outputs, g);
    rows_product<false>({g, columns, 1}, {turned, narrow, LANES}, tokens, outputs, of_x, narrow, narrow / LANES);
    scatter(of_x, tokens, inputs, d_x + begin * inputs, inputs);
    rows_product<false>({p->x + begin * inputs, 1, inputs}, {g, columns, LANES}, inputs, tokens, of_matrix, columns, columns / LANES);
    scatter(of_matrix, inputs, outputs, d_matrix + i * inputs * outputs, outputs);
  });
}
}
