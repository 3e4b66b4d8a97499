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

// One lookup during one task.
class Bias {
   public:
    // `slot`: where this task adds its gradients, as the values lie; or null.
    void start(const Lookup& of, float* slot) { lookup = &of, gradient = slot; }

    // `key_run`: whether positions count up by one within a vector of keys. `counting`: they do so from the segment's first of its
    // `keys` to its last, and no query sees what comes after it.
    void segment(const int* key_position, const uint8_t* key_run, bool counting, int keys) {
        position = key_position;
        run = key_run;
        straight = lookup->positions && !lookup->timed && counting && keys <= lookup->positions;
    }

    // Biases of a row as they lie in memory, that of key j at [j]; null if they must be looked up.
    const float* in_place(const Row& row, int64_t head) const { return straight ? values(head) + first_of(row) : nullptr; }

    float own(int64_t head) const { return values(head)[lookup->own()]; }
    void add_own(int64_t head, float step) { gradient[of_head(head) + lookup->own()] += step; }
    bool wants_gradient() const { return gradient != nullptr; }

    // bias[c - base] = or += what the table says.
    void read(const Row& row, int64_t head, float* bias, int base, bool add) const {
        const float* table = values(head);
        const auto keep = [&](int c, Floats value) INLINED {
            store(bias + c - base, add ? load(bias + c - base) + value : value);
        };
        visit(
            row,
            [&](int c, int64_t first, int64_t last, Ints of_first) INLINED {
                keep(c, select(of_first, load(table + first), load(table + last)));
            },
            [&](int c, const int32_t* place) INLINED {
                Floats value;
                for (int lane = 0; lane < LANES; lane++) value[lane] = table[place[lane]];
                keep(c, value);
            });
    }

    // Add the gradients step[c - base] of the biases; zero where the row sees nothing.
    void scatter(const Row& row, int64_t head, const float* step, int base) {
        float* table = gradient + of_head(head);
        if (straight) {
            float* to = table + first_of(row);
            for (int c = row.from; c < row.to; c += LANES) store(to + c, load(to + c) + load(step + c - base));
            return;
        }
        visit(
            row,
            [&](int c, int64_t first, int64_t last, Ints of_first) INLINED {
                const Floats value = load(step + c - base);
                store(table + first, load(table + first) + select(of_first, value, Floats{}));
                store(table + last, load(table + last) + select(of_first, Floats{}, value));
            },
            [&](int c, const int32_t* place) INLINED {
                for (int lane = 0; lane < LANES; lane++) table[place[lane]] += step[c - base + lane];
            });
    }

   private:
    int64_t of_head(int64_t head) const { return lookup->heads > 1 ? head * lookup->buckets * lookup->width : 0; }
    const float* values(int64_t head) const { return lookup->values.data() + of_head(head); }

    // Place of the segment's first key, in a straight segment.
    int64_t first_of(const Row& row) const { return lookup->own() - (row.position - position[0]); }

    // Calls lines(column, place of the first key in one line, in another, lanes of the first) for vectors of the row whose keys lie
    // in at most two buckets, which they do but for the latest; singly(column, place of each key) for others.
    template <class Lines, class Singly>
    INLINED void visit(const Row& row, Lines lines, Singly singly) const {
        const int64_t width = lookup->width;
        for (int c = row.from; c < row.to; c += LANES) {
            const bool counts = !lookup->positions || run[c / LANES];
            const int64_t start = lookup->positions ? std::clamp<int64_t>(lookup->own() - (row.position - position[c]), 0, width - LANES) : 0;
            if (counts && !lookup->timed) {
                lines(c, start, start, Ints{});
                continue;
            }
            if (counts && c >= row.lo && c + LANES <= row.hi && !(row.own >= c && row.own < c + LANES)) {
                const uint8_t first = row.bucket[c], last = row.bucket[c + LANES - 1];
                const Bytes bytes = *reinterpret_cast<const Bytes*>(row.bucket + c);
                if (none((bytes != (first - Bytes{})) & (bytes != (last - Bytes{})))) {
                    const Ints bucket = __builtin_convertvector(bytes, Ints);
                    lines(c, line(first) + start, line(last) + start, bucket == all(int32_t(first)));
                    continue;
                }
            }
            int32_t place[LANES];
            *reinterpret_cast<Ints*>(place) = places(row, c);
            singly(c, place);
        }
    }

    int64_t line(uint8_t bucket) const { return std::min<int64_t>(bucket, lookup->buckets - 1) * lookup->width; }

    // A query's own key reads bucket 0. Lanes that are not seen read anything.
    Ints places(const Row& row, int column) const {
        Ints found = lane_numbers();
        if (lookup->positions) {
            const Ints relative = row.position - *reinterpret_cast<const Ints*>(position + column);
            found = int32_t(lookup->own()) - larger(smaller(relative, all(int32_t(lookup->positions - 1))), Ints{});
        }
        if (lookup->timed) {
            const Bytes byte = *reinterpret_cast<const Bytes*>(row.bucket + column);
            const Ints bucket = smaller(__builtin_convertvector(byte, Ints), all(int32_t(lookup->buckets - 1)));
            found += (lane_numbers() + column == row.own ? Ints{} : bucket) * int32_t(lookup->width);
        }
        return found;
    }

    const Lookup* lookup = nullptr;
    float* gradient = nullptr;
    const int* position = nullptr;
    const uint8_t* run = nullptr;
    bool straight = false;
};
