// Convolution, its input gradient and its weight gradient: the three faces of one sum; the twin of conv_loops.py.
//
//     <g, y> = sum over n o c oy ox ky kx of  g[n, o, oy, ox] * w[o, c, ky, kx] * x[n, c, iy, ix]
//     with iy = oy * stride_y - padding_y + ky * dilation_y, and ix likewise
//
// x, dx (N, H, W, G, C), y, g (N, OY, OX, G, O), dw (KY, KX, G, C, O); w is (KY, KX, G, C, O) in the forward sum and
// (KY, KX, G, O, C) in the input gradient, so that what a warp reads lies side by side. channels and outs are those of one
// group. Everything gathers: one thread owns each number of the result, no atomics, the same bits every time.
//
// For small sums, and for results of a few channels: the nests of conv_loops.py, one thread a result, neighbours along the
// channels. They load two numbers for each multiply-add, so they run at the speed of the caches. conv_tiles.cu has the
// kernels for large sums.
//
// Operations: 2 N OY OX G O KY KX C. Bytes in float32: 4 (x + w + y) at least.
#include "common.cuh"

extern "C" __global__ void
forward_rows_kernel(const real* x, const real* w, const real* bias, real slope, real* y,
                    int batch, int height, int width, int groups, int channels, int out_y,
                    int out_x, int outs, int size_y, int size_x, int stride_y, int stride_x, int padding_y, int padding_x,
                    int dilation_y, int dilation_x, int has_bias) {
    const long long n_results = (long long)batch * out_y * out_x * groups * outs;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < n_results;
         i += (long long)gridDim.x * blockDim.x) {
        int o, group, ox, oy;
        const long long pixel = divided(divided(i, outs, o), groups, group);
        const int n = (int)divided(divided(pixel, out_x, ox), out_y, oy);
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
        int c, group, ix, iy;
        const long long pixel = divided(divided(i, channels, c), groups, group);
        const int n = (int)divided(divided(pixel, width, ix), height, iy);
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
        int o, c, group;
        const int tap = (int)divided(divided(divided(i, outs, o), channels, c), groups, group);
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
