// AdamW over the rows of a table that a step touches. What the other rows miss is made up for when they are next read.
//
// A row without gradients from step s to t = s + k would go through  m <- b1 m,  v <- b2 v,  p <- d p - lr m^ / (sqrt(v^) + eps).
// With c(j) = sqrt(1 - b2^j) / (1 - b1^j) and r = b1 / (sqrt(b2) d), the sum of these steps is
//   p_t = d^k (p - lr m / sqrt(v) (F(s) - r^k F(t))),   F(s) = sum over i >= 1 of r^i c(s + i),
// but for eps, whose share is taken as it stands in the middle of them. Early in training that share changes from step to step, and
// the sum is taken term by term.
#include <algorithm>
#include <cmath>
#include <cstdint>

#include "simd.h"

namespace {

struct Table {
  float *weight, *mean, *square;  // [rows][dim]
  int32_t* last;                  // [rows]: the step up to which a row is current
  int64_t rows, dim;
};

struct Rule {
  double lr, decay, beta1, beta2, eps;  // decay: what is left of a weight after a step, 1 - lr * weight_decay
  const double* series;                 // F(0), F(1), ...
  const double *beta1_power, *beta2_power, *decay_power, *ratio_power;  // [k]
};

constexpr int64_t EARLY = 100, TERMS = 64;  // steps of training; missed steps of a row, at the most, whose terms are added up

// LANES numbers of a row.
struct Lanes {
  Floats weight, mean, square;
};

INLINE Floats part(const float* from, int count) {
  if (count == LANES) return load(from);
  float padded[LANES] = {};
  std::copy(from, from + count, padded);
  return load(padded);
}

INLINE void put(float* to, Floats x, int count) {
  if (count == LANES) return store(to, x);
  float padded[LANES];
  store(padded, x);
  std::copy(padded, padded + count, to);
}

// Calls change(lanes, column, count) for all numbers of a row, LANES at a time; beyond the end of the row are zeros.
template <class Change> INLINE void each(const Table& t, int64_t row, Change change) {
  for (int64_t column = 0; column < t.dim; column += LANES) {
    const int count = static_cast<int>(std::min<int64_t>(LANES, t.dim - column));
    const int64_t at = row * t.dim + column;
    Lanes lanes{part(t.weight + at, count), part(t.mean + at, count), part(t.square + at, count)};
    change(lanes, column, count);
    put(t.weight + at, lanes.weight, count), put(t.mean + at, lanes.mean, count), put(t.square + at, lanes.square, count);
  }
}

INLINE Floats root(Floats x) {
  float lanes[LANES];
  store(lanes, x);
  for (int lane = 0; lane < LANES; lane++) lanes[lane] = std::sqrt(lanes[lane]);
  return load(lanes);
}

// What the early steps of training have of their own, for each of them and for each number of missed steps.
struct Early {
  float moved[EARLY + TERMS + 1], eps[EARLY + TERMS + 1];  // lr c(t); eps sqrt(1 - b2^t)
  float ratio[TERMS + 2], root[TERMS + 2];                 // r^i; b2^(-i / 2)

  Early(const Rule& rule, int64_t last) {
    for (int64_t t = 1; t <= std::min(last + 1, EARLY + TERMS); t++) {
      const double left = std::sqrt(1 - rule.beta2_power[t]);
      moved[t] = static_cast<float>(rule.lr * left / (1 - rule.beta1_power[t])), eps[t] = static_cast<float>(rule.eps * left);
    }
    for (int64_t i = 1; i <= std::min(last, TERMS) + 1; i++)
      ratio[i] = static_cast<float>(rule.ratio_power[i]), root[i] = static_cast<float>(1 / std::sqrt(rule.beta2_power[i]));
  }
};

// p_t = d^k (p - m sum over i = 1 .. k of lr c(s + i) r^i / (sqrt(v) + eps sqrt((1 - b2^(s + i)) / b2^i)))
void catch_up_early(const Table& t, const Rule& rule, const Early& early, int64_t row, int64_t k) {
  const int64_t from = t.last[row];
  const float left = static_cast<float>(rule.decay_power[k]);
  const float b1 = static_cast<float>(rule.beta1_power[k]), b2 = static_cast<float>(rule.beta2_power[k]);
  t.last[row] += static_cast<int32_t>(k);
  each(t, row, [&](Lanes& p, int64_t, int) {
    const Floats x = root(p.square);
    Floats sum = {};
    for (int64_t i = 1; i <= k; i += 2) {  // two terms over one denominator: divisions are what takes the time
      const float one = early.moved[from + i] * early.ratio[i], two = i < k ? early.moved[from + i + 1] * early.ratio[i + 1] : 0.f;
      const Floats x1 = x + early.eps[from + i] * early.root[i], x2 = x + early.eps[from + i + 1] * early.root[i + 1];
      sum += (one * x2 + two * x1) / (x1 * x2);
    }
    p.weight = left * (p.weight - p.mean * sum), p.mean *= b1, p.square *= b2;
  });
}

void catch_up(const Table& t, const Rule& rule, const Early& early, int64_t row, int64_t step) {
  if (t.last[row] > 0 && t.last[row] < EARLY && t.last[row] < step)
    catch_up_early(t, rule, early, row, std::min(step - t.last[row], TERMS));
  const int64_t from = t.last[row], k = step - from;
  if (k <= 0) return;
  t.last[row] = static_cast<int32_t>(step);
  const float left = static_cast<float>(rule.decay_power[k]);
  if (from > 0) {
    const float b1 = static_cast<float>(rule.beta1_power[k]), b2 = static_cast<float>(rule.beta2_power[k]);
    const float moved = static_cast<float>(rule.lr * (rule.series[from] - rule.ratio_power[k] * rule.series[step]));
    const int64_t middle = static_cast<int64_t>(std::min((k + 1) / 2., 1 / (1 - rule.ratio_power[1])));
    const float eps = static_cast<float>(rule.eps * std::sqrt((1 - rule.beta2_power[from + middle]) / rule.beta2_power[middle]));
    each(t, row, [&](Lanes& p, int64_t, int) {
      p.weight = left * (p.weight - moved * p.mean / (root(p.square) + eps)), p.mean *= b1, p.square *= b2;
    });
  } else if (left != 1.f) {
    for (float *weight = t.weight + row * t.dim, *end = weight + t.dim; weight < end; weight++) *weight *= left;
  }
}

constexpr int64_t AHEAD = 12;  // rows: they lie anywhere in memory, where the processor does not guess them

void fetch(const Table& t, int64_t row) {
  __builtin_prefetch(t.last + row);
  for (const float* of : {t.weight, t.mean, t.square})
    for (int64_t at = 0; at < t.dim; at += 16) __builtin_prefetch(of + row * t.dim + at);
}

}  // namespace

extern "C" {

// A row that is not in the table is left to the lookup that follows, which names it.
void row_adam_catch_up(const Table* t, const Rule* rule, int64_t count, const int64_t* rows, int64_t step) {
  const Early early(*rule, step);
  const auto inside = [&](int64_t i) { return rows[i] >= 0 && rows[i] < t->rows; };
  for (int64_t i = 0; i < count; i++) {
    if (i + AHEAD < count && inside(i + AHEAD)) fetch(*t, rows[i + AHEAD]);
    if (inside(i)) catch_up(*t, *rule, early, rows[i], step);
  }
}

void row_adam_catch_up_all(const Table* t, const Rule* rule, int64_t step) {
  const Early early(*rule, step);
  for (int64_t row = 0; row < t->rows; row++) catch_up(*t, *rule, early, row, step);
}

// Adds gradients [count][dim] of rows, each once, to `sums`, whose `found` rows belong to `unique`; returns the new number of rows.
// place: [rows of the table], where a row stands in `sums`, else -1.
int64_t row_adam_collect(int64_t count, int64_t dim, const int64_t* rows, const float* gradients, int32_t* place, int64_t* unique, float* sums, int64_t found) {
  for (int64_t i = 0; i < count; i++) {
    const float* from = gradients + i * dim;
    if (i + AHEAD < count) __builtin_prefetch(place + rows[i + AHEAD], 1);
    if (place[rows[i]] < 0) {
      copy(sums + found * dim, from, static_cast<int>(dim));
      place[rows[i]] = static_cast<int32_t>(found), unique[found++] = rows[i];
    } else {
      add_scaled(sums + place[rows[i]] * dim, from, 1.f, static_cast<int>(dim));
    }
  }
  return found;
}

void row_adam_forget(int64_t count, const int64_t* rows, int32_t* place) {
  for (int64_t i = 0; i < count; i++) place[rows[i]] = -1;
}

// Step `step` (1, 2, ...) of rows that are current up to the step before, each once.
void row_adam_step(const Table* t, const Rule* rule, int64_t count, const int64_t* rows, const float* gradients, int64_t step) {
  const float new1 = static_cast<float>(1 - rule->beta1), new2 = static_cast<float>(1 - rule->beta2);
  const float b2 = static_cast<float>(rule->beta2), left = static_cast<float>(rule->decay);
  const float rate = static_cast<float>(rule->lr / (1 - rule->beta1_power[step]));
  const float scale = static_cast<float>(1 / std::sqrt(1 - rule->beta2_power[step])), eps = static_cast<float>(rule->eps);
  for (int64_t i = 0; i < count; i++) {
    if (i + AHEAD < count) fetch(*t, rows[i + AHEAD]);
    t->last[rows[i]] = static_cast<int32_t>(step);
    each(*t, rows[i], [&](Lanes& p, int64_t column, int size) {
      const Floats g = part(gradients + i * t->dim + column, size);
      p.mean += new1 * (g - p.mean);
      p.square = b2 * p.square + new2 * g * g;
      p.weight = left * p.weight - rate * p.mean / (root(p.square) * scale + eps);
    });
  }
}
}
