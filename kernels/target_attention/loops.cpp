// DIN's activation unit over jagged past events, forward and backward:
//   h_t = relu(E k_t + P (q_r * k_t) + s_r + sum_e A_e[id_te]),  [g_t = relu(W h_t + c)],  w_t = o . g_t + b   for event t of example r.
// E k + P (q * k) = (E + P diag(q)) k: an example's matrix is made once and serves all of its events, so that the products
// q * k are never formed. Everything of an example stays in the caches; hidden layers are written once, for the backward pass.
#include <algorithm>
#include <vector>

#include "../simd.h"

namespace {

constexpr int BLOCK = 64;  // events that pass through the layers together

int padded_size(int64_t size) { return round_up(static_cast<int>(size), LANES); }

struct Unit {
  int64_t examples;
  const int64_t* offsets;
  int64_t size, first, second;          // Q, H1, H2 (0: one hidden layer)
  const float *keys, *queries, *start;  // [T][Q], [n][Q], [n][H1]
  const float *event, *interaction;     // E, P [H1][Q]
  const float *hidden, *hidden_bias;    // W [H2][H1], c [H2]
  const float *out, *out_bias;          // o [last], b [1]; null: h without relu is the result, whose gradient comes from outside
  int64_t tables;                       // A_e: what an event adds by an id alone, see below
  const float* const* added;            // [tables] of [rows][H1]
  const int64_t* const* ids;            // [tables] of [T]
  const int64_t* rows;                  // [tables]
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
  const auto out = padded_rows(u.out, u.out ? 1 : 0, u.second ? u.second : u.first, width);
  const auto event = transposed(u.event, u.first, u.size, hp), interaction = transposed(u.interaction, u.first, u.size, hp);
  const auto hidden = transposed(u.hidden, u.second, u.first, gp), bias = padded_rows(u.hidden_bias, 1, u.second, gp);
  std::vector<float> matrix(static_cast<size_t>(u.size) * hp), start(hp, 0.f);
  for (int64_t r = from; r < to; r++) {
    const float* q = u.queries + r * u.size;
    if (u.offsets[r] == u.offsets[r + 1]) continue;
    for (int k = 0; k < u.size; k++)
      for (int j = 0; j < hp; j++) matrix[k * hp + j] = event[k * hp + j] + q[k] * interaction[k * hp + j];
    std::copy(u.start + r * u.first, u.start + (r + 1) * u.first, start.begin());
    for (int64_t t = u.offsets[r]; t < u.offsets[r + 1]; t += BLOCK) {
      const int rows = static_cast<int>(std::min<int64_t>(BLOCK, u.offsets[r + 1] - t));
      float *h_rows = h + t * hp, *g_rows = g + t * gp;
      for (int i = 0; i < rows; i++) {
        copy(h_rows + i * hp, start.data(), hp);
        for (int e = 0; e < u.tables; e++) add_scaled(h_rows + i * hp, u.added[e] + u.ids[e][t + i] * u.first, 1.f, static_cast<int>(u.first));
      }
      rows_product<true>({u.keys + t * u.size, u.size, 1}, {matrix.data(), hp, LANES}, rows, u.size, h_rows, hp, hp / LANES);
      if (!u.out) continue;
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
  float* const* added;                                      // [tables], the same
};

void backward(const Unit& u, int64_t from, int64_t to, const float* d_weights, const float* d_first, const float* h, const float* g, const Gradients& d) {
  const int kp = padded_size(u.size), hp = padded_size(u.first), gp = padded_size(u.second), width = u.second ? gp : hp;
  const auto event = padded_rows(u.event, u.first, u.size, kp), interaction = padded_rows(u.interaction, u.first, u.size, kp);
  const auto hidden = padded_rows(u.hidden, u.second, u.first, hp), out = padded_rows(u.out, u.out ? 1 : 0, u.second ? u.second : u.first, width);
  std::vector<float> d_event(event.size(), 0.f), d_interaction(event.size(), 0.f), d_out(width, 0.f), d_bias(gp, 0.f), q(kp, 0.f), dq(kp);
  std::vector<float> matrix(event), d_matrix(static_cast<size_t>(u.first) * kp), d_hidden(static_cast<size_t>(u.second) * hp, 0.f);
  std::vector<float> dg(static_cast<size_t>(BLOCK) * gp, 0.f), dh(static_cast<size_t>(BLOCK) * hp, 0.f), dk(static_cast<size_t>(BLOCK) * kp), k_rows(dk);
  std::vector<float> d_start(hp);
  for (int64_t r = from; r < to; r++) {
    if (u.offsets[r] == u.offsets[r + 1]) continue;
    std::copy(u.queries + r * u.size, u.queries + (r + 1) * u.size, q.begin());
    for (int k = 0; k < kp; k += LANES) {
      const Floats with = load(q.data() + k);
      for (int at = k; at < u.first * kp; at += kp) store(matrix.data() + at, load(event.data() + at) + with * load(interaction.data() + at));
    }
    std::fill(d_matrix.begin(), d_matrix.end(), 0.f);
    std::fill(d_start.begin(), d_start.end(), 0.f);
    for (int64_t t = u.offsets[r]; t < u.offsets[r + 1]; t += BLOCK) {
      const int rows = static_cast<int>(std::min<int64_t>(BLOCK, u.offsets[r + 1] - t));
      const float *h_rows = h + t * hp, *g_rows = g + t * gp, *dw = d_weights + t;
      const float* top = u.second ? g_rows : h_rows;
      float* d_top = u.second ? dg.data() : dh.data();
      if (!u.out) std::copy(d_first + t * hp, d_first + (t + rows) * hp, dh.begin());
      for (int j = 0; u.out && j < width; j += LANES) {
        Floats sum = load(d_out.data() + j);
        for (int i = 0; i < rows; i++) {
          const Floats x = load(top + i * width + j);
          sum += dw[i] * x;
          store(d_top + i * width + j, select(x > 0.f, dw[i] * load(out.data() + j), Floats{}));
        }
        store(d_out.data() + j, sum);
      }
      if (u.second) {
        for (int i = 0; i < rows; i++) add_scaled(d_bias.data(), dg.data() + i * gp, 1.f, gp);
        rows_product<false>({dg.data(), gp, 1}, {hidden.data(), hp, LANES}, rows, u.second, dh.data(), hp, hp / LANES);
        for (int i = 0; i < rows * hp; i += LANES) store(dh.data() + i, select(load(h_rows + i) > 0.f, load(dh.data() + i), Floats{}));
        rows_product<true>({dg.data(), 1, gp}, {h_rows, hp, LANES}, u.second, rows, d_hidden.data(), hp, hp / LANES);
      }
      for (int i = 0; i < rows; i++) {
        add_scaled(d_start.data(), dh.data() + i * hp, 1.f, hp);
        for (int e = 0; e < u.tables; e++) add_scaled(d.added[e] + u.ids[e][t + i] * u.first, dh.data() + i * hp, 1.f, static_cast<int>(u.first));
      }
      const float* keys = u.keys + t * u.size;
      float* d_keys = d.keys + t * u.size;
      if (kp != u.size) {
        for (int i = 0; i < rows; i++) std::copy(keys + i * u.size, keys + (i + 1) * u.size, k_rows.begin() + i * kp);
        keys = k_rows.data(), d_keys = dk.data();
      }
      rows_product<false>({dh.data(), hp, 1}, {matrix.data(), kp, LANES}, rows, u.first, d_keys, kp, kp / LANES);
      rows_product<true>({dh.data(), 1, hp}, {keys, kp, LANES}, u.first, rows, d_matrix.data(), kp, kp / LANES);
      if (kp != u.size)
        for (int i = 0; i < rows; i++) std::copy(dk.begin() + i * kp, dk.begin() + i * kp + u.size, d.keys + (t + i) * u.size);
    }
    std::copy(d_start.begin(), d_start.begin() + u.first, d.start + r * u.first);
    for (int k = 0; k < kp; k += LANES) {
      const Floats with = load(q.data() + k);
      Floats sum = {};
      for (int at = k; at < u.first * kp; at += kp) {
        const Floats grad = load(d_matrix.data() + at);
        store(d_event.data() + at, load(d_event.data() + at) + grad);
        store(d_interaction.data() + at, load(d_interaction.data() + at) + with * grad);
        sum += load(interaction.data() + at) * grad;
      }
      store(dq.data() + k, sum);
    }
    std::copy(dq.begin(), dq.begin() + u.size, d.queries + r * u.size);
  }
  for (int j = 0; j < u.first; j++) {
    add_scaled(d.event + j * u.size, d_event.data() + j * kp, 1.f, static_cast<int>(u.size));
    add_scaled(d.interaction + j * u.size, d_interaction.data() + j * kp, 1.f, static_cast<int>(u.size));
  }
  if (u.out) add_scaled(d.out, d_out.data(), 1.f, static_cast<int>(u.second ? u.second : u.first));
  add_scaled(d.hidden_bias, d_bias.data(), 1.f, static_cast<int>(u.second));
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

// The table that has an id outside of its rows, or -1; to be asked before anything else.
int64_t outside(int64_t tokens, int64_t tables, const int64_t* const* ids, const int64_t* rows) {
  for (int64_t e = 0; e < tables; e++) {
    int64_t low = 0, high = -1;
    for (int64_t t = 0; t < tokens; t++) low = std::min(low, ids[e][t]), high = std::max(high, ids[e][t]);
    if (low < 0 || high >= rows[e]) return e;
  }
  return -1;
}

// weights [T]; first_layer [T][H1 padded to lanes] and second_layer [T][H2 padded] are kept for the backward pass.
void activation_unit_forward(const Unit* u, float* weights, float* first_layer, float* second_layer, int64_t threads) {
  const auto begin = shares_of(*u, threads);
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
  for (int64_t s = 0; s < threads; s++) forward(*u, begin[s], begin[s + 1], weights, first_layer, second_layer);
}

// Gradients of the inputs of examples hold zeros, those of weights too. With `out` the gradient of weights [T] is given, without it that
// of the first layer [T][H1 padded to lanes]. Shares are added in their order: the same sums each time.
void activation_unit_backward(const Unit* u, const float* d_weights, const float* d_first, const float* first_layer, const float* second_layer,
                              const Gradients* d, int64_t threads) {
  const auto begin = shares_of(*u, threads);
  std::vector<size_t> sizes = {static_cast<size_t>(u->first) * u->size, static_cast<size_t>(u->first) * u->size,
                               static_cast<size_t>(u->second) * u->first, static_cast<size_t>(u->second),
                               static_cast<size_t>(!u->out ? 0 : u->second ? u->second : u->first)};
  std::vector<float*> sums = {d->event, d->interaction, d->hidden, d->hidden_bias, d->out};
  for (int64_t e = 0; e < u->tables; e++) sizes.push_back(static_cast<size_t>(u->rows[e]) * u->first), sums.push_back(d->added[e]);
  const size_t count = sizes.size();
  std::vector<std::vector<float>> own(threads * count);
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
  for (int64_t s = 0; s < threads; s++) {
    std::vector<float*> at(count);
    for (size_t i = 0; i < count; i++) own[s * count + i].assign(sizes[i], 0.f), at[i] = own[s * count + i].data();
    backward(*u, begin[s], begin[s + 1], d_weights, d_first, first_layer, second_layer,
             {d->keys, d->queries, d->start, at[0], at[1], at[2], at[3], at[4], at.data() + 5});
  }
  for (int64_t s = 0; s < threads; s++)
    for (size_t i = 0; i < count; i++)
      for (size_t j = 0; j < sizes[i]; j++) sums[i][j] += own[s * count + i][j];
}

// What is summed: value_t [width], then rows of tables [rows][dim], of which several may belong to the same columns.
struct Values {
  int64_t tokens, width, out_width, tables, dim;
  const float* value;
  const int64_t* row;          // of the result
  const float* const* table;   // [tables]
  const int64_t* const* ids;   // [tables] of [tokens]
  const int64_t* column;       // [tables]: where they begin in a row of the result
};

// out [rows][out_width] holds zeros: out[row_t] += weight_t * values of t.
void weighted_sum_forward(const Values* v, const float* weight, float* out) {
  for (int64_t t = 0; t < v->tokens; t++) {
    float* to = out + v->row[t] * v->out_width;
    add_scaled(to, v->value + t * v->width, weight[t], static_cast<int>(v->width));
    for (int64_t e = 0; e < v->tables; e++) add_scaled(to + v->column[e], v->table[e] + v->ids[e][t] * v->dim, weight[t], static_cast<int>(v->dim));
  }
}

// d_tables hold zeros.
void weighted_sum_backward(const Values* v, const float* weight, const float* grad, float* d_value, float* const* d_tables, float* d_weight) {
  const int width = static_cast<int>(v->width), dim = static_cast<int>(v->dim);
  for (int64_t t = 0; t < v->tokens; t++) {
    const float* g = grad + v->row[t] * v->out_width;
    scaled(d_value + t * width, g, weight[t], width);
    float along = dot(g, v->value + t * width, width);
    for (int64_t e = 0; e < v->tables; e++) {
      const int64_t at = v->ids[e][t] * dim;
      along += dot(g + v->column[e], v->table[e] + at, dim);
      add_scaled(d_tables[e] + at, g + v->column[e], weight[t], dim);
    }
    d_weight[t] = along;
  }
}
}
