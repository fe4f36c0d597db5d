// How a block of CUDA threads runs on one CPU thread.
//
// Every thread of a block is a fiber: a stack of its own, switched by hand where CUDA makes threads wait. A fiber runs
// threads one after the other for as long as none waits, so that a kernel without barriers is a plain loop; when one
// waits (__syncthreads, __syncwarp, a shuffle) its fiber is put aside and the next threads start on a new one.
//
// Blocks run one after the other. Shared memory is an arena, filled with 0xff (NaN) when a block starts.
#pragma once
#include <dlfcn.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <type_traits>
#include <utility>
#if !defined(__x86_64__)
#include <ucontext.h>
#endif
#undef INFINITY
#undef NAN

#define CUDASIM_PLAIN __attribute__((no_sanitize("thread", "undefined")))
#define CUDASIM_RUNTIME CUDASIM_PLAIN __attribute__((noinline)) static

struct uint3 { unsigned x, y, z; };
struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c) {}
};
static uint3 threadIdx, blockIdx;
static dim3 blockDim, gridDim;
static constexpr int warpSize = 32;

namespace cudasim {

typedef unsigned long long u64;
enum {
    MAX_THREADS = 1024,
    STACK = (1 << 17) + 1088,  // not a power of two: equal depths must not fall into one set of the cache
    SHARED_LIMIT = 48 * 1024,
    RED_ZONE = 64,
    ARENA = 1 << 18,
    MAX_ERRORS = 16
};

// ---- what is reported, and from where: an address in the compiled kernel, or a line that is known already
struct Report {
    char text[320];
    void* place;        // of the access, 0 where file and line say it
    void* other;        // of the earlier access that it collides with
    const char* file;   // nullptr: the module's source
    int line;
};
static Report reports[MAX_ERRORS];
static int report_count;

CUDASIM_RUNTIME void report(void* place, int line, const char* format, long long a = 0, long long b = 0,
                            long long c = 0, long long d = 0) {
    char text[320];
    snprintf(text, sizeof text, format, a, b, c, d);
    for (int i = 0; i < report_count; i++)
        if (reports[i].place == place && reports[i].line == line && !strncmp(reports[i].text, text, 16)) return;
    if (report_count == MAX_ERRORS) return;
    memcpy(reports[report_count].text, text, sizeof text);
    reports[report_count].place = place;
    reports[report_count].other = nullptr;
    reports[report_count].file = nullptr;
    reports[report_count++].line = line;
}

// ---- fibers
enum State : char { FRESH, READY, AT_BARRIER, IN_WARP_CALL, DONE };

struct Fiber {
#if defined(__x86_64__)
    void* stack_pointer;
#else
    ucontext_t context;
#endif
    char* stack;
};

struct Thread {
    Fiber* fiber;
    uint3 index;
    unsigned number;        // threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)
    int line;               // where it waits
    State state;
    unsigned segment;       // serial number of the last synchronisation it took part in
    unsigned seen[32];      // of each lane of its warp: the segment at which the two last met
};

struct WarpCall { unsigned arrived, mask, turn; int line, kind; u64 value[2][32]; };

struct Block {
    Thread thread[MAX_THREADS];
    Fiber fiber[MAX_THREADS];
    Fiber scheduler;
    Fiber* idle[MAX_THREADS];
    int idle_count, prepared;
    Thread* current;
    unsigned order[MAX_THREADS];
    unsigned count, started, done, at_barrier, barrier_epoch, segments, first_segment, number;
    int barrier_line, barrier_id;
    int votes, vote_result;
    WarpCall call[MAX_THREADS / 32][32];
    char *stacks, *arena, *dynamic;
    size_t arena_used, shared_used, dynamic_bytes;
    u64 serial;
    bool abandoned;
};
static Block B;

typedef void (*Body)(const char* arguments);
static Body body;
static const char* body_arguments;
static int launch_order;
static u64 random_state;

#if defined(__x86_64__)
extern "C" __attribute__((visibility("hidden"))) void cudasim_switch(void** save, void* to);
asm(".text\n.type cudasim_switch,@function\ncudasim_switch:\n"
    " push %rbp\n push %rbx\n push %r12\n push %r13\n push %r14\n push %r15\n"
    " mov %rsp,(%rdi)\n mov %rsi,%rsp\n"
    " pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbx\n pop %rbp\n ret\n");
CUDASIM_PLAIN static inline void swap(Fiber& from, Fiber& to) { cudasim_switch(&from.stack_pointer, to.stack_pointer); }
CUDASIM_PLAIN static inline void prepare(Fiber& f, void (*entry)()) {
    void** top = (void**)(((size_t)f.stack + STACK - 128) & ~(size_t)15);
    *--top = nullptr;  // where the entry would return to: it never does
    *--top = (void*)entry;
    for (int i = 0; i < 6; i++) *--top = nullptr;
    f.stack_pointer = top;
}
#else
CUDASIM_PLAIN static inline void swap(Fiber& from, Fiber& to) { swapcontext(&from.context, &to.context); }
CUDASIM_PLAIN static inline void prepare(Fiber& f, void (*entry)()) {
    getcontext(&f.context);
    f.context.uc_stack.ss_sp = f.stack;
    f.context.uc_stack.ss_size = STACK;
    f.context.uc_link = nullptr;
    makecontext(&f.context, entry, 0);
}
#endif

CUDASIM_RUNTIME void yield() {
    Thread* me = B.current;
    swap(*me->fiber, B.scheduler);
    threadIdx = me->index;
}

// Gives the whole block up: after a mistake that leaves nothing sensible to go on with.
CUDASIM_RUNTIME void abandon() {
    B.abandoned = true;
    if (B.current) yield();
    abort();
}

CUDASIM_PLAIN static inline int lane() { return B.current->number & 31; }

// ---- order of threads and blocks: 0 forward, 1 reverse, 2 random
CUDASIM_RUNTIME unsigned draw(unsigned below) {
    random_state ^= random_state << 13, random_state ^= random_state >> 7, random_state ^= random_state << 17;
    return (unsigned)(random_state >> 11) % below;
}
CUDASIM_RUNTIME void arrange(unsigned* order, unsigned n) {
    for (unsigned i = 0; i < n; i++) order[i] = launch_order == 1 ? n - 1 - i : i;
    if (launch_order == 2)
        for (unsigned i = n; i > 1; i--) {
            unsigned j = draw(i), t = order[i - 1];
            order[i - 1] = order[j], order[j] = t;
        }
}

// ---- __syncthreads
CUDASIM_RUNTIME void open_barrier() {
    B.at_barrier = 0;
    B.barrier_epoch++;
    B.vote_result = B.votes;
    B.votes = 0;
    for (unsigned i = 0; i < B.count; i++)
        if (B.thread[i].state == AT_BARRIER) B.thread[i].state = READY;
}
CUDASIM_RUNTIME int barrier(int line, int id, int vote = 0) {
    Thread* me = B.current;
    if (B.done) {
        report(nullptr, line, "skipped barrier: thread %lld waits in __syncthreads, which %lld of the block's %lld "
               "threads left out by returning (block %lld)", me->number, B.done, B.count, B.number);
        abandon();
    }
    if (B.at_barrier && B.barrier_id != id) {
        report(nullptr, line, "divergent barrier: thread %lld waits in this __syncthreads, others in that of line %lld "
               "(block %lld)", me->number, B.barrier_line, B.number);
        abandon();
    }
    B.barrier_line = me->line = line;
    B.barrier_id = id;
    B.votes += vote;
    me->state = AT_BARRIER;
    if (++B.at_barrier == B.count) open_barrier();
    yield();
    return B.vote_result;
}

// ---- warp calls: the lanes of a mask meet, each leaves a value, all may read them
enum Kind { SYNC, SHUFFLE, VOTE };

CUDASIM_RUNTIME const u64* meet(unsigned mask, u64 value, int line, Kind kind) {
    Thread* me = B.current;
    unsigned l = me->number & 31, w = me->number >> 5, left = B.count - w * 32, lanes = left < 32 ? left : 32;
    unsigned present = lanes == 32 ? ~0u : (1u << lanes) - 1;
    if (kind == SYNC) mask &= present;  // as the hardware does for a last, partial warp
    if (!(mask >> l & 1)) {
        report(nullptr, line, "wrong mask: thread %lld (lane %lld) makes a warp call whose mask leaves it out (block %lld)",
               me->number, l, B.number);
        abandon();
    }
    if (mask & ~present) {
        report(nullptr, line, "wrong mask: the mask names lanes that thread %lld's warp does not have: it has %lld "
               "(block %lld)", me->number, lanes, B.number);
        abandon();
    }
    for (int k = 0; k < 32; k++) {
        WarpCall& other = B.call[w][k];
        if (other.arrived && (other.mask & mask) && (other.mask != mask || other.line != line || other.kind != kind)) {
            report(nullptr, line, "wrong mask: thread %lld meets lanes of its warp that wait in another warp call or with "
                   "another mask, at line %lld (block %lld)", me->number, other.line, B.number);
            abandon();
        }
    }
    WarpCall& call = B.call[w][__builtin_ctz(mask)];
    unsigned turn = call.turn & 1;
    call.mask = mask, call.line = line, call.kind = kind;
    call.value[turn][l] = value;
    call.arrived |= 1u << l;
    me->line = line;
    me->state = IN_WARP_CALL;
    if (call.arrived == mask) {
        call.arrived = 0;
        call.turn++;
        unsigned now = ++B.segments;
        for (unsigned i = 0; i < lanes; i++) {
            if (!(mask >> i & 1)) continue;
            Thread& t = B.thread[w * 32 + i];
            t.state = READY;
#ifdef CUDASIM_CHECK
            if (kind == SYNC) {  // of all warp calls only this one orders memory
                for (unsigned j = 0; j < lanes; j++)
                    if (mask >> j & 1) t.seen[j] = now;
            }
#endif
        }
#ifdef CUDASIM_CHECK
        if (kind == SYNC)
            for (unsigned i = 0; i < lanes; i++)
                if (mask >> i & 1) B.thread[w * 32 + i].segment = now;
#endif
    }
    yield();
    return call.value[turn];
}

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

// ---- from a kernel's C signature to a call with its arguments packed as in a struct
template <class T> struct Code {
    typedef std::remove_cv_t<std::remove_pointer_t<T>> Item;
    static void write(char* out) {
        bool pointer = std::is_pointer<T>::value, constant = std::is_const<std::remove_pointer_t<T>>::value;
        const char* kind = "x0";
        static char number[3];
        if (std::is_void<Item>::value) kind = "V1";
        else if (std::is_arithmetic<Item>::value) {
            number[0] = std::is_same<Item, bool>::value ? 'b' : std::is_floating_point<Item>::value ? 'f'
                        : std::is_signed<Item>::value ? 'i' : 'u';
            number[1] = (char)('0' + size<Item>());
            kind = number;
        }
        out[0] = pointer ? (constant ? 'c' : 'p') : 'v';
        out[1] = kind[0], out[2] = kind[1], out[3] = ' ', out[4] = 0;
    }
    template <class U> static constexpr size_t size() {
        if constexpr (std::is_void<U>::value) return 1; else return sizeof(U);
    }
};

template <class F> struct Signature;
template <class... A> struct Signature<void (*)(A...)> {
    static const char* text() {
        static char out[4 * sizeof...(A) + 4];
        char* p = out;
        ((Code<A>::write(p), p += 4), ...);
        return out;
    }
    template <void (*F)(A...)> static void run(const char* arguments) { run<F>(arguments, std::index_sequence_for<A...>()); }
    template <void (*F)(A...), size_t... I> CUDASIM_PLAIN static void run(const char* arguments, std::index_sequence<I...>) {
        constexpr Offsets offsets;
        F(*(std::remove_cv_t<A>*)(arguments + offsets.at[I])...);
    }
    struct Offsets {
        size_t at[sizeof...(A) + 1] = {};
        constexpr Offsets() {
            size_t sizes[] = {sizeof(A)..., 1}, aligns[] = {alignof(A)..., 1}, place = 0;
            for (size_t i = 0; i < sizeof...(A); i++) {
                place = (place + aligns[i] - 1) / aligns[i] * aligns[i];
                at[i] = place;
                place += sizes[i];
            }
        }
    };
};
}  // namespace cudasim

#define CUDASIM_EXPORT extern "C" __attribute__((visibility("default")))
#define CUDASIM_KERNEL(NAME, FUNCTION)                                                                            \
    CUDASIM_EXPORT const char* cudasim_signature_##NAME() { return cudasim::Signature<decltype(&FUNCTION)>::text(); } \
    CUDASIM_EXPORT int cudasim_launch_##NAME(const char* arguments, const unsigned* dims, size_t dynamic_bytes,   \
                                             int order, unsigned long long seed) {                                \
        return cudasim::launch(cudasim::Signature<decltype(&FUNCTION)>::template run<&FUNCTION>, arguments, dims, \
                               dynamic_bytes, order, seed);                                                       \
    }
// The i-th finding: its words; places as offsets in this library, 0 for none.
CUDASIM_EXPORT const char* cudasim_report(int i, long long* places, const char** file, int* line) {
    static char here;
    Dl_info library;
    dladdr(&here, &library);
    cudasim::Report& r = cudasim::reports[i];
    places[0] = r.place ? (char*)r.place - (char*)library.dli_fbase : 0;
    places[1] = r.other ? (char*)r.other - (char*)library.dli_fbase : 0;
    *file = r.file;
    *line = r.line;
    return r.text;
}
