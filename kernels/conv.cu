// Convolution, its input gradient and its weight gradient: the three faces of one sum; the twin of conv_loops.py.
//
//     <g, y> = sum over n o c oy ox ky kx of  g[n, o, oy, ox] * w[o, c, ky, kx] * x[n, c, iy, ix]
//     with iy = oy * stride_y - padding_y + ky * dilation_y, and ix likewise
//
// x, dx (N, H, W, G, C), y, g (N, OY, OX, G, O), dw (KY, KX, G, C, O); w is (KY, KX, G, C, O) in the forward sum and
// (KY, KX, G, O, C) in the input gradient, so that what a warp reads lies side by side. channels and outs are those of one
// group. Everything gathers: one thread owns each number of the result, no atomics, the same bits every time.
//
// Each face twice. *_rows_kernel is its nest in conv_loops.py, one thread a result, neighbours along the channels. It loads
// two numbers for each multiply-add, so it runs at the speed of the caches.
// *_tile_kernel reads the same sum as a matrix product (implicit GEMM; Chetlur et al. 2014, "cuDNN"): result (m, j) = sum
// over k of left (m, k) right (k, j). A block owns 64 x 64 results, and brings 64 x 16 and 16 x 64 numbers to shared memory
// at a time; thread (row, column) owns 4 x 4 results in registers, so each number read from shared memory is used 4 times,
// each read from global memory 64 times. Where channels are multiples of 4 and the arrays aligned (wide), float32 is
// loaded 4 numbers at a time.
//     forward:  m = (n, oy, ox), k = (ky, kx, c), j = o        input:  m = (n, iy, ix), k = (ky, kx, o), j = c
//     weight:   m = (ky, kx, c), k = (n, oy, ox), j = o; blockIdx.z cuts k into splits, whose parts add_parts adds in order
//
// Operations: 2 N OY OX G O KY KX C. Bytes in float32: 4 (x + w + y) at least; the tiles read each operand once for every
// 64 results across it. For 64 images of 16 x 16 x 64, 128 kernels of 4 x 4 at stride 2: 1.07 GFLOP and 6.8 MB, so an H100
// (67 TFLOP/s, 3.35 TB/s) is allowed 16 us by its arithmetic and 2 us by its memory.
#include "common.cuh"

#define TILE 64   // results of a block along m and along j
#define DEPTH 16  // steps of k in shared memory at a time
#define LINE 68   // a row of left there: 64, and 4 so that threads which write a column meet different banks

extern "C" __global__ void
forward_rows_kernel(const real* x, const real* w, const real* bias, real slope, real* y,
                    int batch, int height, int width, int groups, int channels, int out_y,
                    int out_x, int outs, int size_y, int size_x, int stride_y, int stride_x, int padding_y, int padding_x,
                    int dilation_y, int dilation_x, int has_bias) {
    const long long n_results = (long long)batch * out_y * out_x * groups * outs;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < n_results;
         i += (long long)gridDim.x * blockDim.x) {
        const int o = (int)(i % outs), group = (int)(i / outs % groups);
        const long long pixel = i / outs / groups;
        const int ox = (int)(pixel % out_x), oy = (int)(pixel / out_x % out_y), n = (int)(pixel / out_x / out_y);
        real sum = has_bias ? bias[group * outs + o] : (real)0;
        for (int ky = 0; ky < size_y; ++ky) {
            const int iy = oy * stride_y - padding_y + ky * dilation_y;
            if (iy < 0 || iy >= height) continue;
            for (int kx = 0; kx < size_x; ++kx) {
                const int ix = ox * stride_x - padding_x + kx * dilation_x;
                if (ix < 0 || ix >= width) continue;
                const real* from = x + ((((long long)n * height + iy) * width + ix) * groups + group) * channels;
                const real* by = w + ((long long)(ky * size_x + kx) * groups + group) * channels * outs + o;
                for (int c = 0; c < channels; ++c) sum += from[c] * by[(long long)c * outs];
            }
        }
        y[i] = slope == 1 ? sum : leaky(sum, slope);
    }
}

extern "C" __global__ void
input_rows_kernel(const real* g, const real* w, const real* bias, const real* mask, real slope, real* dx,
                    int batch, int height, int width, int groups, int channels, int out_y,
                    int out_x, int outs, int size_y, int size_x, int stride_y, int stride_x, int padding_y, int padding_x,
                    int dilation_y, int dilation_x, int has_bias,
                    int has_mask) {
    const long long n_results = (long long)batch * height * width * groups * channels;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < n_results;
         i += (long long)gridDim.x * blockDim.x) {
        const int c = (int)(i % channels), group = (int)(i / channels % groups);
        const long long pixel = i / channels / groups;
        const int ix = (int)(pixel % width), iy = (int)(pixel / width % height), n = (int)(pixel / width / height);
        real sum = has_bias ? bias[group * channels + c] : (real)0;
        for (int ky = 0; ky < size_y; ++ky) {
            const int at_y = iy + padding_y - ky * dilation_y, oy = at_y / stride_y;
            if (at_y < 0 || oy >= out_y || oy * stride_y != at_y) continue;
            for (int kx = 0; kx < size_x; ++kx) {
                const int at_x = ix + padding_x - kx * dilation_x, ox = at_x / stride_x;
                if (at_x < 0 || ox >= out_x || ox * stride_x != at_x) continue;
                const real* from = g + ((((long long)n * out_y + oy) * out_x + ox) * groups + group) * outs;
                const real* by = w + ((long long)(ky * size_x + kx) * groups + group) * outs * channels + c;
                for (int o = 0; o < outs; ++o) sum += from[o] * by[(long long)o * channels];
            }
        }
        dx[i] = slope == 1 ? sum : gated(sum, has_mask ? mask[i] : sum, slope);
    }
}

// Each line of pixels is summed by itself before it joins the total, which keeps the rounding error of a long sum low.
extern "C" __global__ void
weight_rows_kernel(const real* x, const real* g, real* dw,
                    int batch, int height, int width, int groups, int channels, int out_y,
                    int out_x, int outs, int size_y, int size_x, int stride_y, int stride_x, int padding_y, int padding_x,
                    int dilation_y, int dilation_x) {
    const long long n_results = (long long)size_y * size_x * groups * channels * outs;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < n_results;
         i += (long long)gridDim.x * blockDim.x) {
        const int o = (int)(i % outs), c = (int)(i / outs % channels);
        const int group = (int)(i / outs / channels % groups), tap = (int)(i / outs / channels / groups);
        const int ky = tap / size_x, kx = tap % size_x;
        real sum = 0;
        for (int n = 0; n < batch; ++n)
            for (int oy = 0; oy < out_y; ++oy) {
                const int iy = oy * stride_y - padding_y + ky * dilation_y;
                if (iy < 0 || iy >= height) continue;
                real part = 0;
                for (int ox = 0; ox < out_x; ++ox) {
                    const int ix = ox * stride_x - padding_x + kx * dilation_x;
                    if (ix < 0 || ix >= width) continue;
                    part += x[((((long long)n * height + iy) * width + ix) * groups + group) * channels + c] *
                            g[((((long long)n * out_y + oy) * out_x + ox) * groups + group) * outs + o];
                }
                sum += part;
            }
        dw[i] = sum;
    }
}

// 4 neighbours from global memory: in one load, or those below `last`, the others 0.
__device__ __forceinline__ void load4(const real* from, int first, int last, int wide, real* to) {
#ifdef WIDE_LOADS
    if (wide && first + 4 <= last) {
        const float4 v = *reinterpret_cast<const float4*>(from);
        to[0] = v.x;
        to[1] = v.y;
        to[2] = v.z;
        to[3] = v.w;
        return;
    }
#endif
#pragma unroll
    for (int j = 0; j < 4; ++j) to[j] = first + j < last ? from[j] : (real)0;
}

// Taps `first` to first + 3 of row k of the matrix w (KY KX, G, inner, width) of a group; 0 beyond its depth and width.
__device__ __forceinline__ void load_taps(const real* w, int k, int depth, int groups, int group, int inner, int width,
                                          int first, int wide, real (&four)[4]) {
#pragma unroll
    for (int j = 0; j < 4; ++j) four[j] = 0;
    if (k >= depth || first >= width) return;
    const int tap = k / inner, inside = k % inner;
    load4(w + (((long long)tap * groups + group) * inner + inside) * width + first, first, width, wide && width % 4 == 0, four);
}

// acc[i][j] += left[k][4 row + i] right[k][4 column + j] over the DEPTH steps k in shared memory. Each thread has written its
// share of `left`; `four` is its share of `right`: step `row`, from 4 column on.
__device__ __forceinline__ void multiply_tiles(const real* left, real* right, int row, int column, const real (&four)[4],
                                               real (&acc)[4][4]) {
#pragma unroll
    for (int j = 0; j < 4; ++j) right[row * TILE + 4 * column + j] = four[j];
    __syncthreads();
#pragma unroll
    for (int k = 0; k < DEPTH; ++k) {
        real a[4];
        real b[4];
#pragma unroll
        for (int i = 0; i < 4; ++i) a[i] = left[k * LINE + 4 * row + i];
#pragma unroll
        for (int j = 0; j < 4; ++j) b[j] = right[k * TILE + 4 * column + j];
#pragma unroll
        for (int i = 0; i < 4; ++i)
#pragma unroll
            for (int j = 0; j < 4; ++j) acc[i][j] += a[i] * b[j];
    }
    __syncthreads();  // before the next step is written over this one
}

extern "C" __global__ void __launch_bounds__(256)
forward_tile_kernel(const real* x, const real* w, const real* bias, real slope, real* y,
                    int batch, int height, int width, int groups, int channels, int out_y,
                    int out_x, int outs, int size_y, int size_x, int stride_y, int stride_x, int padding_y, int padding_x,
                    int dilation_y, int dilation_x, int has_bias, int wide) {
    __shared__ real left[DEPTH * LINE];
    __shared__ real right[DEPTH * TILE];
    const int t = threadIdx.x, row = t / 16, column = t % 16, group = blockIdx.z;
    const long long results = (long long)batch * out_y * out_x;
    const int depth = size_y * size_x * channels;
    // to load: pixel t / 4 of the tile, 4 steps k; and step t / 16, 4 columns
    const long long pixel = (long long)blockIdx.x * TILE + t / 4;
    const int at_x = (int)(pixel % out_x), at_y = (int)(pixel / out_x % out_y);
    const int n = (int)(pixel / out_x / out_y);
    const int first = blockIdx.y * TILE + 4 * column;
    real acc[4][4] = {};
    for (int k0 = 0; k0 < depth; k0 += DEPTH) {
        real four[4] = {};
        const int k = k0 + t % 4 * 4;
        if (pixel < results && k < depth) {
            if (channels % 4 == 0) {
                const int tap = k / channels, ky = tap / size_x, kx = tap % size_x, inside = k % channels;
                const int iy = at_y * stride_y - padding_y + ky * dilation_y;
                const int ix = at_x * stride_x - padding_x + kx * dilation_x;
                if (iy >= 0 && iy < height && ix >= 0 && ix < width)
                    load4(x + ((((long long)n * height + iy) * width + ix) * groups + group) * channels + inside, k, depth, wide, four);
            } else {
                for (int j = 0; j < 4 && k + j < depth; ++j) {
                    const int tap = (k + j) / channels, ky = tap / size_x, kx = tap % size_x, inside = (k + j) % channels;
                    const int iy = at_y * stride_y - padding_y + ky * dilation_y;
                    const int ix = at_x * stride_x - padding_x + kx * dilation_x;
                    if (iy >= 0 && iy < height && ix >= 0 && ix < width)
                        four[j] = *(x + ((((long long)n * height + iy) * width + ix) * groups + group) * channels + inside);
                }
            }
        }
#pragma unroll
        for (int j = 0; j < 4; ++j) left[(t % 4 * 4 + j) * LINE + t / 4] = four[j];
        load_taps(w, k0 + row, depth, groups, group, channels, outs, first, wide, four);
        multiply_tiles(left, right, row, column, four, acc);
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        const long long m = (long long)blockIdx.x * TILE + 4 * row + i;
#pragma unroll
        for (int j = 0; j < 4; ++j)
            if (m < results && first + j < outs) {
                const long long at = (m * groups + group) * outs + first + j;
                const real sum = acc[i][j] + (has_bias ? bias[group * outs + first + j] : (real)0);
                y[at] = slope == 1 ? sum : leaky(sum, slope);
            }
    }
}

extern "C" __global__ void __launch_bounds__(256)
input_tile_kernel(const real* g, const real* w, const real* bias, const real* mask, real slope, real* dx,
                    int batch, int height, int width, int groups, int channels, int out_y,
                    int out_x, int outs, int size_y, int size_x, int stride_y, int stride_x, int padding_y, int padding_x,
                    int dilation_y, int dilation_x, int has_bias, int has_mask, int wide) {
    __shared__ real left[DEPTH * LINE];
    __shared__ real right[DEPTH * TILE];
    const int t = threadIdx.x, row = t / 16, column = t % 16, group = blockIdx.z;
    const long long results = (long long)batch * height * width;
    const int depth = size_y * size_x * outs;
    // to load: pixel t / 4 of the tile, 4 steps k; and step t / 16, 4 columns
    const long long pixel = (long long)blockIdx.x * TILE + t / 4;
    const int at_x = (int)(pixel % width), at_y = (int)(pixel / width % height);
    const int n = (int)(pixel / width / height);
    const int first = blockIdx.y * TILE + 4 * column;
    real acc[4][4] = {};
    for (int k0 = 0; k0 < depth; k0 += DEPTH) {
        real four[4] = {};
        const int k = k0 + t % 4 * 4;
        if (pixel < results && k < depth) {
            if (outs % 4 == 0) {
                const int tap = k / outs, ky = tap / size_x, kx = tap % size_x, inside = k % outs;
                const int y = at_y + padding_y - ky * dilation_y, oy = y / stride_y;
                const int x = at_x + padding_x - kx * dilation_x, ox = x / stride_x;
                if (y >= 0 && x >= 0 && oy < out_y && ox < out_x && oy * stride_y == y && ox * stride_x == x)
                    load4(g + ((((long long)n * out_y + oy) * out_x + ox) * groups + group) * outs + inside, k, depth, wide, four);
            } else {
                for (int j = 0; j < 4 && k + j < depth; ++j) {
                    const int tap = (k + j) / outs, ky = tap / size_x, kx = tap % size_x, inside = (k + j) % outs;
                    const int y = at_y + padding_y - ky * dilation_y, oy = y / stride_y;
                    const int x = at_x + padding_x - kx * dilation_x, ox = x / stride_x;
                    if (y >= 0 && x >= 0 && oy < out_y && ox < out_x && oy * stride_y == y && ox * stride_x == x)
                        four[j] = *(g + ((((long long)n * out_y + oy) * out_x + ox) * groups + group) * outs + inside);
                }
            }
        }
#pragma unroll
        for (int j = 0; j < 4; ++j) left[(t % 4 * 4 + j) * LINE + t / 4] = four[j];
        load_taps(w, k0 + row, depth, groups, group, outs, channels, first, wide, four);
        multiply_tiles(left, right, row, column, four, acc);
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        const long long m = (long long)blockIdx.x * TILE + 4 * row + i;
#pragma unroll
        for (int j = 0; j < 4; ++j)
            if (m < results && first + j < channels) {
                const long long at = (m * groups + group) * channels + first + j;
                const real sum = acc[i][j] + (has_bias ? bias[group * channels + first + j] : (real)0);
                dx[at] = slope == 1 ? sum : gated(sum, has_mask ? mask[at] : sum, slope);
            }
    }
}

// parts (splits, KY, KX, G, C, O); block z = group * splits + split sums pixels split * piece to (split + 1) * piece.
extern "C" __global__ void __launch_bounds__(256)
weight_tile_kernel(const real* x, const real* g, real* parts,
                    int batch, int height, int width, int groups, int channels, int out_y,
                    int out_x, int outs, int size_y, int size_x, int stride_y, int stride_x, int padding_y, int padding_x,
                    int dilation_y, int dilation_x, int splits,
                    long long piece, int wide) {
    __shared__ real left[DEPTH * LINE];
    __shared__ real right[DEPTH * TILE];
    const int t = threadIdx.x, row = t / 16, column = t % 16, group = blockIdx.z / splits, split = blockIdx.z % splits;
    const int results = size_y * size_x * channels;
    const long long pixels = (long long)batch * out_y * out_x, start = split * piece;
    const long long end = start + piece < pixels ? start + piece : pixels;
    // to load: pixel t / 16 of 16, 4 results along m and 4 along j
    const int m0 = blockIdx.x * TILE + 4 * column, first = blockIdx.y * TILE + 4 * column;
    real acc[4][4] = {};
    for (long long k0 = start; k0 < end; k0 += DEPTH) {
        const long long pixel = k0 + row;
        const int ox = (int)(pixel % out_x), oy = (int)(pixel / out_x % out_y), n = (int)(pixel / out_x / out_y);
        real four[4] = {};
        if (pixel < end && m0 < results) {
            if (channels % 4 == 0) {
                const int tap = m0 / channels, c = m0 % channels;
                const int iy = oy * stride_y - padding_y + tap / size_x * dilation_y;
                const int ix = ox * stride_x - padding_x + tap % size_x * dilation_x;
                if (iy >= 0 && iy < height && ix >= 0 && ix < width)
                    load4(x + ((((long long)n * height + iy) * width + ix) * groups + group) * channels + c, m0, results,
                          wide, four);
            } else {
                for (int j = 0; j < 4 && m0 + j < results; ++j) {
                    const int tap = (m0 + j) / channels, c = (m0 + j) % channels;
                    const int iy = oy * stride_y - padding_y + tap / size_x * dilation_y;
                    const int ix = ox * stride_x - padding_x + tap % size_x * dilation_x;
                    if (iy >= 0 && iy < height && ix >= 0 && ix < width)
                        four[j] = x[((((long long)n * height + iy) * width + ix) * groups + group) * channels + c];
                }
            }
        }
#pragma unroll
        for (int j = 0; j < 4; ++j) left[row * LINE + 4 * column + j] = four[j];
#pragma unroll
        for (int j = 0; j < 4; ++j) four[j] = 0;
        if (pixel < end && first < outs)
            load4(g + (pixel * groups + group) * outs + first, first, outs, wide && outs % 4 == 0, four);
        multiply_tiles(left, right, row, column, four, acc);
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        const int m = blockIdx.x * TILE + 4 * row + i;
#pragma unroll
        for (int j = 0; j < 4; ++j)
            if (m < results && first + j < outs) {
                const long long tap = (long long)split * size_y * size_x + m / channels;
                parts[((tap * groups + group) * channels + m % channels) * outs + first + j] = acc[i][j];
            }
    }
}

// dw[i] = the sum of parts (splits, n) over the splits, in order; thread i owns dw[i].
extern "C" __global__ void add_parts_kernel(const real* parts, real* dw, long long n, int splits) {
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += (long long)gridDim.x * blockDim.x) {
        real sum = 0;
        for (int q = 0; q < splits; ++q) sum += parts[q * n + i];
        dw[i] = sum;
    }
}
