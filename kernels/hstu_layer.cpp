// A whole HSTU layer, a few segments at a time: what lies between its input and its output stays in the caches, but for the
// projection before its SiLU and what attention gives, which the backward pass reads instead of computing them again. See
// hstu_layer.py for the operation and its arguments.
#include "hstu_attention/fused_passes.h"  // which work on the rows of a unit as on those of a batch
#include "hstu_layer_rows.h"
#include "panels.h"

namespace {

constexpr int ROWS_TOGETHER = 64;  // rows that go through products and element-wise parts together
constexpr int64_t SHARES = 8;      // parts of a batch that sum up gradients, each of its own
constexpr int64_t SHARE = 192;     // tokens of a share, at least
constexpr bool CACHED = true;      // what attention is given was written just before

struct Layer {
    Problem attention;  // all but the rows of tokens, which are this file's own
    int64_t tokens, width, clean;           // clean: the input is added as it is; otherwise as it is normalised
    const float *x, *uvqk, *weight, *bias;  // [tokens][width], [4 width][width], [width][width], [width]
    float *y;                               // [tokens][width]
    float *z, *attended;  // the projection before its SiLU and what attention gives; rows are whole vectors; null: not kept
    int64_t threshold;    // an entry is dropped if its 16 random bits are below it
    uint64_t seed;
    double scale;
    const float* grad;  // [tokens][width]; from here on backward alone
    float *d_x, *d_uvqk, *d_weight, *d_bias;
};

// Both matrices in the order that a pass multiplies with.
struct Matrices {
    std::vector<float> uvqk, weight;

    Matrices(const Layer& layer, bool forward) {
        const int64_t d = layer.width;
        uvqk.resize(panels(forward ? 4 * d : d) * (forward ? d : 4 * d) * WIDE);
        weight.resize(panels(d) * d * WIDE);
        pack(forward ? View{layer.uvqk, 1, d} : View{layer.uvqk, d, 1}, forward ? d : 4 * d, forward ? 4 * d : d, uvqk.data());
        pack(forward ? View{layer.weight, 1, d} : View{layer.weight, d, 1}, d, d, weight.data());
    }
};

// Segments that run together: whole ones, until there are enough rows.
std::vector<Task> units_of(const Layer& layer) {
    const Problem& p = layer.attention;
    std::vector<Task> units;
    int64_t tokens = ROWS_TOGETHER;
    for (int64_t s = 0; s < p.segments; s++) {
        const int64_t own = p.offsets[s + 1] - p.offsets[s];
        if (tokens >= ROWS_TOGETHER) units.push_back({s, s, 0, p.heads, 0}), tokens = 0;
        tokens += own;
        units.back().last = s + 1;
        units.back().work += own * layer.width * 2 + pairs_of(p, s);  // products of a token are as much as about 2 D pairs
    }
    return units;
}

// Shares of about the same work; `first` and `last` count units.
std::vector<Task> shares_of(const Layer& layer, const std::vector<Task>& units) {
    int64_t total = 0, done = 0;
    for (const Task& unit : units) total += unit.work;
    const int64_t count = std::clamp<int64_t>(layer.tokens / SHARE, 1, SHARES);
    std::vector<Task> shares;
    for (int64_t at = 0; at < int64_t(units.size()); at++) {
        if (shares.empty() || done * count >= total * int64_t(shares.size())) shares.push_back({at, at, 0, 0, 0});
        shares.back().last = at + 1;
        shares.back().work += units[at].work;
        done += units[at].work;
    }
    return shares;
}

// What both passes need of a unit.
class Unit {
   public:
    Unit(const Layer& of, const Widths& widths, const Matrices& packed, const Tables& of_biases, Scratch& memory)
        : layer(of), p(of.attention), w(widths), matrices(packed), tables(of_biases), scratch(memory),
          mask(widths, of.seed, of.threshold, float(of.scale)) {}

   protected:
    const Layer& layer;
    Problem p;
    const Widths& w;
    const Matrices& matrices;
    const Tables& tables;
    Scratch& scratch;
    Mask mask;
    int64_t begin = 0;
    int n = 0;
    float *normed = nullptr, *silu = nullptr;  // rows of w.row and of w.four_row
    float* spare = nullptr;                    // a row

    void enter(const Task& unit) {
        scratch.start();
        begin = p.offsets[unit.first];
        n = int(p.offsets[unit.last] - begin);
        normed = scratch.take<float>(int64_t(n) * w.row);
        silu = scratch.take<float>(int64_t(n) * w.four_row);
        spare = scratch.take<float>(w.row);
        p.v = part(silu, 1), p.q = part(silu, 2), p.k = part(silu, 3);
    }

    // The rows of this unit as attention counts them, in the whole batch; a part of u, v, q, k.
    Tokens part(float* rows, int which) const { return tokens(rows + which * w.width, w.four_row); }
    Tokens tokens(float* rows, int64_t row) const { return {rows - begin * row, row, w.width / p.heads}; }

    template <class Each> void blocks(Each each) const {
        for (int first = 0; first < n; first += ROWS_TOGETHER) each(first, std::min(ROWS_TOGETHER, n - first));
    }

    // A row of x or of the gradient, to be read in whole vectors: what hangs over is the next row's, and of the batch's last row is not
    // there.
    const float* whole(const float* rows, int row) const {
        const float* at = rows + (begin + row) * w.width;
        if ((layer.tokens - begin - row) * w.width >= w.vectors * LANES) return at;
        clear(spare, w.row);
        copy(spare, at, w.width);
        return spare;
    }

    float* kept_z(int64_t row) const { return layer.z + (begin + row) * w.four_vectors * LANES; }
    float* kept_attended(int64_t row) const { return layer.attended + (begin + row) * w.vectors * LANES; }
};

class ForwardUnit : Unit {
   public:
    using Unit::Unit;

    void run(const Task& unit) {
        enter(unit);
        blocks([&](int first, int count) { project(first, count); });
        float* attended = layer.attended ? kept_attended(0) : scratch.take<float>(int64_t(n) * w.row);
        const int64_t row = layer.attended ? w.vectors * LANES : w.row;
        p.out = tokens(attended, row);
        if (n) Forward(p, tables, unit, {}, own_scratch(), CACHED).run();
        gated = scratch.take<float>(ROWS_TOGETHER * w.row);
        result = scratch.take<float>(ROWS_TOGETHER * w.row);
        bias = scratch.take<float>(w.row);
        clear(bias, w.row);
        copy(bias, layer.bias, w.width);
        blocks([&](int first, int count) { finish(first, count, attended, row); });
    }

   private:
    float *gated = nullptr, *result = nullptr, *bias = nullptr;

    // Here and below, each step goes through all rows before the next one begins: rows do not wait for each other, steps would.
    void project(int first, int count) {
        for (int r = first; r < first + count; r++) normalise(w, whole(layer.x, r), normed + int64_t(r) * w.row);
        float* z = silu + int64_t(first) * w.four_row;
        panels_product<false>(normed + int64_t(first) * w.row, w.row, count, w.width, matrices.uvqk.data(), z, w.four_row, w.four_vectors);
        for (int r = 0; r < count; r++) {
            float *to = z + int64_t(r) * w.four_row, *keep = layer.z ? kept_z(first + r) : to;
            for (int at = 0; at < w.four_vectors * LANES; at += LANES) {
                const Floats value = load(to + at);
                store(keep + at, value);
                store(to + at, value * sigmoid(value));
            }
        }
    }

    void finish(int first, int count, const float* attended, int64_t row) {
        for (int r = 0; r < count; r++) normalise(w, attended + (first + r) * row, gated + r * w.row);
        mask.start(begin + first, count);
        for (int r = 0; r < count; r++) {
            float *to = gated + r * w.row, *sum_row = result + r * w.row;
            const float *gate = silu + int64_t(first + r) * w.four_row, *skip = normed + int64_t(first + r) * w.row;
            if (layer.clean) skip = whole(layer.x, first + r);
            for (int v = 0; v < w.vectors; v++) {
                const int at = v * LANES;
                store(to + at, load(gate + at) * load(to + at) * mask.of(r, v));
                store(sum_row + at, load(bias + at) + load(skip + at));
            }
        }
        panels_product<true>(gated, w.row, count, w.width, matrices.weight.data(), result, w.row, w.vectors);
        for (int r = 0; r < count; r++) copy(layer.y + (begin + first + r) * w.width, result + r * w.row, w.width);
    }
};

// Where a share sums up gradients of weights: of uvqk turned, [width][four_row]; of the output [width][row] and of its bias [row].
struct Sums {
    float *uvqk, *weight, *bias;

    static int64_t numbers(const Widths& w) { return int64_t(w.width) * (w.four_row + w.row) + w.row; }

    Sums(const Widths& w, float* at) : uvqk(at), weight(at + int64_t(w.width) * w.four_row), bias(weight + int64_t(w.width) * w.row) {}
};

class BackwardUnit : Unit {
   public:
    BackwardUnit(const Layer& of, const Widths& widths, const Matrices& packed, const Tables& of_biases, Scratch& memory,
                 Sums own, const Slots& to)
        : Unit(of, widths, packed, of_biases, memory), sums(own), slots(to) {}

    void run(const Task& unit) {
        enter(unit);
        scale = scratch.take<float>(n);
        slope = scratch.take<float>(int64_t(n) * w.four_row);
        steps = scratch.take<float>(int64_t(n) * w.four_row);
        gated = scratch.take<float>(int64_t(n) * w.row);
        d_attended = scratch.take<float>(int64_t(n) * w.row);
        result = scratch.take<float>(ROWS_TOGETHER * w.row);
        strips = scratch.take<float>(int64_t(DEPTH) * round_up(w.width, TALL));
        p.grad = tokens(d_attended, w.row);
        p.dv = part(steps, 1), p.dq = part(steps, 2), p.dk = part(steps, 3);
        blocks([&](int first, int count) { before_attention(first, count); });
        add_outer(layer.grad + begin * w.width, w.width, w.width, gated, w.row, w.vectors, n, sums.weight, w.row, strips);
        if (n) Backward(p, tables, unit, slots, own_scratch(), CACHED).run();
        blocks([&](int first, int count) { after_attention(first, count); });
        add_outer(normed, w.row, w.width, steps, w.four_row, w.four_vectors, n, sums.uvqk, w.four_row, strips);
    }

   private:
    Sums sums;
    Slots slots;
    float *scale = nullptr, *slope = nullptr, *steps = nullptr;  // of the norm of x; of SiLU; gradients of u, v, q, k
    float *gated = nullptr, *d_attended = nullptr, *result = nullptr, *strips = nullptr;

    void before_attention(int first, int count) {
        for (int r = first; r < first + count; r++) scale[r] = normalise(w, whole(layer.x, r), normed + int64_t(r) * w.row);
        for (int r = first; r < first + count; r++) {
            const float* z = kept_z(r);
            const int64_t row = int64_t(r) * w.four_row;
            for (int at = 0; at < w.four_vectors * LANES; at += LANES) {
                const Floats value = load(z + at), gate = sigmoid(value), x = value * gate;
                store(silu + row + at, x);
                store(slope + row + at, gate + x * (1.f - gate));
            }
            // What stands behind the last part is a factor of later products too.
            store(steps + row + (w.four_vectors - 1) * LANES, Floats{});
        }
        const float* grad = layer.grad + (begin + first) * w.width;
        float* d_gated = d_attended + int64_t(first) * w.row;
        panels_product<false>(grad, w.width, count, w.width, matrices.weight.data(), d_gated, w.row, w.vectors);
        float deviation[ROWS_TOGETHER];
        for (int r = 0; r < count; r++) deviation[r] = normalise(w, kept_attended(first + r), result + r * w.row);
        mask.start(begin + first, count);
        for (int r = 0; r < count; r++) gate_backward(first + r, r);
        for (int r = 0; r < count; r++) {
            differentiate_norm(w, result + r * w.row, deviation[r], d_gated + r * w.row);
            add_row(w, sums.bias, whole(layer.grad, first + r));
        }
    }

    // Gradient of what dropout gave -> those of the gate and of what attention gave, normalised, which stands in `result`.
    void gate_backward(int r, int of_block) {
        float *own = gated + int64_t(r) * w.row, *d = d_attended + int64_t(r) * w.row, *d_gate = steps + int64_t(r) * w.four_row;
        const float *gate = silu + int64_t(r) * w.four_row, *normal = result + of_block * w.row;
        for (int v = 0; v < w.vectors; v++) {
            const int at = v * LANES;
            const Floats factor = mask.of(of_block, v), norm = load(normal + at), up = load(gate + at), step = load(d + at) * factor;
            store(own + at, up * norm * factor);
            store(d_gate + at, step * norm);  // what hangs over is written again: attention comes later
            store(d + at, step * up);
        }
    }

    void after_attention(int first, int count) {
        for (int r = 0; r < count; r++) {
            float *d = steps + int64_t(first + r) * w.four_row, *of = slope + int64_t(first + r) * w.four_row;
            for (int at = 0; at < w.four_vectors * LANES; at += LANES) store(d + at, load(d + at) * load(of + at));
        }
        panels_product<false>(steps + int64_t(first) * w.four_row, w.four_row, count, w.four, matrices.uvqk.data(), result, w.row, w.vectors);
        for (int r = 0; r < count; r++) {
            float* d = result + r * w.row;
            const float* grad = whole(layer.grad, first + r);
            if (!layer.clean) add_row(w, d, grad);
            differentiate_norm(w, normed + int64_t(first + r) * w.row, scale[first + r], d);
            if (layer.clean) add_row(w, d, grad);
        }
        for (int r = 0; r < count; r++) copy(layer.d_x + (begin + first + r) * w.width, result + r * w.row, w.width);
    }
};

Scratch& layer_scratch() {
    static thread_local Scratch scratch;
    return scratch;
}

// Adds up numbers that lie `apart` in memory, in their order, where the first one lies.
void add_up(float* sums, int64_t numbers, int64_t shares, int64_t apart) {
    for (int64_t s = 1; s < shares; s++)
        for (int64_t at = 0; at < numbers; at += LANES) store(sums + at, load(sums + at) + load(sums + s * apart + at));
}

// Sums of all shares -> where the caller wants them.
void leave(const Layer& layer, const Widths& w, float* sums, int64_t shares) {
    const Sums total(w, sums);
    const int64_t apart = Sums::numbers(w), threads = layer.attention.threads;
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
    for (int first = 0; first < w.width; first += LANES) {
        const int count = std::min(LANES, w.width - first);
        float *uvqk = total.uvqk + int64_t(first) * w.four_row, *weight = total.weight + int64_t(first) * w.row;
        add_up(uvqk, int64_t(count) * w.four_row, shares, apart);
        add_up(weight, int64_t(count) * w.row, shares, apart);
        for (int o = 0; o < w.four; o++)
            for (int i = 0; i < count; i++) layer.d_uvqk[int64_t(o) * w.width + first + i] = uvqk[i * w.four_row + o];
        for (int i = 0; i < count; i++) copy(layer.d_weight + int64_t(first + i) * w.width, weight + i * w.row, w.width);
    }
    add_up(total.bias, w.row, shares, apart);
    copy(layer.d_bias, total.bias, w.width);
}

}  // namespace

extern "C" {

int64_t hstu_layer_bytes() { return sizeof(Layer); }
int64_t hstu_layer_lanes() { return LANES; }

// 0, or 1 if memory ran out.
int64_t hstu_layer_forward(const Layer* layer) {
    const Widths w(layer->width);
    const Matrices matrices(*layer, true);
    const Tables tables(layer->attention.position_bias, layer->attention.time_bias);
    const std::vector<Task> units = units_of(*layer);
    return !for_all(units, layer->attention.threads,
                    [&](int at) { ForwardUnit(*layer, w, matrices, tables, layer_scratch()).run(units[at]); });
}

int64_t hstu_layer_backward(const Layer* layer) {
    const Problem& p = layer->attention;
    const Widths w(layer->width);
    const Matrices matrices(*layer, false);
    const Tables tables(p.position_bias, p.time_bias);
    const std::vector<Task> units = units_of(*layer), shares = shares_of(*layer, units);
    const int64_t numbers = Sums::numbers(w), count = shares.size();
    static thread_local Scratch memory;
    memory.start();
    float* sums = memory.take<float>(numbers * std::max<int64_t>(count, 1));
    if (!count) clear(sums, numbers);
    const BiasGradients biases(tables, count, memory);
    const bool fine = for_all(shares, p.threads, [&](int at) {
        clear(sums + at * numbers, numbers);
        BackwardUnit unit(*layer, w, matrices, tables, layer_scratch(), Sums(w, sums + at * numbers), biases.begin(at));
        for (int64_t each = shares[at].first; each < shares[at].last; each++) unit.run(units[each]);
    });
    leave(*layer, w, sums, count);
    biases.give();
    return !fine;
}

}  // extern "C"
