// Batch normalisation over rows (M, C) and its first and second derivative; the twin of norm.py, whose head has the formulas.
//
// Everything written is, channel by channel, a linear combination of x - m, g, a and 1. So each function is three kernels:
//
//     chunk_sums:    block (channel tile, chunk) owns s[chunk, :, 32 channels]: first x of the chunk, then the sums, x
//                    centred on that, of x, x x, g, g x, a, a x, a g. A warp reads 32 neighbouring channels of a row; the 8
//                    warps take every eighth row and meet in shared memory, in order.
//     coefficients:  warp c owns channel c: it joins the chunks' moments (Chan, Golub and LeVeque 1983, equation 2.1), a
//                    lane every 32nd chunk, and writes the channel's coefficients k, in double until they are stored.
//     normalise, combine:  thread i owns elements i, i + T, ... of out.
//
// Bytes in float32: forward 12 an element (x read twice, y written), gradient 20, second derivative 32 (two results);
// operations: 6, 12 and 25 an element. Memory decides; on an H100 (3.35 TB/s) 3.6, 6.0 and 9.6 us a million elements.
#include "common.cuh"

#define CENTRE 0
#define X 1
#define XX 2
#define G 3
#define GX 4
#define A 5
#define AX 6
#define AG 7
#define MEAN 1
#define VAR 2

// The sum over the block's 8 warps of each lane's v, in warp 0. part is shared, 256 numbers.
__device__ __forceinline__ double across_warps(double v, double* part) {
    __syncthreads();  // part may still be read from the sum before
    part[threadIdx.x] = v;
    __syncthreads();
    double sum = v;
    if (threadIdx.x < 32)
        for (int w = 1; w < WARPS; ++w) sum += part[w * 32 + threadIdx.x];
    return sum;
}

// sums: 3 without cotangents, 5 with g, 8 with g and a; an array that is not used may be any of the others.
extern "C" __global__ void __launch_bounds__(256)
chunk_sums_kernel(const real* x, const real* g, const real* a, const real* mask, real slope, double* s, long long rows,
                  int channels, int chunk, int sums) {
    __shared__ double part[256];
    const int c = blockIdx.x * 32 + threadIdx.x % 32;
    const long long first = (long long)blockIdx.y * chunk, last = first + chunk < rows ? first + chunk : rows;
    const double centre = c < channels && first < last ? (double)x[first * channels + c] : 0;
    double v[8];
    for (int j = 0; j < 8; ++j) v[j] = 0;
    if (c < channels)
        for (long long i = first + threadIdx.x / 32; i < last; i += WARPS) {
            const long long at = i * channels + c;
            const double d = x[at] - centre;
            v[X] += d;
            v[XX] += d * d;
            if (sums > G) {
                const double gate = gated(g[at], mask[at], slope);
                v[G] += gate;
                v[GX] += gate * d;
                if (sums > A) {
                    v[A] += a[at];
                    v[AX] += a[at] * d;
                    v[AG] += a[at] * gate;
                }
            }
        }
    const long long to = (long long)blockIdx.y * sums * channels + c;
    const bool writes = threadIdx.x < 32 && c < channels;
    if (writes) s[to] = centre;
#pragma unroll
    for (int j = 1; j < 8; ++j)
        if (j < sums) {
            const double sum = across_warps(v[j], part);
            if (writes) s[to + (long long)j * channels] = sum;
        }
}

// The channel of this thread's warp.
__device__ __forceinline__ int warp_channel() { return blockIdx.x * WARPS + threadIdx.x / 32; }

// The means of channel c over all rows, from the sums of its chunks: m[8], in every lane of the warp.
__device__ __forceinline__ void moments(const double* s, long long rows, int chunk, int channels, int sums, int c, double* m) {
    const int chunks = (int)((rows + chunk - 1) / chunk);
    const double weight = 1.0 / (rows > 0 ? (double)rows : 1.0);
#pragma unroll
    for (int j = 0; j < 8; ++j) m[j] = 0;
    for (int q = threadIdx.x % 32; q < chunks; q += 32) {
        const double* t = s + (long long)q * sums * channels + c;
        const double count = rows - (long long)q * chunk < chunk ? (double)(rows - (long long)q * chunk) : (double)chunk;
        m[MEAN] += weight * (count * t[0] + t[(long long)X * channels]);
    }
    m[MEAN] = warp_total(m[MEAN]);
    for (int q = threadIdx.x % 32; q < chunks; q += 32) {
        const double* t = s + (long long)q * sums * channels + c;
        const double count = rows - (long long)q * chunk < chunk ? (double)(rows - (long long)q * chunk) : (double)chunk;
        const double shift = t[0] - m[MEAN];
        m[VAR] += weight * (t[(long long)XX * channels] + shift * (2 * t[(long long)X * channels] + count * shift));
        if (sums > G) {
            m[G] += weight * t[(long long)G * channels];
            m[GX] += weight * (t[(long long)GX * channels] + shift * t[(long long)G * channels]);
        }
        if (sums > A) {
            m[A] += weight * t[(long long)A * channels];
            m[AX] += weight * (t[(long long)AX * channels] + shift * t[(long long)A * channels]);
            m[AG] += weight * t[(long long)AG * channels];
        }
    }
#pragma unroll
    for (int j = VAR; j < 8; ++j)
        if (j == VAR || j < sums) m[j] = warp_total(m[j]);
}

// Column c of k (terms, channels): k0 + k1 (x - k2) + k3 g + k4 a is constant + slope (x - mean) + of_g g + of_a a.
__device__ __forceinline__ void set(real* k, int c, int channels, int terms, double mean, double constant, double slope,
                                    double of_g, double of_a) {
    const real centre = (real)mean;
    k[c] = (real)(constant + slope * (centre - mean));
    k[channels + c] = (real)slope;
    k[2 * channels + c] = centre;
    if (terms > 3) k[3 * channels + c] = (real)of_g;
    if (terms > 4) k[4 * channels + c] = (real)of_a;
}

extern "C" __global__ void forward_coefficients_kernel(const double* s, long long rows, int chunk, const real* weight,
                                                       const real* bias, double eps, real* k, real* mean, real* var,
                                                       int channels) {
    const int c = warp_channel();
    if (c >= channels) return;
    double m[8];
    moments(s, rows, chunk, channels, 3, c, m);
    if (threadIdx.x % 32) return;
    mean[c] = (real)m[MEAN];
    var[c] = (real)m[VAR];
    set(k, c, channels, 3, m[MEAN], bias[c], weight[c] / sqrt(m[VAR] + eps), 0, 0);
}

extern "C" __global__ void grad_coefficients_kernel(const double* s, long long rows, int chunk, const real* weight,
                                                    double eps, real* k, real* dw, real* db, int channels) {
    const int c = warp_channel();
    if (c >= channels) return;
    double m[8];
    moments(s, rows, chunk, channels, 5, c, m);
    if (threadIdx.x % 32) return;
    const double r = 1 / sqrt(m[VAR] + eps), wr = weight[c] * r, gh = m[GX] * r;
    dw[c] = (real)(rows * gh);
    db[c] = (real)(rows * m[G]);
    set(k, c, channels, 4, m[MEAN], -wr * m[G], -wr * gh * r, wr, 0);
}

extern "C" __global__ void grad_grad_coefficients_kernel(const double* s, long long rows, int chunk, const real* weight,
                                                         const real* ggw, const real* ggb, double eps, real* kx, real* kg,
                                                         real* cw, int channels, int sums) {
    const int c = warp_channel();
    if (c >= channels) return;
    double m[8];
    moments(s, rows, chunk, channels, sums, c, m);
    if (threadIdx.x % 32) return;
    const double w = weight[c], u = ggw[c], r = 1 / sqrt(m[VAR] + eps);
    const double gh = m[GX] * r, ah = m[AX] * r;
    const double covariance = m[AG] - m[A] * m[G] - ah * gh;
    cw[c] = (real)(rows * r * covariance);
    const double of_a = -w * r * gh, of_g = u - w * r * ah;
    const double q = of_a * m[A] + of_g * m[G], qh = of_a * ah + of_g * gh;
    const int extra = sums > A ? 1 : 0;
    set(kx, c, channels, 4 + extra, m[MEAN], -r * q, -r * r * (qh + w * r * covariance), r * of_g, r * of_a);
    set(kg, c, channels, 3 + extra, m[MEAN], ggb[c] - w * r * m[A], r * of_g, w * r, 0);
}

extern "C" __global__ void normalise_rows_kernel(const real* x, real slope, const real* k, real* out, long long n,
                                                 int channels) {
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += (long long)gridDim.x * blockDim.x) {
        const int c = rest_of(i, channels);
        out[i] = leaky(k[c] + k[channels + c] * (x[i] - k[2 * channels + c]), slope);
    }
}

// terms: 4 without a, 5 with it.
extern "C" __global__ void combine_rows_kernel(const real* x, const real* g, const real* a, const real* mask, real slope,
                                               const real* k, real* out, long long n, int channels, int terms) {
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += (long long)gridDim.x * blockDim.x) {
        const int c = rest_of(i, channels);
        const real gate = gated(g[i], mask[i], slope);
        real value = k[c] + k[channels + c] * (x[i] - k[2 * channels + c]) + k[3 * channels + c] * gate;
        if (terms > 4) value += k[4 * channels + c] * a[i];
        out[i] = value;
    }
}
