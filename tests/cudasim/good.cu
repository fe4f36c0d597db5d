// Kernels without a mistake: each must give its result, and check mode must say nothing.
#ifndef real
#define real float
#endif
#define FULL 0xffffffffu
#include "part.cuh"

extern "C" __global__ void __launch_bounds__(256) twice(const real* __restrict__ x, real* __restrict__ y, long long n) {
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < n; i += (long long)gridDim.x * blockDim.x)
        y[i] = doubled(x[i]);
}
extern "C" __global__ void warp_scan(const int* x, int* y, int n) {  // inclusive, and the odd ones counted
    int i = blockIdx.x * blockDim.x + threadIdx.x, lane = threadIdx.x & 31, v = i < n ? x[i] : 0;
    for (int o = 1; o < 32; o <<= 1) {
        int u = __shfl_up_sync(FULL, v, o);
        if (lane >= o) v += u;
    }
    unsigned odd = __ballot_sync(FULL, v & 1);
    if (i < n) y[i] = v * 100 + __popc(odd);
}
extern "C" __global__ void warp_tree(real* y) {  // in shared memory, ordered by __syncwarp
    __shared__ real s[4][32];
    int w = threadIdx.x >> 5, l = threadIdx.x & 31;
    s[w][l] = threadIdx.x;
    __syncwarp();
    for (int o = 16; o; o >>= 1) {
        real v = l < o ? s[w][l + o] : real(0);
        __syncwarp();
        if (l < o) s[w][l] += v;
        __syncwarp();
    }
    if (l == 0) y[w] = s[w][0];
}
extern "C" __global__ void half_warps(real* y) {  // two masks at work at once
    real v = threadIdx.x;
    if (threadIdx.x < 16)
        for (int o = 8; o; o >>= 1) v += __shfl_xor_sync(0x0000ffffu, v, o, 16);
    else
        for (int o = 8; o; o >>= 1) v += __shfl_xor_sync(0xffff0000u, v, o, 16);
    y[threadIdx.x] = v;
}
extern "C" __global__ void transpose(const real* __restrict__ x, real* __restrict__ y, int rows, int columns) {
    __shared__ real tile[16][17];
    int c = blockIdx.x * 16 + threadIdx.x, r = blockIdx.y * 16 + threadIdx.y;
    if (r < rows && c < columns) tile[threadIdx.y][threadIdx.x] = x[r * columns + c];
    __syncthreads();
    c = blockIdx.x * 16 + threadIdx.y, r = blockIdx.y * 16 + threadIdx.x;
    if (r < rows && c < columns) y[c * rows + r] = tile[threadIdx.x][threadIdx.y];
}
template <int TILE> __device__ void matmul_body(const real* a, const real* b, real* c, int m, int n, int k) {
    __shared__ real as[TILE][TILE];
    __shared__ real bs[TILE][TILE];
    int row = blockIdx.y * TILE + threadIdx.y, column = blockIdx.x * TILE + threadIdx.x;
    real sum = 0;
    for (int k0 = 0; k0 < k; k0 += TILE) {
        as[threadIdx.y][threadIdx.x] = row < m && k0 + threadIdx.x < k ? a[row * k + k0 + threadIdx.x] : real(0);
        bs[threadIdx.y][threadIdx.x] = column < n && k0 + threadIdx.y < k ? b[(k0 + threadIdx.y) * n + column] : real(0);
        __syncthreads();
#pragma unroll
        for (int i = 0; i < TILE; ++i) sum = fma(as[threadIdx.y][i], bs[i][threadIdx.x], sum);
        __syncthreads();
    }
    if (row < m && column < n) c[row * n + column] = sum;
}
extern "C" __global__ void matmul(const real* a, const real* b, real* c, int m, int n, int k) {
    matmul_body<8>(a, b, c, m, n, k);
}
extern "C" __global__ void histogram(const int* bin, const real* value, real* sums, int* counts, int n, int bins) {
    extern __shared__ real partial[];
    for (int i = threadIdx.x; i < bins; i += blockDim.x) partial[i] = 0;
    __syncthreads();
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        atomicAdd(&partial[bin[i]], value[i]);
        atomicAdd(&counts[bin[i]], 1);
    }
    __syncthreads();
    for (int i = threadIdx.x; i < bins; i += blockDim.x) atomicAdd(&sums[i], partial[i]);
}
extern "C" __global__ void by_fours(const float* x, float* y, int fours) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= fours) return;
    float4 v = reinterpret_cast<const float4*>(x)[i];
    v.x = -v.x, v.y = -v.y, v.z = -v.z, v.w = -v.w;
    reinterpret_cast<float4*>(y)[i] = v;
}
extern "C" __global__ void bytes(unsigned char* mask, int n) {  // neighbours in one word, written by different threads
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) mask[i] = i & 1;
}
extern "C" __global__ void select(const bool* take, const real* x, real* y, int n) {  // also a C library function's name
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = take[i] ? x[i] : -x[i];
}
