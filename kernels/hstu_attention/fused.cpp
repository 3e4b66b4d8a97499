// Entry points of fused HSTU attention over packed tokens. See fused.py for the operation and its arguments, fused_passes.h for how.
#include "fused_passes.h"

extern "C" {

int64_t rankbench_problem_bytes() { return sizeof(Problem); }

// 0, or 1 if memory ran out.
int64_t rankbench_forward(const Problem* p) {
    const std::vector<Task> tasks = cut(*p, p->size + p->value_size);
    return !for_all(tasks, p->threads, [&](int t) {
        float* const none[2] = {};
        Forward(*p, tasks[t], none, own_scratch()).run();
    });
}

int64_t rankbench_backward(const Problem* p) {
    const std::vector<Task> tasks = cut(*p, 3 * p->size + 2 * p->value_size);
    static thread_local Scratch sums;
    sums.start();
    float* slots[2] = {};
    int64_t numbers[2] = {};
    for (int t = 0; t < p->lookups; t++) {
        if (!p->lookup[t].gradient) continue;
        numbers[t] = p->lookup[t].heads * p->lookup[t].rows;
        slots[t] = sums.take<float>(numbers[t] * tasks.size());
    }
    const bool fine = for_all(tasks, p->threads, [&](int at) {
        float* slot[2] = {};
        for (int t = 0; t < 2; t++) {
            if (!slots[t]) continue;
            slot[t] = slots[t] + at * numbers[t];
            std::memset(slot[t], 0, sizeof(float) * numbers[t]);
        }
        Backward(*p, tasks[at], slot, own_scratch()).run();
    });
    for (int t = 0; t < p->lookups; t++)
        for (int64_t row = 0; row < numbers[t]; row++) {
            double total = 0;
            for (size_t at = 0; at < tasks.size(); at++) total += slots[t][at * numbers[t] + row];
            p->lookup[t].gradient[row] = float(total);
        }
    return !fine;
}

// Time bucket of every visible pair: the number of borders that |query_time - key_time| reaches. `bucket` has as many bytes as
// there are pairs; query i's begin at bucket_offset[i].
void rankbench_buckets(int64_t tokens, const int64_t* lo, const int64_t* hi, const int64_t* query_time, const int64_t* key_time,
                       const int64_t* border, int64_t borders, const int64_t* bucket_offset, uint8_t* bucket) {
    for (int64_t i = 0; i < tokens; i++) {
        int64_t found = 0;  // neighbouring keys have similar gaps: walk from one's bucket to the next one's
        uint8_t* to = bucket + bucket_offset[i] - lo[i];
        for (int64_t j = lo[i]; j < hi[i]; j++) {
            const int64_t gap = std::llabs(query_time[i] - key_time[j]);
            while (found > 0 && gap < border[found - 1]) found--;
            while (found < borders && gap >= border[found]) found++;
            to[j] = uint8_t(found);
        }
    }
}

}  // extern "C"
