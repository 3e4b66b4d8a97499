// The two passes of fused attention over the segments of a task: no logit ever leaves the cache.
//
// A group of ROWS queries is multiplied with the keys that the group can see, a row of logits becomes a row of weights where it
// lies, and the weights are multiplied with the values. The backward pass computes logits again. There, BLOCK queries are taken
// together, so that the gradients of keys and values are read and written once a block.
//
// Keys of a segment are counted from its first token. A token sees an interval of keys and its own key, which may be any distance
// from it: near, it is one more column; far, it stands apart and is treated by itself.
#pragma once
#include "fused_worker.h"

namespace {

class Forward : Worker {
   public:
    using Worker::Worker;

    void run() {
        for (int64_t s = task.first; s < task.last; s++) {
            enter(s);
            each_head([&](int64_t, HeadRows& x) {
                if (p.activation != BIAS_ALONE) x.k_turned = scratch.take<float>(int64_t(keys) * size);
                x.v = scratch.take<float>(int64_t(keys) * wide);
            });
            k_rows = scratch.take<float>(LANES * narrow);
            width = tile_width(1);
            take_tiles(ROWS);
            result = scratch.take<float>(ROWS * wide);
            for (int first = 0; first < n; first += ROWS) forward_group(group_at(first));
        }
    }

   private:
    float* k_rows;  // [LANES][narrow]

    void reach(int key) {
        each_vector_until(key, [&](int64_t h, HeadRows& x) {
            if (p.activation != BIAS_ALONE) prepare(p.k, h, size, k_rows, x.k_turned);
            prepare(p.v, h, value_size, x.v + int64_t(ready) * wide, nullptr);
        });
    }

    void forward_group(const Group& group) {
        const int base = group.from;
        reach(group.to);
        for (int64_t h = task.head; h < task.end_head; h++) {
            const HeadRows& x = rows[h - task.head];
            if (!shared || h == task.head) read_biases(group, 0, h, base);
            if (p.activation != BIAS_ALONE) {
                copy_rows(p.q, h, group.first, group.count, ROWS, size, narrow, queries);
                against(queries, x.k_turned, size, narrow, group, weights, base);
            }
            float own[ROWS];
            for (int r = 0; r < ROWS; r++) {
                float* s = weights + r * width;
                clear_outside(s, group.row[r], group.from, group.to, base);
                const int soon = group.first + AHEAD + r;
                if (p.activation != BIAS_ALONE) fetch(p.q, soon, h, size), fetch(p.k, soon, h, size);
                fetch(p.v, soon, h, value_size);
                fetch<true>(p.out, group.first + r, h, value_size);
                if (r < group.count) own[r] = weigh(group.row[r], h, s, biases_of(group.row[r], r, h, base), base);
            }
            const View right{x.v + int64_t(group.lo) * wide, wide, LANES};
            product<false>({weights + group.lo - base, width, 1}, right, group.hi - group.lo, result, wide, wide / LANES);
            for (int r = 0; r < group.count; r++) {
                const int64_t token = begin + group.first + r;
                if (group.row[r].apart) add_scaled(result + r * wide, p.v.at(token, h), own[r], value_size);
                copy(p.out.at(token, h), result + r * wide, value_size);
            }
        }
    }
};

class Backward : Worker {
   public:
    using Worker::Worker;

    void run() {
        for (int64_t s = task.first; s < task.last; s++) {
            enter(s);
            each_head([&](int64_t, HeadRows& x) {
                x.dv = scratch.take<float>(int64_t(keys) * wide);
                x.v_turned = scratch.take<float>(int64_t(keys) * value_size);
                if (p.activation == BIAS_ALONE) return;
                for (float** one : {&x.k, &x.dk}) *one = scratch.take<float>(int64_t(keys) * narrow);
                x.k_turned = scratch.take<float>(int64_t(keys) * size);
            });
            v_rows = scratch.take<float>(LANES * wide);
            width = tile_width(BLOCK / ROWS);
            take_tiles(BLOCK);
            steps = scratch.take<float>(BLOCK * width);
            collected = scratch.take<float>(BLOCK * width);
            grads = scratch.take<float>(BLOCK * wide);
            result = scratch.take<float>(ROWS * narrow);
            for (int first = 0; first < n; first += BLOCK) backward_block(first);
            reach(keys);
            leave();
        }
    }

   private:
    float* v_rows;  // [LANES][wide]

    // Gradients begin as zeros.
    void reach(int key) {
        each_vector_until(key, [&](int64_t h, HeadRows& x) {
            prepare(p.v, h, value_size, v_rows, x.v_turned);
            clear(x.dv + int64_t(ready) * wide, LANES * wide);
            if (p.activation == BIAS_ALONE) return;
            prepare(p.k, h, size, x.k + int64_t(ready) * narrow, x.k_turned);
            clear(x.dk + int64_t(ready) * narrow, LANES * narrow);
        });
    }

    void backward_block(int first) {
        constexpr int GROUPS = BLOCK / ROWS;
        const int count = std::min(BLOCK, n - first);
        Group group[GROUPS];
        int groups = 0, from = keys, to = 0;
        for (; groups * ROWS < count; groups++) {
            const Group& next = group[groups] = group_at(first + groups * ROWS);
            from = std::min(from, next.from);
            to = std::max(to, next.to);
        }
        reach(std::max(to, round_up(first + count, LANES)));
        for (int64_t h = task.head; h < task.end_head; h++) {
            copy_rows(p.grad, h, first, count, BLOCK, value_size, wide, grads);
            if (p.activation != BIAS_ALONE) copy_rows(p.q, h, first, count, BLOCK, size, narrow, queries);
            for (int at = 0; at < groups; at++) {
                if (!shared || h == task.head) read_biases(group[at], at * ROWS, h, from);
                backward_group(group[at], at * ROWS, h, from, to);
            }
            for (int key = from; key < to; key += ROWS) backward_keys(group, groups, key, h, from);
            if (learning) collect(group, groups, h, from, to);
        }
    }

    void backward_group(const Group& group, int tile_row, int64_t h, int from, int to) {
        const HeadRows& x = rows[h - task.head];
        float *s = weights + tile_row * width, *g = steps + tile_row * width;
        if (p.activation != BIAS_ALONE) against(queries + tile_row * narrow, x.k_turned, size, narrow, group, s, from);
        against(grads + tile_row * wide, x.v_turned, value_size, wide, group, g, from);
        Own own[ROWS];
        for (int r = 0; r < ROWS; r++) {
            const Row& row = group.row[r];
            clear_outside(s + r * width, row, from, to, from);
            clear_outside(g + r * width, row, from, to, from);
            const int soon = group.first + AHEAD + r;
            fetch(p.v, soon, h, value_size), fetch(p.grad, soon, h, value_size);
            if (p.activation != BIAS_ALONE) {
                fetch(p.q, soon, h, size), fetch(p.k, soon, h, size);
                fetch<true>(p.dq, group.first + r, h, size);
            }
            const float* b = biases_of(row, tile_row + r, h, from);
            if (r < group.count) own[r] = differentiate(row, h, s + r * width, g + r * width, b, from);
        }
        if (p.activation != BIAS_ALONE) {
            const View right{x.k + int64_t(group.lo) * narrow, narrow, LANES};
            product<false>({g + group.lo - from, width, 1}, right, group.hi - group.lo, result, narrow, narrow / LANES);
        }
        for (int r = 0; r < group.count; r++) {
            const int i = group.first + r;
            if (group.row[r].apart) add_own(group.row[r], tile_row + r, own[r], h, result + r * narrow);
            if (p.activation != BIAS_ALONE) scaled(p.dq.at(begin + i, h), result + r * narrow, float(p.alpha), size);
        }
    }

    // What a query's own key that stands apart adds to all gradients; to that of the query where it is collected.
    void add_own(const Row& row, int tile_row, const Own& own, int64_t h, float* to_query) {
        const HeadRows& x = rows[h - task.head];
        add_scaled(x.dv + int64_t(row.own) * wide, grads + tile_row * wide, own.weight, value_size);
        if (positions.wants_gradient()) positions.add_own(h, own.step);
        if (times.wants_gradient()) times.add_own(row, h, own.step);
        if (p.activation == BIAS_ALONE) return;
        add_scaled(x.dk + int64_t(row.own) * narrow, queries + tile_row * narrow, own.step, size);
        add_scaled(to_query, p.k.at(begin + row.own, h), own.step, size);
    }

    // Gradients of ROWS keys and values from the block's queries that see any of them.
    void backward_keys(const Group* group, int groups, int key, int64_t h, int from) {
        int first = 0, last = groups;
        while (first < last && (group[first].hi <= key || group[first].lo >= key + ROWS)) first++;
        while (first < last && (group[last - 1].hi <= key || group[last - 1].lo >= key + ROWS)) last--;
        if (first == last) return;
        const HeadRows& x = rows[h - task.head];
        const int row = first * ROWS, depth = (last - first) * ROWS;
        const int64_t at = row * width + key - from;
        float *dk = x.dk + int64_t(key) * narrow, *dv = x.dv + int64_t(key) * wide;
        product<true>({weights + at, 1, width}, {grads + row * wide, wide, LANES}, depth, dv, wide, wide / LANES);
        if (p.activation == BIAS_ALONE) return;
        product<true>({steps + at, 1, width}, {queries + row * narrow, narrow, LANES}, depth, dk, narrow, narrow / LANES);
    }

    // Gradients of biases: heads that share a table are summed up first, so that each pair is looked up once.
    void collect(const Group* group, int groups, int64_t h, int from, int to) {
        float* total = steps;
        if (shared && task.end_head - task.head > 1) {
            for (int r = 0; r < groups * ROWS; r++) {
                float *sum_row = collected + r * width, *step_row = steps + r * width;
                for (int c = 0; c < to - from; c += LANES)
                    store(sum_row + c, h == task.head ? load(step_row + c) : load(sum_row + c) + load(step_row + c));
            }
            if (h + 1 < task.end_head) return;
            total = collected;
        }
        for (int at = 0; at < groups; at++)
            for (int r = 0; r < group[at].count; r++) {
                float* of_row = total + (at * ROWS + r) * width;
                if (positions.wants_gradient()) positions.collect(group[at].row[r], h, of_row, from);
                if (times.wants_gradient()) times.collect(group[at].row[r], h, of_row, from);
            }
    }

    void leave() {
        for (int i = 0; i < n; i++)
            for (int64_t h = task.head; h < task.end_head; h++) {
                const HeadRows& x = rows[h - task.head];
                copy(p.dv.at(begin + i, h), x.dv + int64_t(i) * wide, value_size);
                if (p.activation != BIAS_ALONE) scaled(p.dk.at(begin + i, h), x.dk + int64_t(i) * narrow, float(p.alpha), size);
            }
    }
};

// Of the calling thread.
Scratch& own_scratch() {
    static thread_local Scratch scratch;
    return scratch;
}

}  // namespace
