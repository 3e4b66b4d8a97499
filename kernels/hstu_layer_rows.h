// The element-wise parts of an HSTU layer, a row at a time, over rows of whole vectors.
#pragma once
#include <cmath>
#include <vector>

#include "random_bits.h"
#include "simd.h"

constexpr float EPSILON = 1e-6f;  // of both norms
typedef uint16_t Shorts __attribute__((vector_size(LANES * 2), aligned(2), may_alias));

// Rows in scratch memory are an odd number of vectors apart: rows that lie a power of two apart would share few sets of the cache.
// What stands between the end of a row and the end of its last vector is finite and means nothing, but in rows that are normalised
// or that are the gradients of such: there it is zero.
struct Widths {
    int width, vectors, row;           // of D numbers; row: from one row to the next
    int four, four_vectors, four_row;  // of u, v, q, k side by side
    Ints last;                         // lanes of the last vector of D numbers where a number stands
    float share;                       // 1 / D

    explicit Widths(int64_t d)
        : width(int(d)), vectors(whole(width)), row((vectors | 1) * LANES), four(4 * width), four_vectors(whole(four)),
          four_row((four_vectors | 1) * LANES) {
        last = lane_numbers() < all(int32_t(width - (vectors - 1) * LANES));
        share = 1 / float(width);
    }

   private:
    static int whole(int n) { return round_up(n, LANES) / LANES; }
};

// Calls each(place, real) for the vectors of a row of D numbers; real(x) is x with zeros behind the row's end.
template <class Each> INLINE void over_row(const Widths& w, Each each) {
    const int end = (w.vectors - 1) * LANES;
    for (int at = 0; at < end; at += LANES) each(at, [](Floats x) { return x; });
    each(end, [&](Floats x) { return select(w.last, x, Floats{}); });
}

// Rows that were just written are read in the vectors that wrote them: one that lies across two of them would wait for both to
// reach the cache.
INLINE void add_row(const Widths& w, float* to, const float* from) {
    for (int v = 0; v < w.vectors; v++) store(to + v * LANES, load(to + v * LANES) + load(from + v * LANES));
}

// normed = (x - mean) / deviation. Returns 1 / deviation.
INLINE float normalise(const Widths& w, const float* x, float* normed) {
    Floats total = {}, squares = {};
    over_row(w, [&](int at, auto real) { total += real(load(x + at)); });
    const float mean = sum(total) * w.share;
    over_row(w, [&](int at, auto real) {
        const Floats apart = real(load(x + at) - mean);
        store(normed + at, apart);
        squares += apart * apart;
    });
    const float scale = 1 / std::sqrt(sum(squares) * w.share + EPSILON);
    over_row(w, [&](int at, auto) { store(normed + at, load(normed + at) * scale); });
    return scale;
}

// grad of what `normalise` gave -> that of its input, where it lies.
INLINE void differentiate_norm(const Widths& w, const float* normed, float scale, float* grad) {
    Floats total = {}, along = {};
    over_row(w, [&](int at, auto real) {
        const Floats g = real(load(grad + at));
        total += g, along += g * load(normed + at);
    });
    const float middle = sum(total) * w.share, slope = sum(along) * w.share;
    over_row(w, [&](int at, auto) { store(grad + at, (load(grad + at) - middle - load(normed + at) * slope) * scale); });
}

// What dropout multiplies the entries of rows with: 0 or `scale`.
class Mask {
   public:
    Mask(const Widths& widths, uint64_t seed, int64_t threshold, float scale)
        : w(widths), of_seed(seed), below(int32_t(threshold)), factor(all(scale)) {}

    void start(int64_t first_row, int64_t rows) {
        if (!below) return;
        const int64_t begin = first_row * w.width, end = begin + rows * w.width;
        first = begin / 4 * 4;
        bits.resize(end - first + 4 + LANES);
        bits_of_entries(of_seed, first, (end - first + 3) / 4 * 4, bits.data());
        now = begin;
    }

    // Of a vector of the `row`-th row since `start`.
    Floats of(int64_t row, int vector) const {
        if (!below) return all(1.f);
        const Shorts some = *reinterpret_cast<const Shorts*>(&bits[now - first + row * w.width + vector * LANES]);
        return select(__builtin_convertvector(some, Ints) < below, Floats{}, factor);
    }

   private:
    const Widths& w;
    uint64_t of_seed;
    int32_t below;
    Floats factor;
    int64_t first = 0, now = 0;
    std::vector<uint16_t> bits;
};
