// AdamW over the rows of a table that a step touches. What the other rows miss is made up for when they are next read.
//
// A row without gradients from step s to t = s + k would go through  m <- b1 m,  v <- b2 v,  p <- d p - lr m^ / (sqrt(v^) + eps).
// With c(j) = sqrt(1 - b2^j) / (1 - b1^j) and r = b1 / (sqrt(b2) d), the sum of these steps is
//   p_t = d^k (p - lr m / sqrt(v) (F(s) - r^k F(t))),   F(s) = sum over i >= 1 of r^i c(s + i),
// but for eps, whose share is taken as it stands in the middle of them. Early in training that share changes from step to step, and
// the first steps are made one by one.
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

constexpr int64_t EARLY = 100, ONE_BY_ONE = 64;  // steps of training; missed steps of a row

// What AdamW does at one step, with gradient `g` or, if it is null, none.
void one_step(const Table& t, const Rule& rule, int64_t row, const float* g, int64_t step) {
  const float new1 = static_cast<float>(1 - rule.beta1), new2 = static_cast<float>(1 - rule.beta2);
  const float b2 = static_cast<float>(rule.beta2), left = static_cast<float>(rule.decay);
  const float rate = static_cast<float>(rule.lr / (1 - rule.beta1_power[step]));
  const float scale = static_cast<float>(1 / std::sqrt(1 - rule.beta2_power[step])), eps = static_cast<float>(rule.eps);
  float *weight = t.weight + row * t.dim, *mean = t.mean + row * t.dim, *square = t.square + row * t.dim;
  t.last[row] = static_cast<int32_t>(step);
  for (int64_t j = 0; j < t.dim; j++) {
    const float gradient = g ? g[j] : 0.f;
    mean[j] += new1 * (gradient - mean[j]);
    square[j] = b2 * square[j] + new2 * gradient * gradient;
    weight[j] = left * weight[j] - rate * mean[j] / (std::sqrt(square[j]) * scale + eps);
  }
}

void catch_up(const Table& t, const Rule& rule, int64_t row, int64_t step) {
  if (t.last[row] > 0 && t.last[row] < EARLY)
    for (const int64_t end = std::min(step, t.last[row] + ONE_BY_ONE); t.last[row] < end;) one_step(t, rule, row, nullptr, t.last[row] + 1);
  const int64_t from = t.last[row], k = step - from;
  if (k <= 0) return;
  t.last[row] = static_cast<int32_t>(step);
  float *weight = t.weight + row * t.dim, *mean = t.mean + row * t.dim, *square = t.square + row * t.dim;
  const float left = static_cast<float>(rule.decay_power[k]);
  if (from > 0) {
    const float b1 = static_cast<float>(rule.beta1_power[k]), b2 = static_cast<float>(rule.beta2_power[k]);
    const float moved = static_cast<float>(rule.lr * (rule.series[from] - rule.ratio_power[k] * rule.series[step]));
    const int64_t middle = static_cast<int64_t>(std::min((k + 1) / 2., 1 / (1 - rule.ratio_power[1])));
    const float eps = static_cast<float>(rule.eps * std::sqrt((1 - rule.beta2_power[from + middle]) / rule.beta2_power[middle]));
    for (int64_t i = 0; i < t.dim; i++) {
      weight[i] = left * (weight[i] - moved * mean[i] / (std::sqrt(square[i]) + eps));
      mean[i] *= b1, square[i] *= b2;
    }
  } else if (left != 1.f) {
    for (int64_t i = 0; i < t.dim; i++) weight[i] *= left;
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
  const auto inside = [&](int64_t i) { return rows[i] >= 0 && rows[i] < t->rows; };
  for (int64_t i = 0; i < count; i++) {
    if (i + AHEAD < count && inside(i + AHEAD)) fetch(*t, rows[i + AHEAD]);
    if (inside(i)) catch_up(*t, *rule, rows[i], step);
  }
}

void row_adam_catch_up_all(const Table* t, const Rule* rule, int64_t step) {
  for (int64_t row = 0; row < t->rows; row++) catch_up(*t, *rule, row, step);
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
  for (int64_t i = 0; i < count; i++) {
    if (i + AHEAD < count) fetch(*t, rows[i + AHEAD]);
    one_step(*t, *rule, rows[i], gradients + i * t->dim, step);
  }
}
}
