// What every kernel here uses: the element type, sums over a warp and over a block.
//
// real is float or double, chosen when the file is compiled (-Dreal=double). Sums are kept in double whatever real is.
// A block that calls block_sum has THREADS threads, in one line, and all of them call it.
#ifndef real
#define real float
#endif

#define THREADS 256
#define WARPS 8
#define FULL 0xffffffffu

// The sum of v over the 32 lanes of a warp, in lane 0. The tree is fixed, so the rounding is.
__device__ __forceinline__ double warp_sum(double v) {
    for (int step = 16; step > 0; step >>= 1) v += __shfl_down_sync(FULL, v, step);
    return v;
}

// The sum of v over the block, in every thread. part is shared and has WARPS elements.
__device__ __forceinline__ double block_sum(double v, double* part) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    v = warp_sum(v);
    __syncthreads();  // part may still be read from the call before
    if (lane == 0) part[warp] = v;
    __syncthreads();
    double total = 0;
    for (int i = 0; i < WARPS; ++i) total += part[i];
    return total;
}

// The same in every lane.
__device__ __forceinline__ double warp_total(double v) { return __shfl_sync(FULL, warp_sum(v), 0); }

// i / by, and the rest; i is not negative. A division of 64 bits costs several of 32, which do for most arrays.
__device__ __forceinline__ long long divided(long long i, int by, int& rest) {
    if (i > 0x7fffffff) {
        rest = (int)(i % by);
        return i / by;
    }
    const unsigned int quotient = (unsigned int)i / (unsigned int)by;
    rest = (int)((unsigned int)i - quotient * (unsigned int)by);
    return quotient;
}

__device__ __forceinline__ int rest_of(long long i, int by) {
    int rest;
    divided(i, by, rest);
    return rest;
}

// v where v > 0, slope v elsewhere; for slope 0, 0 where v <= 0.
__device__ __forceinline__ real leaky(real v, real slope) {
    if (slope == 0) return v <= 0 ? slope : v;
    return v > 0 ? v : slope * v;
}

// g where x > 0, slope g elsewhere; for slope 0, 0 where x <= 0.
__device__ __forceinline__ real gated(real g, real x, real slope) {
    if (slope == 0) return x <= 0 ? slope : g;
    return x > 0 ? g : slope * g;
}
