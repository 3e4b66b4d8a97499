// Learned biases of a tile: which row of which table each pair of a query and a key reads, the sum, and its gradient.
#pragma once
#include <algorithm>
#include <vector>

#include "../simd.h"

// A table over relative positions, over time buckets, or over both (row p * buckets + b). With both in one, a pair costs one
// look-up and one addition to the gradient instead of two; the caller joins them as long as the joint table fits a cache.
struct Lookup {
    const float* table;  // [heads][rows]
    float* gradient;     // the same shape, or null if nobody wants it
    int64_t heads;       // 1: all heads share it
    int64_t rows;
    int64_t positions;  // relative positions beyond the last use the last; 0: the table knows no positions
    int64_t buckets;    // 0: the table knows no times
};

// A query's own key lies in one row with the others that it sees if it is at most as many keys away.
constexpr int NEAR = 2 * LANES;

// What a query sees, in keys of its segment: [lo, hi) and its own key; and whole vectors that hold them.
struct Row {
    int lo, hi, own;
    int from, to;
    bool apart;  // its own key is not NEAR, and [from, to) holds the others alone
    int position;
    const uint8_t* bucket;  // of key j at bucket[j], for lo <= j < hi
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

// One lookup during one task. Keys whose positions count up by one, as they do where no two tokens are tied, read neighbouring
// rows of the table backwards: `reversed` makes that one vector load instead of LANES single ones.
class Bias {
   public:
    // `slot`: where this task adds its gradients, [heads][rows], or null.
    void start(const Lookup& of, float* slot) {
        lookup = &of;
        gradient = slot;
        runs = of.positions > 0 && of.buckets == 0;
        if (!runs) return;
        width = of.rows + 2 * LANES;
        reversed.resize(of.heads * width);
        for (int64_t head = 0; head < of.heads; head++)
            for (int64_t at = 0; at < width; at++) reversed[head * width + at] = of.table[head * of.rows + row_of(at)];
        reversed_gradient.assign(slot ? of.heads * width : 0, 0.f);
    }

    // `counting`: positions of the segment's `keys` count up by one from first to last, and no query sees what comes after it.
    void segment(const int* key_position, const uint8_t* key_run, bool counting, int keys) {
        position = key_position;
        run = key_run;
        straight = runs && counting && keys <= lookup->rows;
    }

    // Biases of a row as they lie in memory, that of key j at [j]; null if they must be looked up.
    const float* in_place(const Row& row, int64_t head) const {
        return straight ? &reversed[of_head(head) * width] + first_reversed(row) : nullptr;
    }

    float own(int64_t head) const { return lookup->table[of_head(head) * lookup->rows]; }
    void add_own(int64_t head, float step) { gradient[of_head(head) * lookup->rows] += step; }
    bool wants_gradient() const { return gradient != nullptr; }

    // index[c - base] of the row's vectors that are no run. A query's own key reads the first row.
    void find(const Row& row, int32_t* index, int base) const {
        for (int c = row.from; c < row.to; c += LANES)
            if (!(runs && run[c / LANES])) *reinterpret_cast<Ints*>(index + c - base) = rows_of(row, c);
        if (lookup->buckets && !row.apart && row.from < row.to) index[row.own - base] = 0;
    }

    // bias[c - base] = or += what the table says.
    void read(const Row& row, int64_t head, const int32_t* index, float* bias, int base, bool add) const {
        const float* table = lookup->table + of_head(head) * lookup->rows;
        for (int c = row.from; c < row.to; c += LANES) {
            Floats value;
            if (runs && run[c / LANES]) {
                value = load(&reversed[of_head(head) * width + reversed_at(row, c)]);
            } else {
                const int32_t* at = index + c - base;
                for (int lane = 0; lane < LANES; lane++) value[lane] = table[at[lane]];
            }
            store(bias + c - base, add ? load(bias + c - base) + value : value);
        }
    }

    // Add the gradients step[c - base] of the biases; zero where the row sees nothing.
    void scatter(const Row& row, int64_t head, const int32_t* index, const float* step, int base) {
        if (straight) {
            float* to = &reversed_gradient[of_head(head) * width] + first_reversed(row);
            for (int c = row.from; c < row.to; c += LANES) store(to + c, load(to + c) + load(step + c - base));
            return;
        }
        float* table = gradient + of_head(head) * lookup->rows;
        for (int c = row.from; c < row.to; c += LANES) {
            const float* from = step + c - base;
            if (runs && run[c / LANES]) {
                float* to = &reversed_gradient[of_head(head) * width + reversed_at(row, c)];
                store(to, load(to) + load(from));
            } else {
                const int32_t* at = index + c - base;
                for (int lane = 0; lane < LANES; lane++) table[at[lane]] += from[lane];
            }
        }
    }

    void finish() {
        for (size_t at = 0; at < reversed_gradient.size(); at++)
            gradient[at / width * lookup->rows + row_of(at % width)] += reversed_gradient[at];
    }

   private:
    int64_t of_head(int64_t head) const { return lookup->heads > 1 ? head : 0; }

    // Row of the table at a place of `reversed`: descending, the ends repeated so that a vector may hang over them.
    int64_t row_of(int64_t at) const { return std::clamp<int64_t>(lookup->rows - 1 + LANES - at, 0, lookup->rows - 1); }

    // Place of the segment's first key, in a straight segment.
    int64_t first_reversed(const Row& row) const { return lookup->rows - 1 + LANES - (row.position - position[0]); }

    int64_t reversed_at(const Row& row, int column) const {
        const int64_t relative = row.position - position[column];
        return std::clamp<int64_t>(lookup->rows - 1 + LANES - relative, 0, width - LANES);
    }

    Ints rows_of(const Row& row, int column) const {
        Ints found = {};
        if (lookup->positions) {
            const Ints relative = row.position - *reinterpret_cast<const Ints*>(position + column);
            found = larger(smaller(relative, all(int32_t(lookup->positions - 1))), Ints{});
        }
        if (lookup->buckets) {
            const Bytes byte = *reinterpret_cast<const Bytes*>(row.bucket + column);
            const Ints bucket = __builtin_convertvector(byte, Ints);
            found = found * int32_t(lookup->buckets) + smaller(bucket, all(int32_t(lookup->buckets - 1)));
        }
        return found;
    }

    const Lookup* lookup = nullptr;
    float* gradient = nullptr;
    const int* position = nullptr;
    const uint8_t* run = nullptr;
    bool runs = false, straight = false;
    int64_t width = 0;
    std::vector<float> reversed, reversed_gradient;
};
