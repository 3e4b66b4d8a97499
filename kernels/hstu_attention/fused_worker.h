// One segment of a task with all that both passes need: its rows in the right order, what each query sees, its biases, and how a
// row of logits becomes weights or gradients.
#pragma once
#include <cmath>

#include "fused_problem.h"

constexpr int BLOCK = 4 * ROWS;  // queries that the backward pass takes together
constexpr int AHEAD = BLOCK;     // tokens from what is computed to what begins to be loaded

// Rows of one segment and head in the orders that the products read; a pass has those that it needs.
struct HeadRows {
    float *k_turned, *v_turned;  // panels of LANES keys: [keys / LANES][size][LANES]
    float *k, *v;                // [keys][size rounded up], zeros behind
    float *dk, *dv;              // the same shape
};

// Rows of LANES keys -> a panel.
inline void turn(const float* rows, int size, float* panel) {
    const int padded = round_up(size, LANES);
    for (int d = 0; d < size; d += LANES) {
        Floats block[LANES];
        for (int lane = 0; lane < LANES; lane++) block[lane] = load(rows + lane * padded + d);
        transpose(block);
#pragma GCC unroll 16
        for (int lane = 0; lane < LANES; lane++)
            if (d + lane < size) store(panel + (d + lane) * LANES, block[lane]);
    }
}

inline float* zeros(Scratch& scratch, int64_t n) {
    float* to = scratch.take<float>(n);
    clear(to, n);
    return to;
}

// Queries that are computed together, and the union of what they see; the same in whole vectors.
struct Group {
    int first, count;
    const Row* row;  // ROWS of them: rows that do not exist see nothing
    int lo, hi, from, to;
};

class Worker {
   public:
    // `cached`: the caches hold all rows of the task already.
    Worker(const Problem& problem, const Tables& tables, const Task& of, const Slots& slots, Scratch& memory, bool cached = false)
        : p(problem), task(of), distant(!cached), scratch(memory), size(int(p.size)), value_size(int(p.value_size)),
          wide(round_up(int(p.value_size), LANES)), narrow(round_up(int(p.size), LANES)) {
        positions.start(tables.position, slots.position);
        times.start(tables.time, slots.time);
        biased = tables.any();
        shared = p.position_bias.heads <= 1 && p.time_bias.heads <= 1;
        learning = slots.position || slots.time;
    }

   protected:
    const Problem& p;
    const Task& task;
    const bool distant;
    Scratch& scratch;
    const int size, value_size, wide, narrow;  // narrow, wide: sizes of keys and values rounded up to whole vectors
    bool biased, shared, learning;             // there are biases; all heads have the same; one of them wants a gradient
    PositionBias positions;
    TimeBias times;
    std::vector<HeadRows> rows;
    std::vector<Row> row;  // what each query of the segment sees

    int64_t begin = 0;       // of the segment
    int n = 0, keys = 0;     // its tokens, and the same rounded up
    int ready = 0;           // keys that are prepared
    int64_t width = 0;       // of a row of a tile
    float *biases, *weights, *steps, *collected;  // tiles [rows of a tile][width]: also gradients of logits, those summed over heads
    float *queries, *grads, *result;              // [rows][size rounded up]

    void enter(int64_t segment) {
        begin = p.offsets[segment];
        n = int(p.offsets[segment + 1] - begin);
        keys = round_up(n, LANES);
        ready = 0;
        scratch.start();
        rows.assign(task.end_head - task.head, HeadRows{});
        row.assign(round_up(n, BLOCK), Row{});
        for (int i = 0; i < n; i++) row[i] = row_at(i);
        if (!biased) return;
        int* position = scratch.take<int>(keys);
        uint8_t* run = scratch.take<uint8_t>(keys / LANES);
        for (int j = 0; j < keys; j++) position[j] = j < n ? int(p.position[begin + j]) : position[j - 1] + 1;
        for (int c = 0; c < keys; c += LANES) {
            run[c / LANES] = 1;
            for (int j = c + 1; j < c + LANES; j++) run[c / LANES] &= position[j] == position[j - 1] + 1;
        }
        bool counting = true;
        for (int j = 0; j < n; j++) counting &= row[j].hi <= j + 1 && position[j] - position[0] == j;
        positions.segment(position, run, counting, n);
    }

    // Calls visit(head, its rows) for the heads of the task.
    template <class Visit>
    void each_head(Visit visit) {
        for (int64_t h = task.head; h < task.end_head; h++) visit(h, rows[h - task.head]);
    }

    // The same for every vector of keys up to this key that is not ready yet. A vector of keys is prepared when a query first
    // sees it, so that it is in the caches then.
    template <class Visit>
    void each_vector_until(int key, Visit visit) {
        for (; ready < key; ready += LANES) each_head(visit);
    }

    void take_tiles(int tile_rows) {
        biases = zeros(scratch, tile_rows * width);
        weights = scratch.take<float>(tile_rows * width);
        queries = scratch.take<float>(tile_rows * narrow);
    }

    Row row_at(int i) const {
        // A plan that leaves its segment is an error of the caller; it must not read foreign memory.
        int lo = int(std::clamp<int64_t>(p.lo[begin + i] - begin, 0, n));
        int hi = int(std::clamp<int64_t>(p.hi[begin + i] - begin, lo, n));
        if (lo == hi) lo = hi = i;
        Row row{lo, hi, i, lo, hi, i < lo - NEAR || i >= hi + NEAR, int(p.position[begin + i]), nullptr, 0};
        if (!row.apart) row.from = std::min(lo, i), row.to = std::max(hi, i + 1);
        row.from = round_down(row.from, LANES), row.to = round_up(row.to, LANES);
        if (p.bucket) row.bucket = p.bucket + p.bucket_offset[begin + i] - lo;
        if (p.own_bucket) row.own_bucket = p.own_bucket[begin + i];
        return row;
    }

    Group group_at(int first) const {
        Group group{first, std::min(ROWS, n - first), &row[first], n, 0, 0, 0};
        for (int r = 0; r < group.count; r++) {
            const Row& one = group.row[r];
            group.lo = std::min(group.lo, one.apart ? one.lo : std::min(one.lo, one.own));
            group.hi = std::max(group.hi, one.apart ? one.hi : std::max(one.hi, one.own + 1));
        }
        group.from = round_down(group.lo, LANES), group.to = round_up(group.hi, LANES);
        return group;
    }

    // Keys of the widest tile of some groups, as a row length: an odd number of vectors, because rows that lie a power of two
    // apart would share few sets of the cache.
    int64_t tile_width(int groups) const {
        int widest = 0;
        for (int first = 0; first < n; first += ROWS * groups) {
            int from = keys, to = 0;
            for (int at = first; at < std::min(n, first + ROWS * groups); at += ROWS) {
                const Group group = group_at(at);
                from = std::min(from, group.from);
                to = std::max(to, group.to);
            }
            widest = std::max(widest, to - from);
        }
        return (widest / LANES | 1) * int64_t(LANES);
    }

    // Rows of some tokens side by side, zeros behind and for those that do not exist.
    void copy_rows(const Tokens& x, int64_t head, int first, int count, int tile_rows, int of_size, int padded, float* to) const {
        const int whole = round_down(of_size, LANES);
        // What follows in memory is the next token's, and may be read with the last vector of a row.
        const int64_t followed = x.row + of_size >= padded ? p.offsets[p.segments] - 1 : 0;
        for (int r = 0; r < tile_rows; r++, to += padded) {
            if (r >= count) {
                clear(to, padded);
                continue;
            }
            const float* from = x.at(begin + first + r, head);
            for (int at = 0; at < whole; at += LANES) store(to + at, load(from + at));
            if (whole == padded) continue;
            Floats last = {};
            if (begin + first + r < followed)
                last = select(lane_numbers() < all(int32_t(of_size - whole)), load(from + whole), last);
            else
                for (int at = whole; at < of_size; at++) last[at - whole] = from[at];
            store(to + whole, last);
        }
    }

    // The next LANES keys of a head: rows as they are, and turned if there is a place for it.
    void prepare(const Tokens& x, int64_t head, int of_size, float* to, float* to_turned) const {
        const int padded = round_up(of_size, LANES);
        copy_rows(x, head, ready, n - ready, LANES, of_size, padded, to);
        if (to_turned) turn(to, of_size, to_turned + int64_t(ready) * of_size);
    }

    // Begins to load the row of a token that is needed soon, to be read or overwritten. Rows lie too far apart for the processor
    // to guess the next one, and many at once would wait for each other. Always inlined: a call of a function that does nothing
    // else would be dropped.
    template <bool WRITE = false>
    __attribute__((always_inline)) void fetch(const Tokens& x, int i, int64_t head, int of_size) const {
        if (!distant || begin + i >= p.offsets[p.segments]) return;
        const float* row_of = x.at(begin + i, head);
        for (int at = 0; at < of_size; at += 16) __builtin_prefetch(row_of + at, WRITE);
    }

    // Biases of a row, that of the key `base` first.
    const float* biases_of(const Row& of, int tile_row, int64_t head, int base) const {
        const float* lying = times.there() ? nullptr : positions.in_place(of, head);
        return lying ? lying + base : biases + tile_row * width;
    }

    void read_biases(const Group& group, int tile_row, int64_t head, int base) {
        if (!biased) return;
        for (int r = 0; r < group.count; r++) {
            const Row& of = group.row[r];
            float* tile = biases + (tile_row + r) * width;
            const float* lying = positions.in_place(of, head);
            if (positions.there() && !lying) positions.read(of, head, tile, base);
            if (times.there()) times.add(of, head, lying ? lying + base : positions.there() ? tile : nullptr, tile, base);
        }
    }

    float own_logit(const Row& of, int64_t head) const {
        const int64_t token = begin + of.own;
        float logit = 0;
        if (p.activation != BIAS_ALONE) logit = float(p.alpha) * dot(p.q.at(token, head), p.k.at(token, head), size);
        if (positions.there()) logit += positions.own(head);
        if (times.there()) logit += times.own(of, head);
        return logit;
    }

    // Products of some queries' rows with turned keys or values, for the keys that the group can see.
    void against(const float* left, const float* turned_rows, int depth, int padded, const Group& group, float* tile, int base) {
        const int vectors = (group.to - group.from) / LANES;
        const View right{turned_rows + int64_t(group.from) * depth, LANES, int64_t(depth) * LANES};
        product<false>({left, padded, 1}, right, depth, tile + group.from - base, width, vectors);
    }

    void clear_outside(float* tile_row, const Row& of, int from, int to, int base) const {
        const int left = of.from == of.to ? to : of.from, right = of.from == of.to ? to : of.to;
        clear(tile_row + from - base, left - from);
        clear(tile_row + right - base, to - right);
    }

    // Logits of a row -> weights, where they lie. Returns the weight of the query's own key if that stands apart.
    float weigh(const Row& of, int64_t head, float* s, const float* b, int base) {
        const Floats alpha = all(float(p.alpha));
        const float own = of.apart ? own_logit(of, head) : -INFINITY;
        const auto logit_at = [&](int c) INLINED { return load(s + c - base) * alpha + load(b + c - base); };
        if (p.activation == BIAS_ALONE) {
            each_vector(of, [&](int c, auto lanes) INLINED { store(s + c - base, select(lanes, load(b + c - base), Floats{})); });
            return of.apart ? own : 0.f;
        }
        if (p.activation == SILU) {
            const float inverse = p.inverse[begin + of.own];
            each_vector(of, [&](int c, auto lanes) INLINED {
                const Floats logit = logit_at(c);
                store(s + c - base, select(lanes, logit * sigmoid(logit) * inverse, Floats{}));
            });
            return of.apart ? own / (1 + std::exp(-own)) * inverse : 0.f;
        }
        Floats most = all(own), total = {};
        each_vector(of, [&](int c, auto lanes) INLINED {
            const Floats logit = select(lanes, logit_at(c), all(-INFINITY));
            store(s + c - base, logit);
            most = select(logit > most, logit, most);
        });
        const float top = largest(most);
        each_vector(of, [&](int c, auto lanes) INLINED {
            const Floats weight = select(lanes, exponential(load(s + c - base) - top), Floats{});
            store(s + c - base, weight);
            total += weight;
        });
        const float own_weight = std::exp(own - top), normaliser = sum(total) + own_weight;
        for (int c = of.from; c < of.to; c += LANES) store(s + c - base, load(s + c - base) / normaliser);
        p.lse[(begin + of.own) * p.heads + head] = top + std::log(normaliser);
        return own_weight / normaliser;
    }

    struct Own {
        float weight, step;  // of a query's own key that stands apart: its weight, and the gradient of its logit
    };

    // Logits s and gradients g of a row's weights -> weights and gradients of the logits, where they lie.
    Own differentiate(const Row& of, int64_t head, float* s, float* g, const float* b, int base) {
        const Floats alpha = all(float(p.alpha));
        const int64_t token = begin + of.own;
        const float own = of.apart ? own_logit(of, head) : -INFINITY;
        const float own_grad = of.apart ? dot(p.grad.at(token, head), p.v.at(token, head), value_size) : 0.f;
        const auto logit_at = [&](int c) INLINED { return load(s + c - base) * alpha + load(b + c - base); };
        if (p.activation == BIAS_ALONE) {
            each_vector(of, [&](int c, auto lanes) INLINED {
                store(s + c - base, select(lanes, load(b + c - base), Floats{}));
                store(g + c - base, select(lanes, load(g + c - base), Floats{}));
            });
            return {of.apart ? own : 0.f, own_grad};
        }
        if (p.activation == SILU) {
            const float inverse = p.inverse[token];
            each_vector(of, [&](int c, auto lanes) INLINED {
                const Floats logit = logit_at(c);
                // d SiLU(x) = sigmoid(x) (1 + x (1 - sigmoid(x))): of a large x, 1 + x - SiLU(x) would leave but the rounding of x.
                const Floats gate = sigmoid(logit), weight = select(lanes, gate * inverse, Floats{});
                store(g + c - base, load(g + c - base) * weight * (1.f + logit * (1.f - gate)));
                store(s + c - base, logit * weight);
            });
            if (!of.apart) return {};
            const float gate = 1 / (1 + std::exp(-own));
            return {own * gate * inverse, own_grad * inverse * gate * (1 + own * (1 - gate))};
        }
        const float lse = p.lse[token * p.heads + head], own_weight = std::exp(own - lse);
        Floats total = {};
        each_vector(of, [&](int c, auto lanes) INLINED {
            const Floats weight = select(lanes, exponential(logit_at(c) - lse), Floats{});
            store(s + c - base, weight);
            total += weight * load(g + c - base);
        });
        // d softmax: weight times what the gradient has above the row's weighted mean.
        const float mean = sum(total) + own_weight * own_grad;
        for (int c = of.from; c < of.to; c += LANES) store(g + c - base, load(s + c - base) * (load(g + c - base) - mean));
        return {own_weight, own_weight * (own_grad - mean)};
    }
};
