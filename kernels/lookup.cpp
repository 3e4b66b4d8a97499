// Rows of embedding tables, summed into the rows of an output: gathering, pooling and multi-valued fields are one loop.
// For token t of a part:  out[row_t] += weight_t * mean of table[ids of t]; the backward pass runs the same loop the other way.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace {

struct Part {
  const int64_t* ids;
  const int64_t* offsets;  // values of token t: ids[offsets[t]] up to ids[offsets[t + 1]]; null: ids[t] alone
  const int64_t* row;      // null: token t belongs to row t
  const float* weight;     // null: 1
  int64_t tokens;
  int64_t table;           // which table
  int64_t table_rows;
  int64_t column;          // where its vectors begin in a row of the output
};

constexpr int64_t BLOCK = 256;  // tokens of all parts in turn, so that rows of the output are still in the cache for the next part

// Sizes that occur are compiled with a fixed length, so that a vector is a few instructions; 0 stands for any other.
template <int DIM> inline void add(float* __restrict to, const float* __restrict from, float weight, int dim) {
  for (int i = 0; i < (DIM ? DIM : dim); i++) to[i] += weight * from[i];
}

constexpr int64_t AHEAD = 12, LARGE = 1 << 15;  // rows of a large table lie anywhere in memory, where the processor does not guess them

// Calls visit(row of the output, row of the table, weight) for every value of tokens [from, to); false if an id is not in the table.
// Of a large table with one value a token, `rows` [table_rows][dim] at tokens to come is fetched.
template <class Visit> inline bool each(const Part& p, int64_t from, int64_t to, const float* rows, int64_t dim, Visit visit) {
  const bool fetch = rows && !p.offsets && p.table_rows > LARGE;
  for (int64_t t = from; t < std::min(to, p.tokens); t++) {
    if (fetch && t + AHEAD < p.tokens)
      for (int64_t at = 0; at < dim; at += 16) __builtin_prefetch(rows + p.ids[t + AHEAD] * dim + at);
    const int64_t row = p.row ? p.row[t] : t, first = p.offsets ? p.offsets[t] : t, end = p.offsets ? p.offsets[t + 1] : t + 1;
    if (first == end) continue;
    const float weight = (p.weight ? p.weight[t] : 1.f) / static_cast<float>(end - first);
    for (int64_t at = first; at < end; at++) {
      const int64_t id = p.ids[at];
      if (id < 0 || id >= p.table_rows) return false;
      visit(row, id, weight);
    }
  }
  return true;
}

int64_t longest(const Part* part, int64_t parts) {
  int64_t tokens = 0;
  for (int64_t p = 0; p < parts; p++) tokens = std::max(tokens, part[p].tokens);
  return tokens;
}

// Parts whose columns lie in [from, to); returns the part that has an id outside its table, or -1.
template <int DIM>
int64_t forward(const Part* part, int64_t parts, const float* const* tables, float* out, int64_t rows, int64_t width, int dim, int64_t from, int64_t to) {
  bool in_place = true;
  for (int64_t p = 0; p < parts; p++) in_place = in_place && !part[p].row;
  auto clear = [&](int64_t first, int64_t end) {
    for (int64_t r = first; r < end; r++) std::memset(out + r * width + from, 0, (to - from) * sizeof(float));
  };
  if (!in_place) clear(0, rows);
  for (int64_t block = 0; block < std::max(longest(part, parts), in_place ? rows : 0); block += BLOCK) {
    if (in_place) clear(block, std::min(block + BLOCK, rows));
    for (int64_t p = 0; p < parts; p++) {
      if (part[p].column < from || part[p].column >= to) continue;
      const float* table = tables[part[p].table];
      float* column = out + part[p].column;
      const bool valid = each(part[p], block, block + BLOCK, table, dim, [&](int64_t row, int64_t id, float weight) {
        add<DIM>(column + row * width, table + id * dim, weight, dim);
      });
      if (!valid) return p;
    }
  }
  return -1;
}

// Gradients of tables [from, to); one without a gradient is null.
template <int DIM>
void backward(const Part* part, int64_t parts, const float* grad, float* const* d_tables, int64_t width, int dim, int64_t from, int64_t to) {
  for (int64_t block = 0; block < longest(part, parts); block += BLOCK)
    for (int64_t p = 0; p < parts; p++) {
      float* table = d_tables[part[p].table];
      if (part[p].table < from || part[p].table >= to || !table) continue;
      const float* column = grad + part[p].column;
      each(part[p], block, block + BLOCK, table, dim, [&](int64_t row, int64_t id, float weight) {
        add<DIM>(table + id * dim, column + row * width, weight, dim);
      });
    }
}

// Calls run with the length of a vector as a constant.
template <class Run> auto sized(int64_t dim, Run run) {
  switch (dim) {
    case 4: return run(std::integral_constant<int, 4>{});
    case 8: return run(std::integral_constant<int, 8>{});
    case 16: return run(std::integral_constant<int, 16>{});
    case 32: return run(std::integral_constant<int, 32>{});
    case 64: return run(std::integral_constant<int, 64>{});
    default: return run(std::integral_constant<int, 0>{});
  }
}

}  // namespace

extern "C" {

// Fills out [rows][width]; a slot belongs to one thread. Returns a part that has an id outside its table, or -1.
int64_t lookup_forward(int64_t parts, const Part* part, const float* const* tables, float* out, int64_t rows, int64_t width, int64_t dim, int64_t threads) {
  int64_t bad = -1;
  const int64_t slots = width / dim, shares = std::min(threads, slots);
#pragma omp parallel for num_threads(shares) if (shares > 1) schedule(static) reduction(max : bad)
  for (int64_t share = 0; share < shares; share++) {
    const int64_t from = slots * share / shares * dim, to = slots * (share + 1) / shares * dim;
    bad = std::max(bad, sized(dim, [&](auto size) {
      return forward<size.value>(part, parts, tables, out, rows, width, static_cast<int>(dim), from, to);
    }));
  }
  return bad;
}

// Numbers the rows that ids read: writes them to `rows`, each once, and the number of each id's row to `numbers`; returns how many
// rows there are if `found` had been before. place: [table_rows], the number of a row, -1 of one without. An id that no token has
// may be anything.
int64_t lookup_number(int64_t count, const int64_t* ids, int64_t table_rows, int32_t* place, int64_t found, int64_t* rows, int64_t* numbers) {
  const auto inside = [&](int64_t id) { return id >= 0 && id < table_rows; };
  for (int64_t i = 0; i < count; i++) {
    if (i + AHEAD < count && inside(ids[i + AHEAD])) __builtin_prefetch(place + ids[i + AHEAD], 1);
    numbers[i] = -1;
    if (!inside(ids[i])) continue;
    if (place[ids[i]] < 0) place[ids[i]] = static_cast<int32_t>(found), rows[found++] = ids[i];
    numbers[i] = place[ids[i]];
  }
  return found;
}

void lookup_forget(int64_t count, const int64_t* rows, int32_t* place) {
  for (int64_t i = 0; i < count; i++) place[rows[i]] = -1;
}

// d_tables [count] hold zeros; a table belongs to one thread, so that its sums keep their order.
void lookup_backward(int64_t parts, const Part* part, const float* grad, float* const* d_tables, int64_t count, int64_t width, int64_t dim,
                     int64_t threads) {
  const int64_t shares = std::min(threads, count);
#pragma omp parallel for num_threads(shares) if (shares > 1) schedule(static)
  for (int64_t share = 0; share < shares; share++)
    sized(dim, [&](auto size) {
      backward<size.value>(part, parts, grad, d_tables, width, static_cast<int>(dim), count * share / shares, count * (share + 1) / shares);
      return 0;
    });
}
}
