// Learned biases in the layouts that pairs of queries and keys read, and their gradients back in the layout of the caller.
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

    bool wants_gradient() const { return values && gradient; }
};

// A table over relative positions: [heads][width], positions descend and both ends are repeated. Keys whose positions count up by
// one then read neighbouring numbers, in vectors that may hang over an end.
class PositionTable {
   public:
    explicit PositionTable(const BiasTable& of) : table(of), positions(of.values ? of.rows : 0), width(positions + 2 * LANES) {
        values.resize(numbers());
        each_place([&](int64_t at, int64_t row) { values[at] = of.values[row]; });
    }

    int64_t numbers() const { return positions ? table.heads * width : 0; }
    int64_t of_head(int64_t head) const { return table.heads > 1 ? head * width : 0; }

    // Where the pair of a token with itself reads.
    int64_t own() const { return positions - 1 + LANES; }

    // Sums of the gradients of `tasks` tasks, in their order, in double precision; `sums`: [tasks][numbers].
    void give(const float* sums, int64_t tasks) const {
        std::vector<double> total(table.heads * positions);
        each_place([&](int64_t at, int64_t row) {
            for (int64_t task = 0; task < tasks; task++) total[row] += sums[task * numbers() + at];
        });
        std::copy(total.begin(), total.end(), table.gradient);
    }

    const BiasTable& table;
    const int64_t positions, width;
    std::vector<float> values;

   private:
    // Calls visit(place here, place in the caller's table) for all numbers.
    template <class Visit> void each_place(Visit visit) const {
        if (!positions) return;
        for (int64_t head = 0; head < table.heads; head++)
            for (int64_t at = 0; at < width; at++)
                visit(head * width + at, head * positions + std::clamp<int64_t>(positions - 1 + LANES - at, 0, positions - 1));
    }
};

// A table over time buckets: [heads][LINES], the last row repeated. Gradients have a place for each bucket and lane, so that
// neighbours in one bucket do not wait for each other.
class TimeTable {
   public:
    static constexpr int LINES = 96;  // more than there are buckets; in the largest vectors, six registers

    explicit TimeTable(const BiasTable& of) : table(of), heads(of.values ? of.heads : 0) {
        values.resize(heads * LINES);
        each_line([&](int64_t line, int64_t row) { values[line] = of.values[row]; });
    }

    int64_t numbers() const { return heads * LINES * LANES; }
    int64_t of_head(int64_t head) const { return heads > 1 ? head * LINES : 0; }

    void give(const float* sums, int64_t tasks) const {
        std::vector<double> total(heads * table.rows);
        each_line([&](int64_t line, int64_t row) {
            double of_lane[LANES] = {};
            for (int64_t task = 0; task < tasks; task++)
                for (int lane = 0; lane < LANES; lane++) of_lane[lane] += sums[task * numbers() + line * LANES + lane];
            for (double one : of_lane) total[row] += one;
        });
        std::copy(total.begin(), total.end(), table.gradient);
    }

    const BiasTable& table;
    const int64_t heads;
    std::vector<float> values;

   private:
    template <class Visit> void each_line(Visit visit) const {
        for (int64_t head = 0; head < heads; head++)
            for (int64_t line = 0; line < LINES; line++) visit(head * LINES + line, head * table.rows + std::min(line, table.rows - 1));
    }
};

// What a call has of both.
struct Tables {
    PositionTable position;
    TimeTable time;

    Tables(const BiasTable& of_positions, const BiasTable& of_times) : position(of_positions), time(of_times) {}
    bool any() const { return position.positions || time.heads; }
};
