// A block of CUDA threads on one CPU thread: what it is made of.
//
// Every thread runs on a fiber: a stack of its own, switched by hand where CUDA makes threads wait. Here stand the
// threads, the fibers and how they are switched, the order in which they come, and the reports of what goes wrong.
// wait.h has what makes threads wait, run.h what makes them run.
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
}  // namespace cudasim
