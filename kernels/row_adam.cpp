// AdamW over the rows of a table that a step touches. What the other rows miss is made up for when they are next read.
//
// A row without gradients from step s to t = s + k would go through  m <- b1 m,  v <- b2 v,  p <- d p - lr m^ / (sqrt(v^) + eps).
// Every step may have a rate lr_j of its own, and with it d_j = 1 - lr_j * weight decay. All of this is linear in p and m / sqrt(v):
//   p_t = L p - M m / sqrt(v),   L = product of d_j,   M = sum over i = 1 .. k of lr_j c(j) r^i product of the d after j,   j = s + i,
// with c(j) = sqrt(1 - b2^j) / (1 - b1^j) and r = b1 / sqrt(b2), but for eps, whose share is taken as it stands in the middle of
// them. row_adam.py carries L and M of every s from step to step. Early in training that share changes from step to step, and the
// sum is taken term by term.
//
// A moving average of the weights, a <- keep a + (1 - keep) p after each step, is linear in them too: with the same sums over
// keep^(t - j) p_j, it is brought up to date together with the row.
#include <algorithm>
#include <cmath>
#include <cstdint>

#include "simd.h"

namespace {

struct Table {
  float *weight, *mean, *square, *average;  // [rows][dim]; average: null if none is kept
  int32_t* last;                            // [rows]: the step up to which a row is current
  int64_t rows, dim;
};

struct Rule {
  double rate, weight_decay, beta1, beta2, eps, keep;  // rate: of the step that is taken
  const double *kept, *moved, *average_kept, *average_moved;  // L, M and their sums for the average, of s = base, base + 1, ...
  const double* rates;                                        // [EARLY + TERMS + 2]: of the first steps, counted from 1
  const double *beta1_power, *beta2_power, *keep_power, *ratio_power;  // [k]
  int64_t base;
};

constexpr int64_t EARLY = 100, TERMS = 64;  // steps of training; missed steps of a row, at the most, whose terms are added up

// LANES numbers of a row.
struct Lanes {
  Floats weight, mean, square, average;
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
    Lanes lanes{part(t.weight + at, count), part(t.mean + at, count), part(t.square + at, count), {}};
    if (t.average) lanes.average = part(t.average + at, count);
    change(lanes, column, count);
    put(t.weight + at, lanes.weight, count), put(t.mean + at, lanes.mean, count), put(t.square + at, lanes.square, count);
    if (t.average) put(t.average + at, lanes.average, count);
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
  double left[EARLY + TERMS + 2];                          // product of d_1 .. d_t
  float moved[EARLY + TERMS + 2], eps[EARLY + TERMS + 2];  // lr_t c(t); eps sqrt(1 - b2^t)
  float ratio[TERMS + 2], root[TERMS + 2];                 // r^i; b2^(-i / 2)

  Early(const Rule& rule, int64_t last) {
    left[0] = 1;
    for (int64_t t = 1; t <= std::min(last, EARLY + TERMS) + 1; t++) {
      const double corrected = std::sqrt(1 - rule.beta2_power[t]);
      left[t] = left[t - 1] * (1 - rule.rates[t] * rule.weight_decay);
      moved[t] = static_cast<float>(rule.rates[t] * corrected / (1 - rule.beta1_power[t])), eps[t] = static_cast<float>(rule.eps * corrected);
    }
    for (int64_t i = 1; i <= std::min(last, TERMS) + 1; i++)
      ratio[i] = static_cast<float>(rule.ratio_power[i]), root[i] = static_cast<float>(1 / std::sqrt(rule.beta2_power[i]));
  }
};

// p_t = L (p - m sum over i = 1 .. k of lr_j c(j) r^i / (sqrt(v) + eps sqrt((1 - b2^j) / b2^i)) / product of d_(s + 1) .. d_j)
void catch_up_early(const Table& t, const Rule& rule, const Early& early, int64_t row, int64_t k) {
  const int64_t from = t.last[row];
  const float b1 = static_cast<float>(rule.beta1_power[k]), b2 = static_cast<float>(rule.beta2_power[k]);
  t.last[row] += static_cast<int32_t>(k);
  if (t.average) {  // every weight on the way is wanted
    const float keep = static_cast<float>(rule.keep), taken = static_cast<float>(1 - rule.keep);
    each(t, row, [&](Lanes& p, int64_t, int) {
      const Floats x = root(p.square);
      for (int64_t i = 1; i <= k; i++) {
        const float left = static_cast<float>(early.left[from + i] / early.left[from + i - 1]);
        const float moved = early.moved[from + i] * early.ratio[i], eps = early.eps[from + i] * early.root[i];
        p.weight = left * p.weight - moved * p.mean / (x + eps), p.average = keep * p.average + taken * p.weight;
      }
      p.mean *= b1, p.square *= b2;
    });
    return;
  }
  float terms[TERMS + 2];
  for (int64_t i = 1; i <= k; i++) terms[i] = static_cast<float>(early.moved[from + i] * early.ratio[i] * early.left[from] / early.left[from + i]);
  const float left = static_cast<float>(early.left[from + k] / early.left[from]);
  each(t, row, [&](Lanes& p, int64_t, int) {
    const Floats x = root(p.square);
    Floats sum = {};
    for (int64_t i = 1; i <= k; i += 2) {  // two terms over one denominator: divisions are what takes the time
      const float one = terms[i], two = i < k ? terms[i + 1] : 0.f;
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
  const int64_t at = from - rule.base;
  const float left = static_cast<float>(rule.kept[at]), keep = static_cast<float>(rule.keep_power[k]);
  const float average_left = static_cast<float>((1 - rule.keep) * rule.average_kept[at]);
  if (from > 0) {
    const float b1 = static_cast<float>(rule.beta1_power[k]), b2 = static_cast<float>(rule.beta2_power[k]);
    const float moved = static_cast<float>(rule.moved[at]);
    const float average_moved = static_cast<float>((1 - rule.keep) * rule.average_moved[at]);
    const int64_t middle = static_cast<int64_t>(std::min((k + 1) / 2., 1 / (1 - rule.ratio_power[1])));
    const float eps = static_cast<float>(rule.eps * std::sqrt((1 - rule.beta2_power[from + middle]) / rule.beta2_power[middle]));
    each(t, row, [&](Lanes& p, int64_t, int) {
      const Floats direction = p.mean / (root(p.square) + eps);
      p.average = keep * p.average + average_left * p.weight - average_moved * direction;
      p.weight = left * p.weight - moved * direction, p.mean *= b1, p.square *= b2;
    });
  } else if (left != 1.f || t.average) {
    for (int64_t i = row * t.dim; i < (row + 1) * t.dim; i++) {
      if (t.average) t.average[i] = keep * t.average[i] + average_left * t.weight[i];
      t.weight[i] *= left;
    }
  }
}

constexpr int64_t AHEAD = 12;  // rows: they lie anywhere in memory, where the processor does not guess them

void fetch(const Table& t, int64_t row) {
  __builtin_prefetch(t.last + row);
  for (const float* of : {t.weight, t.mean, t.square, t.average})
    for (int64_t at = 0; of && at < t.dim; at += 16) __builtin_prefetch(of + row * t.dim + at);
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
  const float b2 = static_cast<float>(rule->beta2), left = static_cast<float>(1 - rule->rate * rule->weight_decay);
  const float keep = static_cast<float>(rule->keep), taken = static_cast<float>(1 - rule->keep);
  const float rate = static_cast<float>(rule->rate / (1 - rule->beta1_power[step]));
  const float scale = static_cast<float>(1 / std::sqrt(1 - rule->beta2_power[step])), eps = static_cast<float>(rule->eps);
  for (int64_t i = 0; i < count; i++) {
    if (i + AHEAD < count) fetch(*t, rows[i + AHEAD]);
    t->last[rows[i]] = static_cast<int32_t>(step);
    each(*t, rows[i], [&](Lanes& p, int64_t column, int size) {
      const Floats g = part(gradients + i * t->dim + column, size);
      p.mean += new1 * (g - p.mean);
      p.square = b2 * p.square + new2 * g * g;
      p.weight = left * p.weight - rate * p.mean / (root(p.square) * scale + eps);
      p.average = keep * p.average + taken * p.weight;
    });
  }
}
}
