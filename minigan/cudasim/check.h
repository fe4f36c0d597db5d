// Check mode: what happens at every load and store of a kernel.
//
// The kernel is compiled with -fsanitize=thread,bounds-strict,... but linked without the sanitizers' libraries: the
// calls that g++ puts before each access (__tsan_read4, ...) and after each failed test (__ubsan_handle_...) come here.
//
// Every item of an array and of shared memory has a Cell that remembers who wrote it and who read it. Two accesses by
// different threads, one of them a write, are a race unless something orders them: a __syncthreads between them (the
// epoch differs), or, in one warp, a __syncwarp in which both took part after the first (Thread::seen). Blocks are never
// ordered. Lockstep within a warp is not an order, and shuffles order registers, not memory. Two atomics do not race.
//
// The memory that may be touched is a table of regions: the arguments of the launch, which Python tells, and the
// variables in the kernel's text (__device__, __constant__, static), which assembly.py lists.
#pragma once
#include "entry.h"

extern "C" __attribute__((visibility("hidden"))) char _DYNAMIC, _end;  // the linker's: what can be written in this
                                                                       // library begins, and its data ends

namespace cudasim {

enum Access { READ = 1, WRITE = 2, ATOMIC = 4 };
enum Several : unsigned char { ONE, THREADS, BLOCKS };

struct Cell {
    void *write_place, *read_place;
    unsigned write_block, write_epoch, write_clock;
    unsigned read_block, read_epoch, read_clock, read_lanes;
    unsigned short write_thread, read_thread;
    unsigned short second_writer, second_reader;  // where there are several: another one
    bool written, read, write_atomic;
    Several writers, readers;
};

// A span that an argument gives the kernel; several may share one area, the memory with its cells.
struct Region { char *low, *high; const char* name; int writable, area; };
struct Area { char *low, *high; size_t item; Cell* cells; };
struct Variable { char* low; size_t bytes; const char* name; long writable; };  // of the kernel's text; low is 0 at the end
extern "C" __attribute__((visibility("hidden"))) Variable cudasim_variables[];
enum { VARIABLE_GUARD = 512 };  // bytes on both sides of a variable that are nobody's
static Region* regions;
static Area* areas;
static int region_count, area_count;

struct SharedVariable { char *low, *high; size_t item; Cell* cells; bool touched; };
static SharedVariable variables[256];
static int variable_count;
static short owner[ARENA / 16];  // 1 + index of the variable that has these 16 bytes
static Cell* shared_cells;
static char* library_low;

CUDASIM_RUNTIME void shadow_new_block() {
    variable_count = 0;
    memset(owner, 0, sizeof owner);
    if (!shared_cells) shared_cells = (Cell*)calloc(ARENA, sizeof(Cell));
}
CUDASIM_RUNTIME void shadow_shared(char* p, size_t bytes, size_t item) {
    if (variable_count == 256) {
        report(nullptr, 0, "more than 256 shared variables");
        abandon();
    }
    size_t start = p - B.arena;
    if (item > 8) item = 4;
    variables[variable_count++] = {p, p + bytes, item, shared_cells + start, false};
    for (size_t i = start / 16; i < (start + bytes + 15) / 16; i++) owner[i] = (short)variable_count;
    memset((void*)(shared_cells + start), 0, (bytes / item + 1) * sizeof(Cell));
}
// The dynamic memory's items are those of the first type it is declared with.
CUDASIM_RUNTIME void shadow_dynamic(size_t item) {
    if (B.dynamic && !variables[0].touched) variables[0].item = item > 8 ? 4 : item;
}

CUDASIM_RUNTIME bool ordered(unsigned block, unsigned thread, unsigned epoch, unsigned clock) {
    Thread* me = B.current;
    if (block != B.number) return false;
    if (thread == me->number || epoch != B.barrier_epoch) return true;
    return thread >> 5 == me->number >> 5 && me->seen[thread & 31] > clock;
}

CUDASIM_RUNTIME bool readers_ordered(const Cell& c) {
    Thread* me = B.current;
    if (c.read_block != B.number || c.readers == BLOCKS) return false;
    if (c.read_epoch != B.barrier_epoch) return true;
    if (c.readers == THREADS || c.read_thread >> 5 != (int)(me->number >> 5)) return false;
    for (unsigned l = 0; l < 32; l++)
        if ((c.read_lanes >> l & 1) && l != (me->number & 31) && me->seen[l] <= c.read_clock) return false;
    return true;
}

// One of the readers that a write now collides with.
CUDASIM_RUNTIME unsigned other_reader(const Cell& c) {
    Thread* me = B.current;
    if (c.read_block != B.number) return c.read_thread;
    unsigned warp = c.read_thread & ~31u;
    for (unsigned l = 0; l < 32; l++)
        if ((c.read_lanes >> l & 1) && warp + l != me->number && (warp != (me->number & ~31u) || me->seen[l] <= c.read_clock))
            return warp + l;
    return c.second_reader;
}

CUDASIM_RUNTIME void race(void* place, void* other, const char* words, unsigned thread, unsigned block) {
    char format[200];
    snprintf(format, sizeof format, block == B.number ? "race, %s: threads %%lld and %%lld of block %%lld"
                                                      : "race across blocks, %s: thread %%lld of block %%lld and thread "
                                                        "%%lld of block %%lld", words);
    int before = report_count;
    if (block == B.number) report(place, 0, format, thread, B.current->number, B.number);
    else report(place, 0, format, thread, block, B.current->number, B.number);
    if (report_count > before) reports[before].other = other;
}

CUDASIM_RUNTIME void remember(Cell& c, int kind, void* place, const char* what) {
    Thread* me = B.current;
    bool writes = kind & WRITE, atomic = kind & ATOMIC;
    char words[120];
    if (c.written && !(atomic && c.write_atomic)) {
        bool fine = c.writers == BLOCKS ? false
                    : c.writers == THREADS ? c.write_block == B.number && c.write_epoch != B.barrier_epoch
                    : ordered(c.write_block, c.write_thread, c.write_epoch, c.write_clock);
        if (!fine) {
            snprintf(words, sizeof words, "%s after write of %s", writes ? "write" : "read", what);
            unsigned other = c.write_thread;
            if (c.writers == THREADS && other == me->number) other = c.second_writer;
            race(place, c.write_place, words, other, c.write_block);
        }
    }
    if (writes && c.read && !readers_ordered(c)) {
        snprintf(words, sizeof words, "write after read of %s", what);
        race(place, c.read_place, words, other_reader(c), c.read_block);
    }
    if (writes) {
        Several writers = ONE;
        if (atomic && c.written && c.write_atomic) {
            if (c.write_block != B.number || c.writers == BLOCKS) writers = BLOCKS;
            else if (c.write_epoch == B.barrier_epoch && (c.writers == THREADS || c.write_thread != me->number))
                writers = THREADS;
        }
        if (writers == THREADS) c.second_writer = c.write_thread == me->number ? c.second_writer : c.write_thread;
        c.written = true, c.write_atomic = atomic, c.writers = writers, c.write_place = place;
        c.write_block = B.number, c.write_thread = (unsigned short)me->number;
        c.write_epoch = B.barrier_epoch, c.write_clock = me->segment;
        if (!atomic) c.read = false;
        return;
    }
    bool fresh = !c.read || (c.read_block == B.number && c.read_epoch != B.barrier_epoch && c.readers != BLOCKS);
    if (fresh) {
        c.read = true, c.readers = ONE, c.read_lanes = 0, c.read_clock = 0;
    } else if (c.read_block != B.number) {
        c.readers = BLOCKS;
        return;
    } else if (c.read_thread >> 5 != (int)(me->number >> 5)) {
        if (c.readers == ONE) c.readers = THREADS, c.second_reader = (unsigned short)me->number;
        return;
    }
    c.read_block = B.number, c.read_epoch = B.barrier_epoch, c.read_thread = (unsigned short)me->number;
    c.read_place = place;
    c.read_lanes |= 1u << (me->number & 31);
    if (me->segment > c.read_clock) c.read_clock = me->segment;
}

CUDASIM_RUNTIME void out_of_bounds(const char* p, size_t bytes, int kind, void* place) {
    Thread* me = B.current;
    const char* verb = kind & WRITE ? "write" : "read";
    char format[200];
    if (p < (char*)4096) {
        snprintf(format, sizeof format, "%s through a null pointer: thread %%lld of block %%lld", verb);
        report(place, 0, format, me->number, B.number);
        abandon();
    }
    const char* near = nullptr;
    long long distance = 0;
    for (int i = 0; i < region_count; i++) {
        long long d = p < regions[i].low ? p - regions[i].low : p + bytes - regions[i].high;
        if (!near || llabs(d) < llabs(distance)) near = regions[i].name, distance = d;
    }
    if (near)
        snprintf(format, sizeof format, "%s out of bounds: %%lld bytes %s %s: thread %%lld of block %%lld", verb,
                 distance < 0 ? "before" : "past the end of", near);
    else snprintf(format, sizeof format, "%s out of bounds (address %%lld): thread %%lld of block %%lld", verb);
    report(place, 0, format, near ? llabs(distance) : (long long)p, me->number, B.number);
    abandon();
}

CUDASIM_PLAIN static inline bool is_index(const char* p) {
    return (size_t)(p - (char*)&threadIdx) < sizeof threadIdx || (size_t)(p - (char*)&blockIdx) < sizeof blockIdx ||
           (size_t)(p - (char*)&blockDim) < sizeof blockDim || (size_t)(p - (char*)&gridDim) < sizeof gridDim;
}
// Whether this is a read of a constant that has no name: text in quotes, a table that the compiler made.
CUDASIM_RUNTIME bool is_literal(const char* p, int kind) {
    if ((kind & WRITE) || p < library_low || p >= &_DYNAMIC) return false;
    for (Variable* v = cudasim_variables; v->low; v++)
        if (p >= v->low - VARIABLE_GUARD && p < v->low + v->bytes + VARIABLE_GUARD) return false;
    return true;
}

CUDASIM_RUNTIME void access(const void* address, size_t bytes, int kind, void* place, size_t alignment) {
    if (!B.current) return;
    char* p = (char*)address;
    if ((size_t)(p - B.stacks) < (size_t)MAX_THREADS * STACK || is_index(p)) return;
    Thread* me = B.current;
    if (alignment > 1 && (size_t)p % alignment) {
        report(place, 0, "misaligned access of %lld bytes: thread %lld of block %lld", bytes, me->number, B.number);
        abandon();
    }
    if ((size_t)(p - B.arena) < ARENA) {
        int index = owner[(p - B.arena) / 16] - 1;
        if (index < 0 || p < variables[index].low || p + bytes > variables[index].high) {
            report(place, 0, kind & WRITE ? "write out of bounds of shared memory: thread %lld of block %lld"
                                          : "read out of bounds of shared memory: thread %lld of block %lld",
                   me->number, B.number);
            abandon();
        }
        SharedVariable& v = variables[index];
        v.touched = true;
        for (size_t i = (p - v.low) / v.item; i <= (p + bytes - 1 - v.low) / v.item; i++) {
            if ((kind & READ) && !v.cells[i].written)
                report(place, 0, "uninitialised: shared memory is read before anything was written there: thread %lld of "
                       "block %lld", me->number, B.number);
            remember(v.cells[i], kind, place, "shared memory");
        }
        return;
    }
    bool inside = false, constant = false;
    int area = -1;
    const char* name = "";
    for (int i = 0; i < region_count; i++) {
        Region& r = regions[i];
        if (p < r.low || p + bytes > r.high) continue;
        area = r.area;
        if (!inside || r.writable) name = r.name;
        inside = true;
        constant = (kind & WRITE) && !r.writable;
        if (!constant) break;
    }
    if (!inside && is_literal(p, kind)) return;
    if (!inside) out_of_bounds(p, bytes, kind, place);
    if (constant) {
        char format[120];
        snprintf(format, sizeof format, "write through const %s: thread %%lld of block %%lld", name);
        report(place, 0, format, me->number, B.number);
        return;
    }
    Area& a = areas[area];
    for (size_t i = (p - a.low) / a.item; i <= (p + bytes - 1 - a.low) / a.item; i++)
        remember(a.cells[i], kind, place, name);
}
CUDASIM_RUNTIME void check_atomic(const void* address, unsigned bytes, void* place) {
    access(address, bytes, READ | WRITE | ATOMIC, place, bytes);
}

// ---- what g++ calls
struct SourceLine { const char* file; unsigned line, column; };

CUDASIM_RUNTIME void undefined(const SourceLine* where, const char* words, bool fatal) {
    if (!B.current) return;
    char format[160];
    snprintf(format, sizeof format, "%s: thread %%lld of block %%lld", words);
    int before = report_count;
    report(nullptr, (int)where->line, format, B.current->number, B.number);
    if (report_count > before) reports[before].file = where->file;
    if (fatal) abandon();
}
}  // namespace cudasim

#define CUDASIM_HOOK(N)                                                                                                \
    extern "C" CUDASIM_PLAIN void __tsan_read##N(void* p) {                                                            \
        cudasim::access(p, N, cudasim::READ, __builtin_return_address(0), N);                                          \
    }                                                                                                                  \
    extern "C" CUDASIM_PLAIN void __tsan_write##N(void* p) {                                                           \
        cudasim::access(p, N, cudasim::WRITE, __builtin_return_address(0), N);                                         \
    }                                                                                                                  \
    extern "C" CUDASIM_PLAIN void __tsan_unaligned_read##N(void* p) {                                                  \
        cudasim::access(p, N, cudasim::READ, __builtin_return_address(0), 1);                                          \
    }                                                                                                                  \
    extern "C" CUDASIM_PLAIN void __tsan_unaligned_write##N(void* p) {                                                 \
        cudasim::access(p, N, cudasim::WRITE, __builtin_return_address(0), 1);                                         \
    }
CUDASIM_HOOK(1)
CUDASIM_HOOK(2)
CUDASIM_HOOK(4)
CUDASIM_HOOK(8)
CUDASIM_HOOK(16)
extern "C" CUDASIM_PLAIN void __tsan_read_range(void* p, size_t n) {
    cudasim::access(p, n, cudasim::READ, __builtin_return_address(0), 1);
}
extern "C" CUDASIM_PLAIN void __tsan_write_range(void* p, size_t n) {
    cudasim::access(p, n, cudasim::WRITE, __builtin_return_address(0), 1);
}
extern "C" CUDASIM_PLAIN void __tsan_func_entry(void*) {}
extern "C" CUDASIM_PLAIN void __tsan_func_exit() {}
extern "C" CUDASIM_PLAIN void __tsan_init() {}

#define CUDASIM_UNDEFINED(NAME, WORDS, FATAL)                                                        \
    extern "C" CUDASIM_PLAIN void __ubsan_handle_##NAME(void* data, size_t, size_t) {                \
        cudasim::undefined((cudasim::SourceLine*)data, WORDS, FATAL);                                \
    }
CUDASIM_UNDEFINED(out_of_bounds, "array index out of bounds", true)
CUDASIM_UNDEFINED(shift_out_of_bounds, "shift by more bits than there are, or of a negative number", false)
CUDASIM_UNDEFINED(divrem_overflow, "integer division by zero, or overflow in a division", true)
CUDASIM_UNDEFINED(add_overflow, "integer overflow in an addition", false)
CUDASIM_UNDEFINED(sub_overflow, "integer overflow in a subtraction", false)
CUDASIM_UNDEFINED(mul_overflow, "integer overflow in a multiplication", false)
CUDASIM_UNDEFINED(negate_overflow, "integer overflow in a negation", false)
extern "C" CUDASIM_PLAIN void __ubsan_handle_type_mismatch_v1(void* data, void* pointer) {
    const char* words = pointer ? "misaligned access" : "access through a null pointer";
    cudasim::undefined((cudasim::SourceLine*)data, words, true);
}

CUDASIM_EXPORT CUDASIM_PLAIN void cudasim_forget() {
    using namespace cudasim;
    for (int i = 0; i < area_count; i++) free(areas[i].cells);
    for (int i = 0; i < region_count; i++) free((void*)regions[i].name);
    region_count = area_count = 0;
}
// Says which arguments the next launch may touch; they are copied, so that nothing of Python's need stay. The variables
// of the kernel's text come along.
CUDASIM_EXPORT CUDASIM_PLAIN void cudasim_memory(const cudasim::Region* r, int n, const cudasim::Area* a, int m) {
    using namespace cudasim;
    static char here;
    Dl_info info;
    dladdr(&here, &info);
    library_low = (char*)info.dli_fbase;
    cudasim_forget();
    int variables = 0;
    while (cudasim_variables[variables].low) variables++;
    regions = (Region*)realloc((void*)regions, (n + variables + 1) * sizeof(Region)), region_count = n + variables;
    areas = (Area*)realloc((void*)areas, (m + variables + 1) * sizeof(Area)), area_count = m + variables;
    memcpy((void*)regions, r, n * sizeof(Region));
    memcpy((void*)areas, a, m * sizeof(Area));
    for (int i = 0; i < variables; i++) {
        Variable& v = cudasim_variables[i];
        regions[n + i] = {v.low, v.low + v.bytes, v.name, (int)v.writable, m + i};
        areas[m + i] = {v.low, v.low + v.bytes, 1, nullptr};
    }
    for (int i = 0; i < region_count; i++) regions[i].name = strdup(regions[i].name);
    for (int i = 0; i < area_count; i++)
        areas[i].cells = (Cell*)calloc((areas[i].high - areas[i].low) / areas[i].item + 1, sizeof(Cell));
}
CUDASIM_EXPORT cudasim::Variable* cudasim_variable_table() { return cudasim::cudasim_variables; }
extern "C" __attribute__((visibility("hidden"))) const char cudasim_unset[];
CUDASIM_EXPORT const char* cudasim_unset_locals() { return cudasim_unset; }
