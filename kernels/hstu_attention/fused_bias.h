// Biases of a tile: what each pair of a query and a key reads, and its gradient.
#pragma once
#include "fused_tables.h"

// A query's own key lies in one row with the others that it sees if it is at most as many keys away.
constexpr int NEAR = 2 * LANES;

// What a query sees, in keys of its segment: [lo, hi) and its own key; and whole vectors that hold them.
struct Row {
    int lo, hi, own;
    int from, to;
    bool apart;  // its own key is not NEAR, and [from, to) holds the others alone
    int position;
    const uint8_t* bucket;  // of key j at bucket[j], for lo <= j < hi
    int own_bucket;         // of its own key, whatever its byte among those says
};

// Lanes of the vector at `column` that the row sees.
INLINE Ints seen(const Row& row, int column) {
    const Ints key = lane_numbers() + column;
    return ((key >= row.lo) & (key < row.hi)) | (key == row.own);
}

// Every lane; select() then costs nothing.
struct Everything {};
INLINE Floats select(Everything, Floats yes, Floats) { return yes; }

// Calls visit(column, lanes that the row sees) for its vectors.
template <class Visit>
INLINE void each_vector(const Row& row, Visit visit) {
    const int inner = std::max(round_up(row.lo, LANES), row.from), outer = std::max(round_down(row.hi, LANES), inner);
    for (int c = row.from; c < inner; c += LANES) visit(c, seen(row, c));
    for (int c = inner; c < outer; c += LANES) visit(c, Everything{});
    for (int c = outer; c < row.to; c += LANES) visit(c, seen(row, c));
}

// Biases over relative positions during one task.
class PositionBias {
   public:
    // `slot`: where this task adds its gradients, as the values lie; or null.
    void start(const PositionTable& of, float* slot) { table = &of, gradient = slot; }

    // `key_run`: whether positions count up by one within a vector of keys. `counting`: they do so from the segment's first of its
    // `keys` to its last, and no query sees what comes after it.
    void segment(const int* key_position, const uint8_t* key_run, bool counting, int keys) {
        position = key_position, run = key_run;
        straight = counting && keys <= table->positions;
    }

    bool there() const { return table->positions > 0; }
    bool wants_gradient() const { return gradient != nullptr; }

    // Biases of a row as they lie in memory, that of key j at [j]; null if they must be looked up.
    const float* in_place(const Row& row, int64_t head) const { return straight ? values(head) + first_of(row) : nullptr; }

    float own(int64_t head) const { return values(head)[table->own()]; }
    void add_own(int64_t head, float step) { gradient[table->of_head(head) + table->own()] += step; }

    // bias[c - base] of the row's vectors.
    void read(const Row& row, int64_t head, float* bias, int base) const {
        const float* from = values(head);
        for (int c = row.from; c < row.to; c += LANES) {
            if (run[c / LANES]) {
                store(bias + c - base, load(from + place_of(row, c)));
            } else {
                const Ints place = places_of(row, c);
                for (int lane = 0; lane < LANES; lane++) bias[c - base + lane] = from[place[lane]];
            }
        }
    }

    // Add the gradients step[c - base]; zero where the row sees nothing.
    void collect(const Row& row, int64_t head, const float* step, int base) {
        float* to = gradient + table->of_head(head);
        if (straight) {
            to += first_of(row);
            for (int c = row.from; c < row.to; c += LANES) store(to + c, load(to + c) + load(step + c - base));
            return;
        }
        for (int c = row.from; c < row.to; c += LANES) {
            if (run[c / LANES]) {
                float* at = to + place_of(row, c);
                store(at, load(at) + load(step + c - base));
            } else {
                const Ints place = places_of(row, c);
                for (int lane = 0; lane < LANES; lane++) to[place[lane]] += step[c - base + lane];
            }
        }
    }

   private:
    const float* values(int64_t head) const { return table->values.data() + table->of_head(head); }

    // Place of the segment's first key, if the segment is straight.
    int64_t first_of(const Row& row) const { return table->own() - (row.position - position[0]); }

    int64_t place_of(const Row& row, int column) const {
        return std::clamp<int64_t>(table->own() - (row.position - position[column]), 0, table->width - LANES);
    }

    Ints places_of(const Row& row, int column) const {
        const Ints relative = row.position - *reinterpret_cast<const Ints*>(position + column);
        return int32_t(table->own()) - larger(smaller(relative, all(int32_t(table->positions - 1))), Ints{});
    }

    const PositionTable* table = nullptr;
    float* gradient = nullptr;
    const int* position = nullptr;
    const uint8_t* run = nullptr;
    bool straight = false;
};

// Biases over time buckets during one task.
class TimeBias {
   public:
    void start(const TimeTable& of, float* slot) { table = &of, gradient = slot; }

    bool there() const { return table->heads > 0; }
    bool wants_gradient() const { return gradient != nullptr; }
    float own(const Row& row, int64_t head) const { return values(head)[row.own_bucket]; }
    void add_own(const Row& row, int64_t head, float step) { gradient[(table->of_head(head) + row.own_bucket) * LANES] += step; }

    // bias[c - base] = from[c - base], if there is such, plus what the table says.
    void add(const Row& row, int64_t head, const float* from, float* bias, int base) const {
        if (row.from == row.to) return;
        const Registers lines(values(head));
        const float own_bias = row.apart ? 0.f : own(row, head) + (from ? from[row.own - base] : 0.f);
        for (int c = row.from; c < row.to; c += LANES) {
            const Floats value = lines.at(buckets(row, c));
            store(bias + c - base, from ? load(from + c - base) + value : value);
        }
        if (!row.apart) bias[row.own - base] = own_bias;
    }

    // Add the gradients step[c - base]; zero where the row sees nothing. Takes that of the query's own key away.
    void collect(const Row& row, int64_t head, float* step, int base) {
        float* to = gradient + table->of_head(head) * LANES;
        if (!row.apart && row.from < row.to) to[row.own_bucket * LANES] += std::exchange(step[row.own - base], 0.f);
        for (int c = row.from; c < row.to; c += LANES)
            for (int lane = 0; lane < LANES; lane++) to[row.bucket[c + lane] * LANES + lane] += step[c - base + lane];
    }

   private:
    const float* values(int64_t head) const { return table->values.data() + table->of_head(head); }

    static Ints buckets(const Row& row, int column) {
        return __builtin_convertvector(*reinterpret_cast<const Bytes*>(row.bucket + column), Ints);
    }

#if defined(__AVX512F__) && !defined(__clang__)
    // The whole table: a lane looks up in two registers at once.
    struct Registers {
        Floats part[TimeTable::LINES / LANES];

        explicit Registers(const float* from) {
            for (int at = 0; at < TimeTable::LINES / LANES; at++) part[at] = load(from + at * LANES);
        }
        Floats at(Ints line) const {
            const Floats found = __builtin_shuffle(part[0], part[1], line), later = __builtin_shuffle(part[2], part[3], line);
            return select(line < 32, found, select(line < 64, later, __builtin_shuffle(part[4], part[5], line)));
        }
    };
#else
    struct Registers {
        const float* from;

        explicit Registers(const float* values) : from(values) {}
        Floats at(Ints line) const {
            Floats found;
            for (int lane = 0; lane < LANES; lane++) found[lane] = from[line[lane]];
            return found;
        }
    };
#endif

    const TimeTable* table = nullptr;
    float* gradient = nullptr;
};
