// Learned biases in the layout that pairs of queries and keys read, and their gradients back in the layout of the caller.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "../simd.h"

// As the caller has it: [heads][rows], or [1][rows] if all heads share it.
struct BiasTable {
    const float* values;  // null: there is no such bias
    float* gradient;      // the same shape, or null if nobody wants it
    int64_t heads, rows;
};

// A table over relative positions, over time buckets, or over the sum of both: [heads][buckets][width].
//
// Positions descend and both ends are repeated. Keys whose positions count up by one then read neighbouring numbers, in a vector
// that may hang over an end; and of such keys, those in one bucket read one line. Without positions a line is one number, repeated:
// every lane has a place of its own, to which gradients are added without waiting for each other.
class Lookup {
   public:
    Lookup(const BiasTable* of_positions, const BiasTable* of_times) : by_position(of_positions), by_time(of_times) {
        positions = by_position ? by_position->rows : 0;
        timed = by_time != nullptr;
        buckets = timed ? by_time->rows : 1;
        width = positions ? positions + 2 * LANES : LANES;
        heads = std::max<int64_t>(by_position ? by_position->heads : 1, by_time ? by_time->heads : 1);
        values.resize(numbers());
        for (int64_t head = 0; head < heads; head++)
            for (int64_t bucket = 0; bucket < buckets; bucket++) {
                float* line = &values[(head * buckets + bucket) * width];
                const float more = by_time ? of(by_time, head)[bucket] : 0.f;
                for (int64_t at = 0; at < width; at++) line[at] = more;
                if (!by_position) continue;
                const float* table = of(by_position, head);
                for (int64_t at = 0; at < LANES; at++) line[at] += table[positions - 1], line[positions + LANES + at] += table[0];
                for (int64_t at = 0; at < positions; at++) line[LANES + at] += table[positions - 1 - at];
            }
    }

    int64_t numbers() const { return heads * buckets * width; }
    bool wants_gradient() const { return (by_position && by_position->gradient) || (by_time && by_time->gradient); }

    // Where the pair of a token with itself reads: position 0, bucket 0.
    int64_t own() const { return positions ? positions - 1 + LANES : 0; }

    // Sums of the gradients of `tasks` tasks, in their order, in double precision; `sums`: [tasks][numbers].
    void give(const float* sums, int64_t tasks) const {
        std::vector<double> position_total(by_position ? by_position->heads * positions : 0), line(width);
        std::vector<double> time_total(by_time ? by_time->heads * buckets : 0);
        for (int64_t head = 0; head < heads; head++)
            for (int64_t bucket = 0; bucket < buckets; bucket++) {
                std::fill(line.begin(), line.end(), 0);
                for (int64_t task = 0; task < tasks; task++) {
                    const float* from = sums + task * numbers() + (head * buckets + bucket) * width;
                    for (int64_t at = 0; at < width; at++) line[at] += from[at];
                }
                if (by_time) {
                    double& total = time_total[(by_time->heads > 1 ? head : 0) * buckets + bucket];
                    for (int64_t at = 0; at < width; at++) total += line[at];
                }
                if (!by_position) continue;
                double* total = &position_total[(by_position->heads > 1 ? head : 0) * positions];
                for (int64_t at = 0; at < LANES; at++) total[positions - 1] += line[at], total[0] += line[positions + LANES + at];
                for (int64_t at = 0; at < positions; at++) total[positions - 1 - at] += line[LANES + at];
            }
        if (by_position && by_position->gradient) std::copy(position_total.begin(), position_total.end(), by_position->gradient);
        if (by_time && by_time->gradient) std::copy(time_total.begin(), time_total.end(), by_time->gradient);
    }

    int64_t heads, positions, buckets, width;  // positions: 0 if it knows none
    bool timed;
    std::vector<float> values;

   private:
    static const float* of(const BiasTable* table, int64_t head) {
        return table->values + (table->heads > 1 ? head : 0) * table->rows;
    }

    const BiasTable *by_position, *by_time;
};

// Both in one as long as it fits the inner caches: a pair then costs one addition to a gradient instead of two.
static std::vector<Lookup> lookups_of(const BiasTable& positions, const BiasTable& times) {
    constexpr int64_t JOINT = 16384;
    std::vector<Lookup> found;
    const BiasTable *by_position = positions.values ? &positions : nullptr, *by_time = times.values ? &times : nullptr;
    if (by_position && by_time && positions.rows * times.rows <= JOINT) {
        found.emplace_back(by_position, by_time);
        return found;
    }
    if (by_position) found.emplace_back(by_position, nullptr);
    if (by_time) found.emplace_back(nullptr, by_time);
    return found;
}
