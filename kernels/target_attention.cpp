// DIN's activation unit over jagged past events, forward and backward:
//   h_t = relu(E k_t + P (q_r * k_t[:Q]) + s_r),  [g_t = relu(W h_t + c)],  w_t = o . g_t + b      for event t of example r.
// E k + P (q * k) = (E + P diag(q)) k: an example's matrix is made once and serves all of its events, so that the products
// q * k are never formed. Everything of an example stays in the caches; hidden layers are written once, for the backward pass.
#include <algorithm>
#include <vector>

#include "simd.h"

namespace {

constexpr int BLOCK = 64;  // events that pass through the layers together

int padded_size(int64_t size) { return round_up(static_cast<int>(size), LANES); }

struct Unit {
  int64_t examples;
  const int64_t* offsets;
  int64_t key, query, first, second;    // K, Q, H1, H2 (0: one hidden layer)
  const float *keys, *queries, *start;  // [T][K], [n][Q], [n][H1]
  const float *event, *interaction;     // E [H1][K], P [H1][Q]
  const float *hidden, *hidden_bias;    // W [H2][H1], c [H2]
  const float *out, *out_bias;          // o [last], b [1]
};

std::vector<float> padded_rows(const float* from, int rows, int columns, int width) {
  std::vector<float> result(static_cast<size_t>(rows) * width, 0.f);
  for (int r = 0; r < rows; r++) std::copy(from + r * columns, from + (r + 1) * columns, result.begin() + static_cast<size_t>(r) * width);
  return result;
}

std::vector<float> transposed(const float* from, int rows, int columns, int width) {
  std::vector<float> result(static_cast<size_t>(columns) * width, 0.f);
  for (int r = 0; r < rows; r++)
    for (int c = 0; c < columns; c++) result[static_cast<size_t>(c) * width + r] = from[r * columns + c];
  return result;
}

void relu(float* x, int size) {
  for (int i = 0; i < size; i++) x[i] = std::max(x[i], 0.f);
}

void forward(const Unit& u, int64_t from, int64_t to, float* weights, float* h, float* g) {
  const int hp = padded_size(u.first), gp = padded_size(u.second), width = u.second ? gp : hp;
  const auto out = padded_rows(u.out, 1, u.second ? u.second : u.first, width);
  const auto event = transposed(u.event, u.first, u.key, hp), interaction = transposed(u.interaction, u.first, u.query, hp);
  const auto hidden = transposed(u.hidden, u.second, u.first, gp), bias = padded_rows(u.hidden_bias, 1, u.second, gp);
  std::vector<float> matrix(static_cast<size_t>(u.key) * hp), start(hp, 0.f);
  std::copy(event.begin(), event.end(), matrix.begin());
  for (int64_t r = from; r < to; r++) {
    const float* q = u.queries + r * u.query;
    if (u.offsets[r] == u.offsets[r + 1]) continue;
    for (int k = 0; k < u.query; k++)
      for (int j = 0; j < hp; j++) matrix[k * hp + j] = event[k * hp + j] + q[k] * interaction[k * hp + j];
    std::copy(u.start + r * u.first, u.start + (r + 1) * u.first, start.begin());
    for (int64_t t = u.offsets[r]; t < u.offsets[r + 1]; t += BLOCK) {
      const int rows = static_cast<int>(std::min<int64_t>(BLOCK, u.offsets[r + 1] - t));
      float *h_rows = h + t * hp, *g_rows = g + t * gp;
      for (int i = 0; i < rows; i++) std::copy(start.begin(), start.end(), h_rows + i * hp);
      rows_product<true>({u.keys + t * u.key, u.key, 1}, {matrix.data(), hp, LANES}, rows, u.key, h_rows, hp, hp / LANES);
      relu(h_rows, rows * hp);
      if (u.second) {
        for (int i = 0; i < rows; i++) std::copy(bias.begin(), bias.end(), g_rows + i * gp);
        rows_product<true>({h_rows, hp, 1}, {hidden.data(), gp, LANES}, rows, u.first, g_rows, gp, gp / LANES);
        relu(g_rows, rows * gp);
      }
      const float* top = u.second ? g_rows : h_rows;
      for (int i = 0; i < rows; i++) {
        weights[t + i] = *u.out_bias + dot(top + i * width, out.data(), width);
      }
    }
  }
}

struct Gradients {
  float *keys, *queries, *start;              // as the inputs; each example writes its own rows
  float *event, *interaction, *hidden, *hidden_bias, *out;  // sums over the examples of one caller
};

void backward(const Unit& u, int64_t from, int64_t to, const float* d_weights, const float* h, const float* g, const Gradients& d) {
  const int kp = padded_size(u.key), hp = padded_size(u.first), gp = padded_size(u.second), last = u.second ? u.second : u.first;
  const auto event = padded_rows(u.event, u.first, u.key, kp), hidden = padded_rows(u.hidden, u.second, u.first, hp);
  std::vector<float> matrix(event), d_matrix(static_cast<size_t>(u.first) * kp), d_hidden(static_cast<size_t>(u.second) * hp, 0.f);
  std::vector<float> dg(static_cast<size_t>(BLOCK) * gp, 0.f), dh(static_cast<size_t>(BLOCK) * hp, 0.f), dk(static_cast<size_t>(BLOCK) * kp), k_rows(dk);
  std::vector<float> d_start(hp);
  for (int64_t r = from; r < to; r++) {
    const float* q = u.queries + r * u.query;
    if (u.offsets[r] == u.offsets[r + 1]) continue;
    for (int j = 0; j < u.first; j++)
      for (int k = 0; k < u.query; k++) matrix[j * kp + k] = event[j * kp + k] + q[k] * u.interaction[j * u.query + k];
    std::fill(d_matrix.begin(), d_matrix.end(), 0.f);
    std::fill(d_start.begin(), d_start.end(), 0.f);
    for (int64_t t = u.offsets[r]; t < u.offsets[r + 1]; t += BLOCK) {
      const int rows = static_cast<int>(std::min<int64_t>(BLOCK, u.offsets[r + 1] - t));
      const float *h_rows = h + t * hp, *g_rows = g + t * gp, *dw = d_weights + t;
      const float* top = u.second ? g_rows : h_rows;
      const int width = u.second ? gp : hp;
      float* d_top = u.second ? dg.data() : dh.data();
      for (int i = 0; i < rows; i++)
        for (int j = 0; j < last; j++) {
          const float x = top[i * width + j];
          d.out[j] += dw[i] * x;
          d_top[i * width + j] = x > 0 ? dw[i] * u.out[j] : 0.f;
        }
      if (u.second) {
        for (int i = 0; i < rows; i++)
          for (int j = 0; j < u.second; j++) d.hidden_bias[j] += dg[i * gp + j];
        rows_product<false>({dg.data(), gp, 1}, {hidden.data(), hp, LANES}, rows, u.second, dh.data(), hp, hp / LANES);
        for (int i = 0; i < rows * hp; i++) dh[i] = h_rows[i] > 0 ? dh[i] : 0.f;
        rows_product<true>({dg.data(), 1, gp}, {h_rows, hp, LANES}, u.second, rows, d_hidden.data(), hp, hp / LANES);
      }
      for (int i = 0; i < rows; i++)
        for (int j = 0; j < hp; j++) d_start[j] += dh[i * hp + j];
      const float* keys = u.keys + t * u.key;
      float* d_keys = d.keys + t * u.key;
      if (kp != u.key) {
        for (int i = 0; i < rows; i++) std::copy(keys + i * u.key, keys + (i + 1) * u.key, k_rows.begin() + i * kp);
        keys = k_rows.data(), d_keys = dk.data();
      }
      rows_product<false>({dh.data(), hp, 1}, {matrix.data(), kp, LANES}, rows, u.first, d_keys, kp, kp / LANES);
      rows_product<true>({dh.data(), 1, hp}, {keys, kp, LANES}, u.first, rows, d_matrix.data(), kp, kp / LANES);
      if (kp != u.key)
        for (int i = 0; i < rows; i++) std::copy(dk.begin() + i * kp, dk.begin() + i * kp + u.key, d.keys + (t + i) * u.key);
    }
    std::copy(d_start.begin(), d_start.begin() + u.first, d.start + r * u.first);
    float* dq = d.queries + r * u.query;
    for (int j = 0; j < u.first; j++) {
      for (int k = 0; k < u.key; k++) d.event[j * u.key + k] += d_matrix[j * kp + k];
      for (int k = 0; k < u.query; k++) {
        d.interaction[j * u.query + k] += q[k] * d_matrix[j * kp + k];
        dq[k] += u.interaction[j * u.query + k] * d_matrix[j * kp + k];
      }
    }
  }
  for (int j = 0; j < u.second; j++)
    for (int k = 0; k < u.first; k++) d.hidden[j * u.first + k] += d_hidden[static_cast<size_t>(j) * hp + k];
}

// Example at which each of `shares` shares begins, so that all have about the same number of events.
std::vector<int64_t> shares_of(const Unit& u, int64_t shares) {
  std::vector<int64_t> begin(shares + 1, u.examples);
  for (int64_t s = 0; s < shares; s++) {
    const int64_t target = u.offsets[0] + (u.offsets[u.examples] - u.offsets[0]) * s / shares;
    begin[s] = std::lower_bound(u.offsets, u.offsets + u.examples, target) - u.offsets;
  }
  return begin;
}

}  // namespace

extern "C" {

int64_t activation_unit_lanes() { return LANES; }

// weights [T]; first_layer [T][H1 padded to lanes] and second_layer [T][H2 padded] are kept for the backward pass.
void activation_unit_forward(const Unit* u, float* weights, float* first_layer, float* second_layer, int64_t threads) {
  const auto begin = shares_of(*u, threads);
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
  for (int64_t s = 0; s < threads; s++) forward(*u, begin[s], begin[s + 1], weights, first_layer, second_layer);
}

// Gradients of the inputs of examples hold zeros, those of weights too. Shares are added in their order: the same sums each time.
void activation_unit_backward(const Unit* u, const float* d_weights, const float* first_layer, const float* second_layer,
                              const Gradients* d, int64_t threads) {
  const auto begin = shares_of(*u, threads);
  const size_t sizes[] = {static_cast<size_t>(u->first) * u->key, static_cast<size_t>(u->first) * u->query,
                          static_cast<size_t>(u->second) * u->first, static_cast<size_t>(u->second),
                          static_cast<size_t>(u->second ? u->second : u->first)};
  float* const sums[] = {d->event, d->interaction, d->hidden, d->hidden_bias, d->out};
  std::vector<std::vector<float>> own(threads * 5);
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
  for (int64_t s = 0; s < threads; s++) {
    for (int i = 0; i < 5; i++) own[s * 5 + i].assign(sizes[i], 0.f);
    float *e = own[s * 5].data(), *p = own[s * 5 + 1].data(), *w = own[s * 5 + 2].data(), *c = own[s * 5 + 3].data(), *o = own[s * 5 + 4].data();
    backward(*u, begin[s], begin[s + 1], d_weights, first_layer, second_layer, {d->keys, d->queries, d->start, e, p, w, c, o});
  }
  for (int64_t s = 0; s < threads; s++)
    for (int i = 0; i < 5; i++)
      for (size_t j = 0; j < sizes[i]; j++) sums[i][j] += own[s * 5 + i][j];
}

// out [rows][width] holds zeros: out[row_t] += weight_t * value_t.
void weighted_sum_forward(int64_t tokens, int64_t width, const float* value, const float* weight, const int64_t* row, float* out) {
  for (int64_t t = 0; t < tokens; t++) {
    float* __restrict to = out + row[t] * width;
    const float* __restrict from = value + t * width;
    for (int64_t k = 0; k < width; k++) to[k] += weight[t] * from[k];
  }
}

void weighted_sum_backward(int64_t tokens, int64_t width, const float* value, const float* weight, const int64_t* row, const float* grad,
                           float* d_value, float* d_weight) {
  for (int64_t t = 0; t < tokens; t++) {
    const float* __restrict g = grad + row[t] * width;
    const float* __restrict from = value + t * width;
    float* __restrict to = d_value + t * width;
    Floats partial = {};
    int64_t k = 0;
    for (; k + LANES <= width; k += LANES) {
      const Floats up = load(g + k);
      store(to + k, up * weight[t]);
      partial += up * load(from + k);
    }
    float along = sum(partial);
    for (; k < width; k++) to[k] = weight[t] * g[k], along += g[k] * from[k];
    d_weight[t] = along;
  }
}
}
