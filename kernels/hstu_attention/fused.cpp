// Entry points of fused HSTU attention over packed tokens. See cpu.py for the operation and its arguments, fused_passes.h for how.
#include "fused_passes.h"

extern "C" {

int64_t rankbench_problem_bytes() { return sizeof(Problem); }

// 0, or 1 if memory ran out.
int64_t rankbench_forward(const Problem* p) {
    const std::vector<Task> tasks = cut(*p, p->size + p->value_size);
    const Tables tables(p->position_bias, p->time_bias);
    return !for_all(tasks, p->threads, [&](int t) { Forward(*p, tables, tasks[t], {}, own_scratch()).run(); });
}

int64_t rankbench_backward(const Problem* p) {
    const std::vector<Task> tasks = cut(*p, 3 * p->size + 2 * p->value_size);
    const Tables tables(p->position_bias, p->time_bias);
    static thread_local Scratch memory;
    memory.start();
    const BiasGradients gradients(tables, tasks.size(), memory);
    const bool fine =
        for_all(tasks, p->threads, [&](int t) { Backward(*p, tables, tasks[t], gradients.begin(t), own_scratch()).run(); });
    gradients.give();
    return !fine;
}

// Time bucket of every visible pair: the number of borders that |query_time - key_time| reaches. `bucket` has as many bytes as
// there are pairs; query i's begin at bucket_offset[i].
void rankbench_buckets(int64_t tokens, const int64_t* lo, const int64_t* hi, const int64_t* query_time, const int64_t* key_time,
                       const int64_t* border, int64_t borders, const int64_t* bucket_offset, uint8_t* bucket, int64_t threads) {
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static, 256)
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
