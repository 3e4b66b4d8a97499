// A gated recurrence over jagged rows, forward and backward. Rows do not know of each other: a block of them runs through all of
// its steps while the weights and the block's state stay in the caches.
//   r, u = sigmoid(x_r + W_r h + b_r), sigmoid(x_u + W_u h + b_u);  n = tanh(x_n + r (W_n h + b_n));  h <- h + a u (n - h)
#include <algorithm>
#include <vector>

#include "simd.h"

namespace {

constexpr int BLOCK = 32;  // rows that run together

struct Problem {
  int64_t steps, width;
  const int64_t* begin;           // [steps + 1]: step s has the tokens begin[s] up to begin[s + 1]; row r is its r-th, rows by falling length
  const float *x, *weight, *bias; // [T][3 width], [3 width][width], [3 width]; gates in the order r, u, n
  const float* attention;         // [T], or null: 1
  float* state;                   // [T][width]: after each step
  float* saved;                   // [T][4][width rounded up]: r, u, n and W_n h + b_n
};

int padded(int64_t size) { return round_up(static_cast<int>(size), LANES); }

// Of small numbers the difference from 1 would keep few digits; there, Taylor's series.
Floats tanh_of(Floats x) {
  const Floats square = x * x;
  const Floats series = (((square * 0.021869489f - 0.053968254f) * square + 0.133333333f) * square - 0.333333333f) * square * x + x;
  return select(square < all(0.0625f), series, sigmoid(x * 2.f) * 2.f - 1.f);
}

// One gate after the other, each as wide as whole vectors.
void spread(const float* from, int64_t width, float* to) {
  const int wide = padded(width);
  for (int gate = 0; gate < 3; gate++) {
    copy(to + gate * wide, from + gate * width, static_cast<int>(width));
    clear(to + gate * wide + width, wide - width);
  }
}

void gather(const float* from, int64_t width, float* to) {
  for (int gate = 0; gate < 3; gate++) copy(to + gate * width, from + gate * padded(width), static_cast<int>(width));
}

int rows_at(const Problem& p, int64_t step, int64_t first) {
  return static_cast<int>(std::clamp<int64_t>(p.begin[step + 1] - p.begin[step] - first, 0, BLOCK));
}

void forward(const Problem& p, int64_t first) {
  const int width = static_cast<int>(p.width), wide = padded(width);
  std::vector<float> turned(width * 3 * wide, 0.f), bias(3 * wide), h(BLOCK * wide, 0.f), old(BLOCK * 3 * wide), x(3 * wide);
  for (int gate = 0; gate < 3; gate++)
    for (int i = 0; i < width; i++)
      for (int k = 0; k < width; k++) turned[k * 3 * wide + gate * wide + i] = p.weight[(gate * width + i) * width + k];
  spread(p.bias, width, bias.data());
  for (int64_t step = 0; step < p.steps; step++) {
    const int rows = rows_at(p, step, first);
    if (rows == 0) break;
    for (int r = 0; r < rows; r++) copy(old.data() + r * 3 * wide, bias.data(), 3 * wide);
    rows_product<true>({h.data(), wide, 1}, {turned.data(), 3 * wide, LANES}, rows, width, old.data(), 3 * wide, 3 * wide / LANES);
    for (int r = 0; r < rows; r++) {
      const int64_t token = p.begin[step] + first + r;
      const float share = p.attention ? p.attention[token] : 1.f;
      float *state = h.data() + r * wide, *saved = p.saved + token * 4 * wide;
      const float* gates = old.data() + r * 3 * wide;
      spread(p.x + token * 3 * width, width, x.data());
      for (int i = 0; i < wide; i += LANES) {
        const Floats reset = sigmoid(load(x.data() + i) + load(gates + i));
        const Floats update = sigmoid(load(x.data() + wide + i) + load(gates + wide + i));
        const Floats own = load(gates + 2 * wide + i), fresh = tanh_of(load(x.data() + 2 * wide + i) + reset * own);
        store(saved + i, reset), store(saved + wide + i, update), store(saved + 2 * wide + i, fresh), store(saved + 3 * wide + i, own);
        store(state + i, load(state + i) + update * share * (fresh - load(state + i)));
      }
      copy(p.state + token * width, state, width);
    }
  }
}

struct Gradients {
  const float* state;                   // of the loss, [T][width]
  float *x, *attention, *weight, *bias; // attention: null if there is none
};

void backward(const Problem& p, const Gradients& d, int64_t first) {
  const int width = static_cast<int>(p.width), wide = padded(width);
  std::vector<float> weight(3 * wide * wide, 0.f), d_weight(3 * wide * wide, 0.f), d_bias(3 * wide, 0.f), before(BLOCK * wide);
  std::vector<float> dh(BLOCK * wide, 0.f), d_old(BLOCK * 3 * wide), d_x(3 * wide), up(wide, 0.f);
  for (int gate = 0; gate < 3; gate++)
    for (int i = 0; i < width; i++) copy(weight.data() + (gate * wide + i) * wide, p.weight + (gate * width + i) * width, width);
  for (int64_t step = p.steps - 1; step >= 0; step--) {
    const int rows = rows_at(p, step, first);
    for (int r = 0; r < rows; r++) {
      const int64_t token = p.begin[step] + first + r;
      float *h = before.data() + r * wide, *dh_row = dh.data() + r * wide, *d_gates = d_old.data() + r * 3 * wide;
      clear(h, wide);
      if (step > 0) copy(h, p.state + (p.begin[step - 1] + first + r) * width, width);
      copy(up.data(), d.state + token * width, width);
      const float* saved = p.saved + token * 4 * wide;
      const float share = p.attention ? p.attention[token] : 1.f;
      Floats d_share = {};
      for (int i = 0; i < wide; i += LANES) {
        const Floats reset = load(saved + i), update = load(saved + wide + i), fresh = load(saved + 2 * wide + i), own = load(saved + 3 * wide + i);
        const Floats grad = load(dh_row + i) + load(up.data() + i), apart = grad * (fresh - load(h + i));
        const Floats d_fresh = grad * update * share * (1.f - fresh * fresh);
        d_share += apart * update;
        store(d_x.data() + i, d_fresh * own * reset * (1.f - reset));
        store(d_x.data() + wide + i, apart * share * update * (1.f - update));
        store(d_x.data() + 2 * wide + i, d_fresh);
        store(d_gates + 2 * wide + i, d_fresh * reset);
        store(dh_row + i, grad * (1.f - update * share));
      }
      copy(d_gates, d_x.data(), 2 * wide);
      gather(d_x.data(), width, d.x + token * 3 * width);
      if (d.attention) d.attention[token] = sum(d_share);
      for (int i = 0; i < 3 * wide; i += LANES) store(d_bias.data() + i, load(d_bias.data() + i) + load(d_gates + i));
    }
    rows_product<true>({d_old.data(), 3 * wide, 1}, {weight.data(), wide, LANES}, rows, 3 * wide, dh.data(), wide, wide / LANES);
    rows_product<true>({d_old.data(), 1, 3 * wide}, {before.data(), wide, LANES}, 3 * wide, rows, d_weight.data(), wide, wide / LANES);
  }
  for (int gate = 0; gate < 3; gate++)
    for (int i = 0; i < width; i++) {
      d.bias[gate * width + i] += d_bias[gate * wide + i];
      add_scaled(d.weight + (gate * width + i) * width, d_weight.data() + (gate * wide + i) * wide, 1.f, width);
    }
}

int64_t blocks_of(const Problem& p) { return p.steps ? (p.begin[1] - p.begin[0] + BLOCK - 1) / BLOCK : 0; }

}  // namespace

extern "C" {

void recurrence_forward(const Problem* p, int64_t threads) {
  const int64_t blocks = blocks_of(*p);
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(dynamic)
  for (int64_t block = 0; block < blocks; block++) forward(*p, block * BLOCK);
}

// d->weight and d->bias hold zeros. Shares of the blocks are added in their order: the same sums each time.
void recurrence_backward(const Problem* p, const Gradients* d, int64_t threads) {
  const int64_t blocks = blocks_of(*p), gates = 3 * p->width;
  std::vector<std::vector<float>> weight(threads), bias(threads);
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
  for (int64_t share = 0; share < threads; share++) {
    weight[share].assign(gates * p->width, 0.f), bias[share].assign(gates, 0.f);
    const Gradients own{d->state, d->x, d->attention, weight[share].data(), bias[share].data()};
    for (int64_t block = blocks * share / threads; block < blocks * (share + 1) / threads; block++) backward(*p, own, block * BLOCK);
  }
  for (int64_t share = 0; share < threads; share++) {
    add_scaled(d->weight, weight[share].data(), 1.f, static_cast<int>(weight[share].size()));
    add_scaled(d->bias, bias[share].data(), 1.f, static_cast<int>(gates));
  }
}
}
