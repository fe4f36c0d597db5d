// Convolution, its input gradient and its weight gradient as matrix products (implicit GEMM; Chetlur et al. 2014, "cuDNN").
// conv.cu has the sums, the layouts of x, y, w, g, dx and dw, and the kernels for small ones.
//
//     result (m, j) = sum over k of left (m, k) right (k, j)
//     forward:  m = (n, oy, ox), k = (ky, kx, c), j = o        input:  m = (n, iy, ix), k = (ky, kx, o), j = c
//     weight:   m = (ky, kx, c), k = (n, oy, ox), j = o
//
// A block owns 128 x 64 results. It brings DEPTH steps of k to registers while it multiplies the DEPTH before them, which
// lie in shared memory; thread (row, column) owns 8 x 4 results in registers. Where channels are multiples of 4 and the
// arrays aligned (wide), float32 is loaded and stored 4 numbers at a time.
//
// Of a strided convolution's input gradient, a pixel meets only the taps that lead back to it: those of its remainder. So
// the pixels are taken class by class of remainders, and within one the sum is a convolution without a stride.
// Where results are few, k is cut into splits, so that there are blocks enough; add_parts adds their parts in order.
//
// The tiles read each operand once for every 64 or 128 results across it. For 64 images of 16 x 16 x 64, 128 kernels of 4 x 4
// at stride 2: 1.07 GFLOP and 6.8 MB, so an H100 (67 TFLOP/s, 3.35 TB/s) is allowed 16 us by its arithmetic and 2 us by its
// memory. Large layers were seen at 39 to 44 % of an H200's arithmetic (docs/gpu.md).
#include "common.cuh"

#define TILE_M 128  // results of a block along m
#define TILE_J 64   // and along j
#define DEPTH (64 / (int)sizeof(real))  // steps of k in shared memory at a time: 16 floats, 8 doubles
#define LINE 132    // a row of left there: 128, and 4 so that threads which write a column meet different banks
#define QUADS (DEPTH * TILE_M / 4 / THREADS)  // of left, that a thread brings
#define NOWHERE (-(1 << 30))  // a coordinate outside of every image

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

// 4 neighbours to global memory: in one store, or those below `last`.
__device__ __forceinline__ void store4(real* to, int first, int last, int wide, const real* from) {
#ifdef WIDE_LOADS
    if (wide && first + 4 <= last) {
        *reinterpret_cast<float4*>(to) = make_float4(from[0], from[1], from[2], from[3]);
        return;
    }
#endif
#pragma unroll
    for (int j = 0; j < 4; ++j)
        if (first + j < last) to[j] = from[j];
}

// A number in mixed radix, counted up by steps: low < base, middle < next, high.
struct Count {
    int low, middle, high;

    __device__ __forceinline__ void add(int step, int base, int next) {
        low += step;
        if (low < base) return;
        const int carry = low / base;
        low -= carry * base;
        middle += carry;
        if (middle < next) return;
        const int more = middle / next;
        middle -= more * next;
        high += more;
    }
};

// What a thread brings of the right matrix: 4 columns from right_column on, of step right_step, if that is below DEPTH.
__device__ __forceinline__ int right_step() { return threadIdx.x / (TILE_J / 4); }
__device__ __forceinline__ int right_column() { return threadIdx.x % (TILE_J / 4) * 4; }

// acc[i][j] += left[m(i)][k] right[k][4 column + j] over k in [start, end), m(i) = 4 row + i, from i = 4 on 60 more.
//
// A loader brings DEPTH steps from k on, which rises, to registers: `load(k, numbers)`, 4 neighbours a quad. Of the right
// matrix a thread brings step `step`, 4 of its columns; where its quads of the left one belong, `place(quad, number)` says.
template <class Left, class Right>
__device__ __forceinline__ void multiply_matrices(Left left_of, Right right_of, long long start, long long end, int row,
                                                  int column, real (&acc)[8][4]) {
    __shared__ __align__(16) real left[2 * DEPTH * LINE];
    __shared__ __align__(16) real right[2 * DEPTH * TILE_J];
    real next_left[QUADS][4];
    real next_right[4];
    const int step = right_step(), to_right = step * TILE_J + right_column();
    int side = 0;
    for (long long k0 = start - DEPTH; k0 < end; k0 += DEPTH) {
        const bool more = k0 + DEPTH < end;
        if (more) {
            left_of.load(k0 + DEPTH, next_left);
            right_of.load(k0 + DEPTH, next_right);
        }
        if (k0 >= start) {
            const real* l = left + side * DEPTH * LINE + 4 * row;
            const real* r = right + side * DEPTH * TILE_J + 4 * column;
#pragma unroll
            for (int k = 0; k < DEPTH; ++k) {
                real a[8], b[4];
#pragma unroll
                for (int i = 0; i < 8; ++i) a[i] = l[k * LINE + (i < 4 ? i : 60 + i)];
#pragma unroll
                for (int j = 0; j < 4; ++j) b[j] = r[k * TILE_J + j];
#pragma unroll
                for (int i = 0; i < 8; ++i)
#pragma unroll
                    for (int j = 0; j < 4; ++j) acc[i][j] += a[i] * b[j];
            }
            side ^= 1;
        }
        if (more) {
#pragma unroll
            for (int q = 0; q < QUADS; ++q)
#pragma unroll
                for (int j = 0; j < 4; ++j) left[side * DEPTH * LINE + left_of.place(q, j)] = next_left[q][j];
            if (step < DEPTH)
#pragma unroll
                for (int j = 0; j < 4; ++j) right[side * DEPTH * TILE_J + to_right + j] = next_right[j];
        }
        __syncthreads();  // the side just written is read next; the other one, just read, is written then
    }
}

// One axis of a correlation: result j of `size`, which is number place + j * spread of the axis, sums over `count` taps i,
// of the kernel's number first + i * step, and meets them at origin + j * scale + i * hop.
struct Axis {
    int first, step, count, origin, scale, hop, place, spread, size;

    __device__ __forceinline__ int taps() const { return count > 0 ? count : 1; }  // to divide by
};

__device__ __forceinline__ Axis forward_axis(int taps, int stride, int padding, int dilation, int size) {
    return {0, 1, taps, -padding, stride, dilation, 0, 1, size};
}

// Of the input gradient, the pixels p with (p + padding) % stride == remainder: taps k with k * dilation % stride there.
__device__ __forceinline__ Axis input_axis(int taps, int stride, int padding, int dilation, int length, int remainder) {
    int first = 0, step = 1;
    while (first < taps && first * dilation % stride != remainder) ++first;
    while (step * dilation % stride != 0) ++step;
    const int count = (taps - first + step - 1) / step, place = ((remainder - padding) % stride + stride) % stride;
    const int origin = (place + padding - first * dilation) / stride;
    return {first, step, count, origin, 1, -step * dilation / stride, place, stride, (length - place + stride - 1) / stride};
}

// Row m of the left matrix of a correlation over `from` (N, height, width, G, inner): what result m meets.
struct Windows {
    const real* from;
    int height, width, groups, inner, wide, depth;
    Axis v, u;
    Count k;                 // inside, tap along x, tap along y
    const real* image[QUADS];
    int y[QUADS], x[QUADS];  // of the first tap; y far below for no result

    __device__ __forceinline__ Windows(const real* from, int height, int width, int groups, int group, int inner, int wide,
                                       Axis v, Axis u, long long results, long long start)
        : from(from), height(height), width(width), groups(groups), inner(inner), wide(wide), v(v), u(u) {
        depth = v.count * u.count * inner;
        k = {0, 0, 0};
        k.add((int)start + threadIdx.x % (DEPTH / 4) * 4, inner, u.taps());
#pragma unroll
        for (int q = 0; q < QUADS; ++q) {
            const long long m = (long long)blockIdx.x * TILE_M + threadIdx.x / (DEPTH / 4) + q * (THREADS * 4 / DEPTH);
            int across, down;
            const long long n = divided(divided(m, u.size, across), v.size, down);
            y[q] = m < results ? v.origin + down * v.scale : NOWHERE;
            x[q] = u.origin + across * u.scale;
            image[q] = from + (n * height * width * groups + group) * inner;
        }
    }

    __device__ __forceinline__ int place(int q, int j) const {
        return (threadIdx.x % (DEPTH / 4) * 4 + j) * LINE + threadIdx.x / (DEPTH / 4) + q * (THREADS * 4 / DEPTH);
    }

    __device__ __forceinline__ const real* at(int q, Count tap) const {
        const int iy = y[q] + tap.high * v.hop, ix = x[q] + tap.middle * u.hop;
        if (iy < 0 || iy >= height || ix < 0 || ix >= width) return nullptr;
        return image[q] + ((long long)iy * width + ix) * groups * inner + tap.low;
    }

    __device__ __forceinline__ void load(long long k0, real (&four)[QUADS][4]) {
        const int first = (int)k0 + threadIdx.x % (DEPTH / 4) * 4;
#pragma unroll
        for (int i = 0; i < QUADS * 4; ++i) four[i / 4][i % 4] = 0;
        if (inner % 4 == 0) {
            if (first < depth)
#pragma unroll
                for (int q = 0; q < QUADS; ++q)
                    if (const real* here = at(q, k)) load4(here, 0, 4, wide, four[q]);
        } else {
            Count tap = k;
            for (int j = 0; j < 4 && first + j < depth; ++j) {
#pragma unroll
                for (int q = 0; q < QUADS; ++q)
                    if (const real* here = at(q, tap)) four[q][j] = *here;
                tap.add(1, inner, u.taps());
            }
        }
        k.add(DEPTH, inner, u.taps());
    }
};

// Column j of the right matrix: the kernels w (KY, KX, G, inner, outer), tap by tap of two axes.
struct Kernels {
    const real* w;
    int size_x, groups, group, inner, outer, wide, depth, first;
    Axis v, u;
    Count k;

    __device__ __forceinline__ Kernels(const real* w, int size_x, int groups, int group, int inner, int outer, int wide,
                                       Axis v, Axis u, long long start)
        : w(w), size_x(size_x), groups(groups), group(group), inner(inner), outer(outer), v(v), u(u) {
        this->wide = wide && outer % 4 == 0;
        depth = v.count * u.count * inner;
        first = blockIdx.y * TILE_J + right_column();
        k = {0, 0, 0};
        k.add((int)start + right_step(), inner, u.taps());
    }

    __device__ __forceinline__ void load(long long k0, real (&four)[4]) {
#pragma unroll
        for (int j = 0; j < 4; ++j) four[j] = 0;
        if (right_step() < DEPTH && k0 + right_step() < depth && first < outer) {
            const int tap = (v.first + k.high * v.step) * size_x + u.first + k.middle * u.step;
            load4(w + (((long long)tap * groups + group) * inner + k.low) * outer + first, first, outer, wide, four);
        }
        k.add(DEPTH, inner, u.taps());
    }
};

// The row and the column of a thread: a warp owns 4 x 8 of them, so that what it reads of shared memory lies side by side.
__device__ __forceinline__ int tile_row() { return threadIdx.x / 64 * 4 + threadIdx.x % 32 / 8; }
__device__ __forceinline__ int tile_column() { return threadIdx.x / 32 % 2 * 8 + threadIdx.x % 8; }

// The results of a block: convolved along v and u, over k in [split * piece, (split + 1) * piece). One split writes `to`,
// (N, whole_y, whole_x, G, outer), with bias and gate; several write their parts, `to` (splits, N, ...).
__device__ __forceinline__ void correlate(const real* from, const real* w, const real* bias, const real* mask, real slope,
                                          real* to, int batch, int height, int width, int whole_y, int whole_x, int groups,
                                          int group, int inner, int outer, int size_x, Axis v, Axis u, int has_bias,
                                          int has_mask, int splits, int split, int piece, int wide) {
    const long long results = (long long)batch * v.size * u.size;
    const int depth = v.count * u.count * inner, start = split * piece, end = start + piece < depth ? start + piece : depth;
    if ((long long)blockIdx.x * TILE_M >= results) return;
    const int row = tile_row(), column = tile_column(), first = blockIdx.y * TILE_J + 4 * column;
    real acc[8][4] = {};
    multiply_matrices(Windows(from, height, width, groups, group, inner, wide, v, u, results, start),
                      Kernels(w, size_x, groups, group, inner, outer, wide, v, u, start), start, end, row, column, acc);
    if (splits > 1) to += (long long)split * batch * whole_y * whole_x * groups * outer;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
        const long long m = (long long)blockIdx.x * TILE_M + 4 * row + (i < 4 ? i : 60 + i);
        if (m >= results || first >= outer) continue;
        int across, down;
        const long long n = divided(divided(m, u.size, across), v.size, down);
        const long long pixel = (n * whole_y + v.place + down * v.spread) * whole_x + u.place + across * u.spread;
        const long long at = (pixel * groups + group) * outer + first;
        if (splits == 1)
#pragma unroll
            for (int j = 0; j < 4; ++j)
                if (first + j < outer) {
                    const real sum = acc[i][j] + (has_bias ? bias[group * outer + first + j] : (real)0);
                    acc[i][j] = slope == 1 ? sum : gated(sum, has_mask ? mask[at + j] : sum, slope);
                }
        store4(to + at, first, outer, wide && outer % 4 == 0, acc[i]);
    }
}

extern "C" __global__ void __launch_bounds__(256)
forward_tile_kernel(const real* x, const real* w, const real* bias, real slope, real* y,
                    int batch, int height, int width, int groups, int channels, int out_y,
                    int out_x, int outs, int size_y, int size_x, int stride_y, int stride_x, int padding_y, int padding_x,
                    int dilation_y, int dilation_x, int has_bias, int splits, int piece, int wide) {
    const Axis v = forward_axis(size_y, stride_y, padding_y, dilation_y, out_y);
    const Axis u = forward_axis(size_x, stride_x, padding_x, dilation_x, out_x);
    correlate(x, w, bias, x, slope, y, batch, height, width, out_y, out_x, groups, blockIdx.z / splits, channels, outs, size_x,
              v, u, has_bias, 0, splits, blockIdx.z % splits, piece, wide);
}

// Block z = ((group * stride_y + remainder_y) * stride_x + remainder_x) * splits + split.
extern "C" __global__ void __launch_bounds__(256)
input_tile_kernel(const real* g, const real* w, const real* bias, const real* mask, real slope, real* dx,
                    int batch, int height, int width, int groups, int channels, int out_y,
                    int out_x, int outs, int size_y, int size_x, int stride_y, int stride_x, int padding_y, int padding_x,
                    int dilation_y, int dilation_x, int has_bias, int has_mask, int splits, int piece, int wide) {
    const int part = blockIdx.z / splits, remainder_x = part % stride_x, remainder_y = part / stride_x % stride_y;
    const Axis v = input_axis(size_y, stride_y, padding_y, dilation_y, height, remainder_y);
    const Axis u = input_axis(size_x, stride_x, padding_x, dilation_x, width, remainder_x);
    correlate(g, w, bias, mask, slope, dx, batch, out_y, out_x, height, width, groups, part / stride_x / stride_y, outs,
              channels, size_x, v, u, has_bias, has_mask, splits, blockIdx.z % splits, piece, wide);
}

// Step k of the left matrix of the weight gradient: pixel k of g, and what it meets in x (N, height, width, G, C) by tap and
// channel m.
struct Shifts {
    const real* x;
    int height, width, groups, channels, size_x, stride_y, stride_x, dilation_y, dilation_x, out_y, out_x, results, wide;
    long long end;
    Count pixel;       // ox, oy, n
    int first[QUADS];  // m of each quad's first number
    Count m[QUADS];    // the same as channel, kx, ky
    int y0, x0;        // where pixel 0 begins

    __device__ __forceinline__ void begin(long long start, int padding_y, int padding_x) {
        const long long k = start + threadIdx.x / (THREADS / DEPTH);
        pixel.high = (int)divided(divided(k, out_x, pixel.low), out_y, pixel.middle);
        y0 = -padding_y, x0 = -padding_x;
#pragma unroll
        for (int q = 0; q < QUADS; ++q) {
            first[q] = blockIdx.x * TILE_M + (threadIdx.x % (THREADS / DEPTH) + q * (THREADS / DEPTH)) * 4;
            m[q] = {0, 0, 0};
            m[q].add(first[q], channels, size_x);
        }
    }

    __device__ __forceinline__ int place(int q, int j) const {
        return threadIdx.x / (THREADS / DEPTH) * LINE + (threadIdx.x % (THREADS / DEPTH) + q * (THREADS / DEPTH)) * 4 + j;
    }

    __device__ __forceinline__ const real* at(Count m) const {
        const int iy = y0 + pixel.middle * stride_y + m.high * dilation_y;
        const int ix = x0 + pixel.low * stride_x + m.middle * dilation_x;
        if (iy < 0 || iy >= height || ix < 0 || ix >= width) return nullptr;
        return x + (((long long)pixel.high * height + iy) * width + ix) * groups * channels + m.low;
    }

    __device__ __forceinline__ void load(long long k0, real (&four)[QUADS][4]) {
        const bool there = k0 + threadIdx.x / (THREADS / DEPTH) < end;
#pragma unroll
        for (int q = 0; q < QUADS; ++q) {
#pragma unroll
            for (int j = 0; j < 4; ++j) four[q][j] = 0;
            if (!there || first[q] >= results) continue;
            if (channels % 4 == 0) {
                if (const real* here = at(m[q])) load4(here, 0, 4, wide, four[q]);
            } else {
                Count next = m[q];
                for (int j = 0; j < 4 && first[q] + j < results; ++j) {
                    if (const real* here = at(next)) four[q][j] = *here;
                    next.add(1, channels, size_x);
                }
            }
        }
        pixel.add(DEPTH, out_x, out_y);
    }
};

// Column j of the right matrix of the weight gradient: g (N, OY, OX, G, O), pixel by pixel.
struct Pixels {
    const real* g;
    int groups, outs, first, wide;
    long long end;

    __device__ __forceinline__ void load(long long k0, real (&four)[4]) {
#pragma unroll
        for (int j = 0; j < 4; ++j) four[j] = 0;
        if (right_step() < DEPTH && k0 + right_step() < end && first < outs)
            load4(g + (k0 + right_step()) * groups * outs + first, first, outs, wide, four);
    }
};

// parts (splits, KY, KX, G, C, O); block z = group * splits + split sums pixels split * piece to (split + 1) * piece.
extern "C" __global__ void __launch_bounds__(256)
weight_tile_kernel(const real* x, const real* g, real* parts,
                    int batch, int height, int width, int groups, int channels, int out_y,
                    int out_x, int outs, int size_y, int size_x, int stride_y, int stride_x, int padding_y, int padding_x,
                    int dilation_y, int dilation_x, int splits,
                    long long piece, int wide) {
    const int group = blockIdx.z / splits, split = blockIdx.z % splits, results = size_y * size_x * channels;
    const int row = tile_row(), column = tile_column(), j0 = blockIdx.y * TILE_J;
    const long long pixels = (long long)batch * out_y * out_x, start = split * piece;
    const long long end = start + piece < pixels ? start + piece : pixels;
    Shifts left = {x + group * channels, height, width, groups, channels, size_x, stride_y, stride_x, dilation_y, dilation_x,
                   out_y, out_x, results, wide, end};
    left.begin(start, padding_y, padding_x);
    const Pixels right = {g + group * outs, groups, outs, j0 + right_column(), wide && outs % 4 == 0, end};
    real acc[8][4] = {};
    multiply_matrices(left, right, start, end, row, column, acc);
    const int first = j0 + 4 * column;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
        const int m = blockIdx.x * TILE_M + 4 * row + (i < 4 ? i : 60 + i);
        if (m >= results || first >= outs) continue;
        const long long tap = (long long)split * size_y * size_x + m / channels;
        store4(parts + ((tap * groups + group) * channels + m % channels) * outs + first, first, outs, wide && outs % 4 == 0,
               acc[i]);
    }
}

// to[i] = the sum of parts (splits, n) over the splits, in order; thread i owns to[i].
extern "C" __global__ void add_parts_kernel(const real* parts, real* to, long long n, int splits) {
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += (long long)gridDim.x * blockDim.x) {
        real sum = 0;
        for (int q = 0; q < splits; ++q) sum += parts[q * n + i];
        to[i] = sum;
    }
}
