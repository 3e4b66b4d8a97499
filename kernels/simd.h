// Vectors of floats in the compiler's own notation (GCC and Clang), and the one matrix product that everything is made of.
// No intrinsics: AVX-512, AVX2, SSE and NEON all come from -march=native and the number of lanes below.
#pragma once
#include <cstdint>
#include <cstring>
#include <utility>

#if defined(__AVX512F__)
constexpr int LANES = 16;
constexpr int ROWS = 8;  // rows of a register tile: ROWS x 2 vectors must fit into the registers, 32 here
constexpr int TALL = 8;  // the same where no group of rows must be a power of 2
#elif defined(__AVX2__)
constexpr int LANES = 8;
constexpr int ROWS = 4;  // 16 registers
constexpr int TALL = 6;  // 12 sums, 2 vectors and 1 number: enough sums at once to keep both multipliers busy
#elif defined(__aarch64__)
constexpr int LANES = 4;
constexpr int ROWS = 8;
constexpr int TALL = 8;
#else
constexpr int LANES = 4;
constexpr int ROWS = 4;
constexpr int TALL = 4;
#endif

// aligned(4): any float may be the first of a vector. may_alias: they lie over plain arrays.
typedef float Floats __attribute__((vector_size(LANES * 4), aligned(4), may_alias));
typedef int32_t Ints __attribute__((vector_size(LANES * 4), aligned(4), may_alias));
typedef uint8_t Bytes __attribute__((vector_size(LANES), aligned(1), may_alias));

#define INLINE static inline __attribute__((always_inline))
#define INLINED __attribute__((always_inline))  // of a lambda

INLINE Floats load(const float* from) { return *reinterpret_cast<const Floats*>(from); }
INLINE void store(float* to, Floats x) { *reinterpret_cast<Floats*>(to) = x; }
INLINE Floats all(float x) { return x - Floats{}; }  // x - 0 is x, which compilers know; x + 0 is not for x = -0
INLINE Ints all(int32_t x) { return x - Ints{}; }
INLINE Floats select(Ints where, Floats yes, Floats no) { return where ? yes : no; }
INLINE Ints smaller(Ints a, Ints b) { return a < b ? a : b; }
INLINE Ints larger(Ints a, Ints b) { return a > b ? a : b; }

INLINE Ints lane_numbers() {
    Ints numbers;
    for (int lane = 0; lane < LANES; lane++) numbers[lane] = lane;
    return numbers;
}

// Lane numbers `FROM` of a and then b.
#if defined(__clang__)
template <int... FROM>
INLINE Floats lanes_of(Floats a, Floats b) { return __builtin_shufflevector(a, b, FROM...); }
#else
template <int... FROM>
INLINE Floats lanes_of(Floats a, Floats b) { return __builtin_shuffle(a, b, Ints{FROM...}); }
#endif

// Two rows, STEP apart in a block of LANES x LANES, exchange every second STEP of their lanes.
template <int STEP, int... LANE>
INLINE void exchange(Floats& a, Floats& b, std::integer_sequence<int, LANE...>) {
    const Floats upper = lanes_of<(LANE & STEP ? LANES + LANE - STEP : LANE)...>(a, b);
    b = lanes_of<(LANE & STEP ? LANES + LANE : LANE + STEP)...>(a, b);
    a = upper;
}

// Lane j of row i becomes lane i of row j: blocks of 1, 2, 4 ... lanes change places.
template <int STEP = 1>
INLINE void transpose(Floats (&rows)[LANES]) {
#pragma GCC unroll 16
    for (int i = 0; i < LANES; i++)
        if (!(i & STEP)) exchange<STEP>(rows[i], rows[i + STEP], std::make_integer_sequence<int, LANES>());
    if constexpr (2 * STEP < LANES) transpose<2 * STEP>(rows);
}

// Halves are added until one number is left: a chain of 4 additions instead of 16.
template <int N> INLINE float sum_of(const float* part) {
    if constexpr (N == 2) {
        return part[0] + part[1];
    } else {
        typedef float Half __attribute__((vector_size(N * 2), aligned(4), may_alias));
        const Half both = *reinterpret_cast<const Half*>(part) + *reinterpret_cast<const Half*>(part + N / 2);
        return sum_of<N / 2>(reinterpret_cast<const float*>(&both));
    }
}

INLINE float sum(Floats x) { return sum_of<LANES>(reinterpret_cast<const float*>(&x)); }

INLINE float largest(Floats x) {
    float most = x[0];
    for (int lane = 1; lane < LANES; lane++) most = x[lane] > most ? x[lane] : most;
    return most;
}

// x times 2^n of a power that exists, where `shifted` is 1.5 * 2^23 + n: a sum that has rounded to a whole number, which stands in
// the low bits.
INLINE Floats scaled_by_power(Floats x, Floats shifted) {
    const Ints bits = reinterpret_cast<const Ints&>(x) + (reinterpret_cast<const Ints&>(shifted) << 23);
    return reinterpret_cast<const Floats&>(bits);
}

// e^x of x <= 88 to about 2 units in the last place (polynomial of Cephes' expf): x = n ln 2 + r, |r| <= ln 2 / 2.
INLINE Floats exponential(Floats x) {
    x = select(x < all(-87.f), all(-87.f), x);
    const Floats shifted = x * 1.44269504f + 12582912.f, n = shifted - 12582912.f;
    const Floats r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    Floats p = all(1.9875691500e-4f);
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.f;
    return scaled_by_power(p, shifted);
}

// 1 / (1 + e^-x) to about 1e-7. Of 2^y less is rounded away than of e^x where both are small; the sum with 1 hides it.
INLINE Floats sigmoid(Floats x) {
    const Floats power = x * -1.44269504f, low = select(power < all(-126.f), all(-126.f), power);
    const Floats y = select(low > all(126.f), all(126.f), low);  // NaN stays
    const Floats shifted = y + 12582912.f, r = y - (shifted - 12582912.f);
    Floats p = all(1.540353039e-4f);  // Taylor series of 2^r, |r| <= 1/2
    p = p * r + 1.333355815e-3f;
    p = p * r + 9.618129108e-3f;
    p = p * r + 5.550410866e-2f;
    p = p * r + 2.402265070e-1f;
    p = p * r + 6.931471806e-1f;
    p = p * r + 1.f;
    return 1.f / (1.f + scaled_by_power(p, shifted));
}

// Rows whose length is no multiple of LANES end with a vector that overlaps the one before it; here, the lanes of it that are new.
INLINE Ints unseen(int n) { return lane_numbers() >= LANES - n % LANES; }

INLINE float dot(const float* a, const float* b, int n) {
    Floats wide = {};
    int at = 0;
    for (; at + LANES <= n; at += LANES) wide += load(a + at) * load(b + at);
    if (at < n && n >= LANES) {
        wide += select(unseen(n), load(a + n - LANES) * load(b + n - LANES), Floats{});
        at = n;
    }
    float total = sum(wide);
    for (; at < n; at++) total += a[at] * b[at];
    return total;
}

INLINE void add_scaled(float* to, const float* from, float scale, int n) {
    int at = 0;
    for (; at + LANES <= n; at += LANES) store(to + at, load(to + at) + load(from + at) * scale);
    if (at < n && n >= LANES) {
        float* end = to + n - LANES;
        return store(end, load(end) + select(unseen(n), load(from + n - LANES) * scale, Floats{}));
    }
    for (; at < n; at++) to[at] += scale * from[at];
}

// The last vector of a long row overlaps the one before.
INLINE void scaled(float* to, const float* from, float scale, int n) {
    int at = 0;
    for (; at + LANES <= n; at += LANES) store(to + at, load(from + at) * scale);
    if (at < n && n >= LANES) store(to + n - LANES, load(from + n - LANES) * scale), at = n;
    for (; at < n; at++) to[at] = scale * from[at];
}

// Rows are too short for a call of memcpy to pay.
INLINE void copy(float* to, const float* from, int n) {
    int at = 0;
    for (; at + LANES <= n; at += LANES) store(to + at, load(from + at));
    if (at < n && n >= LANES) store(to + n - LANES, load(from + n - LANES)), at = n;
    for (; at < n; at++) to[at] = from[at];
}

INLINE void clear(float* to, int64_t n) {
    int64_t at = 0;
    for (; at + LANES <= n; at += LANES) store(to + at, Floats{});
    for (; at < n; at++) to[at] = 0.f;
}

// A matrix whose rows may be `row` apart and whose columns may be `column` apart.
struct View {
    const float* at;
    int64_t row, column;
};

// c[HEIGHT][VECTORS * LANES] = or += a[HEIGHT][depth] b[depth][VECTORS * LANES]. Vectors of a row of b are `b.column` apart.
template <int VECTORS, bool ADD, int HEIGHT = ROWS>
INLINE void tile_product(View a, View b, int depth, float* c, int64_t c_row) {
    Floats total[HEIGHT][VECTORS];
    for (int r = 0; r < HEIGHT; r++)
        for (int v = 0; v < VECTORS; v++) total[r][v] = ADD ? load(c + r * c_row + v * LANES) : Floats{};
    for (int k = 0; k < depth; k++) {
        Floats wide[VECTORS];
        for (int v = 0; v < VECTORS; v++) wide[v] = load(b.at + k * b.row + v * b.column);
#pragma GCC unroll 8
        for (int r = 0; r < HEIGHT; r++) {
            const Floats narrow = all(a.at[r * a.row + k * a.column]);
            for (int v = 0; v < VECTORS; v++) total[r][v] += narrow * wide[v];
        }
    }
    for (int r = 0; r < HEIGHT; r++)
        for (int v = 0; v < VECTORS; v++) store(c + r * c_row + v * LANES, total[r][v]);
}

// The same for any whole number of vectors.
template <bool ADD, int HEIGHT = ROWS>
INLINE void product(const View& a, const View& b, int depth, float* c, int64_t c_row, int vectors) {
    int v = 0;
    for (; v + 2 <= vectors; v += 2)
        tile_product<2, ADD, HEIGHT>(a, {b.at + v * b.column, b.row, b.column}, depth, c + v * LANES, c_row);
    if (v < vectors) tile_product<1, ADD, HEIGHT>(a, {b.at + v * b.column, b.row, b.column}, depth, c + v * LANES, c_row);
}

// The same for any number of rows.
template <bool ADD>
static void rows_product(const View& a, const View& b, int rows, int depth, float* c, int64_t c_row, int vectors) {
    const auto from = [&](int r) { return View{a.at + r * a.row, a.row, a.column}; };
    int r = 0;
    for (; r + TALL <= rows; r += TALL) product<ADD, TALL>(from(r), b, depth, c + r * c_row, c_row, vectors);
    if (TALL > 4 && r + 4 <= rows) product<ADD, 4>(from(r), b, depth, c + r * c_row, c_row, vectors), r += 4;
    if (r + 2 <= rows) product<ADD, 2>(from(r), b, depth, c + r * c_row, c_row, vectors), r += 2;
    for (; r < rows; r++) product<ADD, 1>(from(r), b, depth, c + r * c_row, c_row, vectors);
}

INLINE int round_up(int n, int to) { return (n + to - 1) / to * to; }
INLINE int round_down(int n, int to) { return n / to * to; }
