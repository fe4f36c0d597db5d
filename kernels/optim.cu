// Optimiser steps over a list of parameters, in place; the twin of optim.py, whose head has the formulas.
//
// A table (pieces, columns) of 64-bit integers lists pieces of at most 4096 numbers: the length; the addresses of the
// parameters, the gradients and the states. Block q owns piece q; its threads stride along, each number by one thread. So
// one launch is the whole step, however many parameters there are.
//
// Bytes a parameter in float32: Adam reads p, g, m, v and writes p, m, v: 28; RMSProp 20 (28 with momentum); SGD 12 (20);
// clipping 8; operations: 12, 8, 3, 2. Memory decides: Adam on an H100 (3.35 TB/s) 8.4 us a million parameters.
#include "common.cuh"

#define PIECE(column) reinterpret_cast<real*>(table[(long long)blockIdx.x * columns + (column)])

// Every parameter is limited to [-bound, bound].
extern "C" __global__ void clip_kernel(const long long* table, int columns, real bound) {
    const long long length = table[(long long)blockIdx.x * columns];
    real* p = PIECE(1);
    for (long long i = threadIdx.x; i < length; i += blockDim.x)
        p[i] = p[i] < -bound ? -bound : p[i] > bound ? bound : p[i];
}

extern "C" __global__ void sgd_kernel(const long long* table, int columns, real lr, real weight_decay, real keep, real fresh,
                                      real look_ahead, real follow) {
    const long long length = table[(long long)blockIdx.x * columns];
    real* p = PIECE(1);
    const real* g = PIECE(2);
    real* buf = columns > 3 ? PIECE(3) : p;
    for (long long i = threadIdx.x; i < length; i += blockDim.x) {
        const real d = g[i] + weight_decay * p[i];
        if (columns == 3) {
            p[i] -= lr * d;
        } else {
            const real b = keep * buf[i] + fresh * d;
            buf[i] = b;
            p[i] -= lr * (look_ahead * d + follow * b);
        }
    }
}

extern "C" __global__ void rmsprop_kernel(const long long* table, int columns, real lr, real alpha, real rest, real eps,
                                          real weight_decay, real momentum) {
    const long long length = table[(long long)blockIdx.x * columns];
    real* p = PIECE(1);
    const real* g = PIECE(2);
    real* sq = PIECE(3);
    real* buf = columns > 4 ? PIECE(4) : p;
    for (long long i = threadIdx.x; i < length; i += blockDim.x) {
        real d = g[i] + weight_decay * p[i];
        const real s = alpha * sq[i] + rest * d * d;
        sq[i] = s;
        d /= sqrt(s) + eps;
        if (columns > 4) {
            d += momentum * buf[i];
            buf[i] = d;
        }
        p[i] -= lr * d;
    }
}

extern "C" __global__ void adam_kernel(const long long* table, int columns, real rate, real scale, real rest1, real beta2,
                                       real rest2, real eps, real weight_decay, real shrink) {
    const long long length = table[(long long)blockIdx.x * columns];
    real* p = PIECE(1);
    const real* g = PIECE(2);
    real* m = PIECE(3);
    real* v = PIECE(4);
    for (long long i = threadIdx.x; i < length; i += blockDim.x) {
        const real d = g[i] + weight_decay * p[i];
        const real m1 = m[i] + rest1 * (d - m[i]);
        const real v1 = beta2 * v[i] + rest2 * d * d;
        m[i] = m1;
        v[i] = v1;
        p[i] = shrink * p[i] - rate * m1 / (scale * sqrt(v1) + eps);
    }
}
