// Normalisation within a sample, layer and instance norm, and its first derivative; the twin of layernorm.py, whose head
// has the formulas.
//
//     row_norm, row_norm_grad:        block i owns row i of (rows, n); its 256 threads stride along it, and sum it by warp
//                                     shuffles, twice: the mean, then the centred squares (and g, and g times those).
//     column_norm, column_norm_grad:  block (outer, tile) owns 32 neighbouring columns of (outer, n, inner). A warp reads
//                                     32 neighbours of one line, the 8 warps take every eighth line and meet in shared
//                                     memory, in order.
//
// Bytes in float32: forward 16 an element at most (x read three times, of which a cache has two, out written), gradient
// 24; operations: 6 and 14 an element. Memory decides: on an H100 (3.35 TB/s), each number read once from memory, 2.4 and
// 3.6 us a million elements.
#include "common.cuh"

// (mean, (variance + eps)^-1/2) of a row of n, in every thread.
__device__ __forceinline__ void row_moments(const real* row, double eps, int n, double* part, double* mean, double* r) {
    double sum = 0;
    for (int j = threadIdx.x; j < n; j += THREADS) sum += row[j];
    *mean = block_sum(sum, part) / n;
    sum = 0;
    for (int j = threadIdx.x; j < n; j += THREADS) sum += (row[j] - *mean) * (row[j] - *mean);
    *r = 1 / sqrt(block_sum(sum, part) / n + eps);
}

extern "C" __global__ void __launch_bounds__(256) row_norm_kernel(const real* x, double eps, real* out, int n) {
    __shared__ double part[WARPS];
    const long long start = (long long)blockIdx.x * n;
    double mean, r;
    row_moments(x + start, eps, n, part, &mean, &r);
    for (int j = threadIdx.x; j < n; j += THREADS) out[start + j] = (real)((x[start + j] - mean) * r);
}

extern "C" __global__ void __launch_bounds__(256)
row_norm_grad_kernel(const real* x, const real* g, double eps, real* dx, int n) {
    __shared__ double part[WARPS];
    const long long start = (long long)blockIdx.x * n;
    double mean, r, of_g = 0, of_gh = 0;
    row_moments(x + start, eps, n, part, &mean, &r);
    for (int j = threadIdx.x; j < n; j += THREADS) {
        of_g += g[start + j];
        of_gh += g[start + j] * (x[start + j] - mean);
    }
    of_g = block_sum(of_g, part) / n;
    of_gh = block_sum(of_gh, part) * r / n;
    for (int j = threadIdx.x; j < n; j += THREADS)
        dx[start + j] = (real)(r * (g[start + j] - of_g - (x[start + j] - mean) * r * of_gh));
}

// The sum of v over the block's 8 warps, lane by lane, in every thread. part is shared, 256 numbers.
__device__ __forceinline__ double column_sum(double v, double* part) {
    __syncthreads();  // part may still be read from the sum before
    part[threadIdx.x] = v;
    __syncthreads();
    double sum = 0;
    for (int w = 0; w < WARPS; ++w) sum += part[w * 32 + threadIdx.x % 32];
    return sum;
}

// (mean, (variance + eps)^-1/2) of this lane's column, which starts at `from`; a lane without one reads nothing.
__device__ __forceinline__ void column_moments(const real* from, double eps, int n, int inner, bool reads, double* part,
                                               double* mean, double* r) {
    double sum = 0;
    if (reads)
        for (int j = threadIdx.x / 32; j < n; j += WARPS) sum += from[(long long)j * inner];
    *mean = column_sum(sum, part) / n;
    sum = 0;
    if (reads)
        for (int j = threadIdx.x / 32; j < n; j += WARPS) {
            const double d = from[(long long)j * inner] - *mean;
            sum += d * d;
        }
    *r = 1 / sqrt(column_sum(sum, part) / n + eps);
}

extern "C" __global__ void __launch_bounds__(256)
column_norm_kernel(const real* x, double eps, real* out, int n, int inner) {
    __shared__ double part[256];
    const int c = blockIdx.y * 32 + threadIdx.x % 32;
    const long long start = (long long)blockIdx.x * n * inner + c;
    double mean, r;
    column_moments(x + start, eps, n, inner, c < inner, part, &mean, &r);
    if (c < inner)
        for (int j = threadIdx.x / 32; j < n; j += WARPS) {
            const long long at = start + (long long)j * inner;
            out[at] = (real)((x[at] - mean) * r);
        }
}

extern "C" __global__ void __launch_bounds__(256)
column_norm_grad_kernel(const real* x, const real* g, double eps, real* dx, int n, int inner) {
    __shared__ double part[256];
    const int c = blockIdx.y * 32 + threadIdx.x % 32;
    const long long start = (long long)blockIdx.x * n * inner + c;
    double mean, r, of_g = 0, of_gh = 0;
    column_moments(x + start, eps, n, inner, c < inner, part, &mean, &r);
    if (c < inner)
        for (int j = threadIdx.x / 32; j < n; j += WARPS) {
            const long long at = start + (long long)j * inner;
            of_g += g[at];
            of_gh += g[at] * (x[at] - mean);
        }
    of_g = column_sum(of_g, part) / n;
    of_gh = column_sum(of_gh, part) * r / n;
    if (c < inner)
        for (int j = threadIdx.x / 32; j < n; j += WARPS) {
            const long long at = start + (long long)j * inner;
            dx[at] = (real)(r * (g[at] - of_g - (x[at] - mean) * r * of_gh));
        }
}
