// Where threads wait for each other: __syncthreads, and the warp calls (__syncwarp, shuffles, votes).
//
// A thread that waits is put aside, and the scheduler of run.h goes on with another. What CUDA leaves undefined, a
// barrier that some threads never reach, a mask whose lanes do not all come, is reported, and the block given up.
#pragma once
#include "block.h"

namespace cudasim {
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
}  // namespace cudasim
