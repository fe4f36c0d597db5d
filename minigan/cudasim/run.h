// How a block runs, and a grid of them: shared memory, the scheduler, the launch.
//
// A fiber runs threads one after the other for as long as none waits, so that a kernel without barriers is a plain loop;
// when one waits its fiber is put aside and the next threads start on a new one.
//
// Blocks run one after the other. Shared memory is an arena, filled with 0xff (NaN) when a block starts.
#pragma once
#include "wait.h"

namespace cudasim {
// ---- shared memory
#ifdef CUDASIM_CHECK
CUDASIM_RUNTIME void shadow_shared(char* p, size_t bytes, size_t item);
CUDASIM_RUNTIME void shadow_new_block();
CUDASIM_RUNTIME void shadow_dynamic(size_t item);
#else
static inline void shadow_shared(char*, size_t, size_t) {}
static inline void shadow_new_block() {}
static inline void shadow_dynamic(size_t) {}
#endif

CUDASIM_RUNTIME char* take_shared(size_t bytes, size_t item) {
    B.shared_used += bytes;
    size_t start = (B.arena_used + RED_ZONE + 15) & ~(size_t)15;
    if (B.shared_used > SHARED_LIMIT || start + bytes + RED_ZONE > ARENA) {
        report(nullptr, 0, "a block asks for %lld bytes of shared memory: more than 48 KiB", B.shared_used);
        abandon();
    }
    B.arena_used = start + bytes;
    char* p = B.arena + start;
    memset(p, 0xff, bytes);
    shadow_shared(p, bytes, item);
    return p;
}

// One __shared__ variable: Id tells the declarations apart, T the instances of a template.
template <class T, int Id> CUDASIM_PLAIN static T& shared() {
    static u64 serial;
    static char* place;
    if (serial != B.serial) {
        serial = B.serial;
        place = take_shared(sizeof(T), sizeof(std::remove_all_extents_t<T>));
    }
    return *(T*)place;
}
template <class T> CUDASIM_PLAIN static T* dynamic_shared() {
    shadow_dynamic(sizeof(T));
    return (T*)B.dynamic;
}

// ---- running
static Fiber* starting;

// Runs threads until none is left to start, then parks; the next block wakes it up again.
CUDASIM_RUNTIME void fiber_entry() {
    Fiber* here = starting;
    for (;;) {
        while (B.started < B.count) {
            Thread& me = B.thread[B.order[B.started++]];
            me.fiber = here;
            me.state = READY;
            me.segment = B.first_segment;
            B.current = &me;
            threadIdx = me.index;
            body(body_arguments);
            me.state = DONE;
            B.done++;
            if (B.at_barrier) {
                report(nullptr, B.barrier_line, "skipped barrier: thread %lld returned while %lld threads wait in "
                       "__syncthreads (block %lld)", me.number, B.at_barrier, B.number);
                abandon();
            }
        }
        B.idle[B.idle_count++] = here;
        swap(*here, B.scheduler);
    }
}

CUDASIM_RUNTIME void report_deadlock() {
    for (unsigned i = 0; i < B.count; i++) {
        Thread& t = B.thread[i];
        if (t.state == IN_WARP_CALL) {
            WarpCall* call = B.call[i >> 5];
            while (!(call->arrived >> (i & 31) & 1)) call++;
            unsigned missing = call->mask & ~call->arrived;
            report(nullptr, t.line, "wrong mask: thread %lld waits in a warp call whose mask names lane %lld, which never "
                   "comes (block %lld)", i, __builtin_ctz(missing), B.number);
            return;
        }
    }
}

CUDASIM_RUNTIME void run_block() {
    B.started = B.done = B.at_barrier = 0;
    B.votes = 0;
    B.barrier_epoch++;
    B.first_segment = ++B.segments;
    B.serial++;
    B.arena_used = B.shared_used = 0;
    shadow_new_block();
    B.dynamic = B.dynamic_bytes ? take_shared(B.dynamic_bytes, 1) : nullptr;
    while (B.done < B.count) {
        if (B.started < B.count) {
            if (!B.idle_count) {
                int n = B.prepared++;
                B.fiber[n].stack = B.stacks + (size_t)n * STACK;
                prepare(B.fiber[n], fiber_entry);
                B.idle[B.idle_count++] = &B.fiber[n];
            }
            starting = B.idle[--B.idle_count];
            swap(B.scheduler, *starting);
            if (B.abandoned) return;
            continue;
        }
        if (launch_order == 2) arrange(B.order, B.count);
        bool moved = false;
        for (unsigned i = 0; i < B.count; i++) {
            Thread& t = B.thread[B.order[i]];
            if (t.state != READY) continue;
            moved = true;
            B.current = &t;
            threadIdx = t.index;
            swap(B.scheduler, *t.fiber);
            if (B.abandoned) return;
        }
        if (!moved && B.done < B.count) {
            report_deadlock();
            B.abandoned = true;
            return;
        }
    }
    B.current = nullptr;
}

// dims: grid x y z, block x y z. Returns how many things were found wrong.
CUDASIM_RUNTIME int launch(Body what, const char* arguments, const unsigned* dims, size_t dynamic_bytes, int order,
                           u64 seed) {
    if (!B.stacks) {
        B.arena = (char*)aligned_alloc(256, ARENA);
        B.stacks = (char*)mmap(nullptr, (size_t)MAX_THREADS * STACK, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    }
    gridDim = dim3(dims[0], dims[1], dims[2]);
    dim3 shape(dims[3], dims[4], dims[5]);
    launch_order = order;
    random_state = seed * 2654435769u + 88172645463325252ull;
    unsigned count = shape.x * shape.y * shape.z;
    if (B.count != count || shape.x != blockDim.x || shape.y != blockDim.y)
        for (unsigned i = 0; i < count; i++) {
            B.thread[i].number = i;
            B.thread[i].index = {i % shape.x, i / shape.x % shape.y, i / shape.x / shape.y};
        }
    blockDim = shape;
    B.count = count;
    B.dynamic_bytes = dynamic_bytes;
    body = what, body_arguments = arguments;
    report_count = 0;
    if (order != 2) arrange(B.order, count);
    unsigned blocks = gridDim.x * gridDim.y * gridDim.z;
    unsigned* sequence = nullptr;
    if (order) arrange(sequence = (unsigned*)malloc(blocks * sizeof(unsigned)), blocks);
    for (unsigned i = 0; i < blocks && !B.abandoned; i++) {
        unsigned b = B.number = sequence ? sequence[i] : i;
        blockIdx = {b % gridDim.x, b / gridDim.x % gridDim.y, b / gridDim.x / gridDim.y};
        if (order == 2) arrange(B.order, count);
        run_block();
    }
    free(sequence);
    if (B.abandoned) {  // the fibers stand anywhere: make new ones
        B.abandoned = false;
        B.current = nullptr;
        B.prepared = B.idle_count = 0;
        memset(B.call, 0, sizeof B.call);
    }
    return report_count;
}
}  // namespace cudasim
