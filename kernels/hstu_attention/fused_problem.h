// What the caller passes (cpu.py declares the same structure), and how the work is cut into tasks.
#pragma once
#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "fused_bias.h"

enum Activation : int64_t { SILU = 0, SOFTMAX = 1, BIAS_ALONE = 2 };

// [T, heads, size]; the numbers of a head lie side by side, tokens and heads as far apart as the strides say.
struct Tokens {
    float* data;
    int64_t row, head;

    float* at(int64_t token, int64_t of_head) const { return data + token * row + of_head * head; }
};

struct Problem {
    int64_t segments, heads, size, value_size, activation, threads;
    double alpha;
    const int64_t *offsets, *lo, *hi, *position;
    const uint8_t* bucket;         // of the visible pairs, query by query, with NEAR + LANES bytes of air at both ends
    const int64_t* bucket_offset;  // of query i's pairs in `bucket`
    const uint8_t* own_bucket;     // [T], of each token's own key; null: all are in bucket 0
    const float* inverse;          // [T], 1 / divisor; silu alone
    Tokens q, k, v, out;           // q and k: not with bias alone
    float* lse;                    // [T, heads], log of the sum of exponentials; softmax alone
    BiasTable position_bias, time_bias;
    Tokens grad, dq, dk, dv;  // backward alone
};

// Segments [first, last) of heads [head, end_head). Gradients of tables are summed up task by task and then over tasks in their
// order, so that numbers depend neither on the number of threads nor on which was faster.
struct Task {
    int64_t first, last, head, end_head, work;
};

static int64_t pairs_of(const Problem& p, int64_t segment) {
    int64_t pairs = 0;
    for (int64_t i = p.offsets[segment]; i < p.offsets[segment + 1]; i++) pairs += std::max<int64_t>(p.hi[i] - p.lo[i], 0) + 1;
    return pairs;
}

// Heads stay together, because they can share the biases of a tile, unless there are too few segments to go round, or nothing but
// positions to share and more than a cache holds: `kept` numbers of each key and head are read again for every block of queries.
static std::vector<Task> cut(const Problem& p, int64_t kept) {
    constexpr int64_t TASKS = 64, WORTHWHILE = 32768, FEW = 4, CACHE = 1 << 20;
    std::vector<int64_t> pairs(p.segments);
    int64_t longest = 0;
    for (int64_t s = 0; s < p.segments; s++) {
        pairs[s] = pairs_of(p, s) * p.heads;
        longest = std::max(longest, p.offsets[s + 1] - p.offsets[s]);
    }
    const bool large = !p.time_bias.values && longest * p.heads * kept * int64_t(sizeof(float)) > CACHE;
    const int64_t target = std::max(std::accumulate(pairs.begin(), pairs.end(), int64_t(0)) / TASKS, WORTHWHILE);
    std::vector<Task> tasks;
    for (int64_t s = 0; s < p.segments; s++) {
        if (tasks.empty() || tasks.back().work + pairs[s] > target) tasks.push_back({s, s, 0, p.heads, 0});
        tasks.back().last = s + 1;
        tasks.back().work += pairs[s];
    }
    if ((int64_t(tasks.size()) >= FEW && !large) || p.heads == 1) return tasks;
    std::vector<Task> single;
    for (const Task& task : tasks)
        for (int64_t head = 0; head < p.heads; head++) single.push_back({task.first, task.last, head, head + 1, task.work});
    return single;
}

// Calls work(task number) for all tasks, the largest first. False if memory ran out.
template <class Work>
static bool for_all(const std::vector<Task>& tasks, int64_t threads, Work work) {
    std::vector<int> order(tasks.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return tasks[a].work > tasks[b].work; });
    bool fine = true;
    const auto guarded = [&](int task) {
        try {
            work(task);
        } catch (const std::bad_alloc&) {  // an exception must not leave a parallel region
            __atomic_store_n(&fine, false, __ATOMIC_RELAXED);
        }
    };
#ifdef _OPENMP
    if (threads > 1) {
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
        for (size_t at = 0; at < order.size(); at++) guarded(order[at]);
        return fine;
    }
#endif
    for (int task : order) guarded(task);
    return fine;
}

// Memory that a thread keeps from call to call: fresh pages would cost more than many a small batch.
class Scratch {
   public:
    void start() { used = 0; }

    // n numbers, aligned to a cache line, with a line of air behind them.
    template <class T>
    T* take(int64_t n) {
        if (used == parts.size()) parts.emplace_back();
        std::vector<char>& part = parts[used++];
        const size_t bytes = n * sizeof(T) + 192;
        if (part.size() < bytes) part.resize(bytes);
        return reinterpret_cast<T*>((reinterpret_cast<uintptr_t>(part.data()) + 63) & ~uintptr_t(63));
    }

   private:
    size_t used = 0;
    std::vector<std::vector<char>> parts;
};

// Where a task adds the gradients of biases; null for those that nobody wants.
struct Slots {
    float *position = nullptr, *time = nullptr;
};

// Those of all tasks of a call.
class BiasGradients {
   public:
    BiasGradients(const Tables& of, int64_t count, Scratch& memory) : tables(of), tasks(count) {
        if (of.position.table.wants_gradient()) sums.position = memory.take<float>(of.position.numbers() * tasks);
        if (of.time.table.wants_gradient()) sums.time = memory.take<float>(of.time.numbers() * tasks);
    }

    // Of one task, as zeros.
    Slots begin(int64_t task) const {
        return {zeros(sums.position, tables.position.numbers(), task), zeros(sums.time, tables.time.numbers(), task)};
    }

    void give() const {
        if (sums.position) tables.position.give(sums.position, tasks);
        if (sums.time) tables.time.give(sums.time, tasks);
    }

   private:
    static float* zeros(float* first, int64_t numbers, int64_t task) {
        if (first) clear(first + task * numbers, numbers);
        return first ? first + task * numbers : nullptr;
    }

    const Tables& tables;
    int64_t tasks;
    Slots sums;
};
