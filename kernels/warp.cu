// Images read between their pixels, and the adjoint; the twins of warp.py, whose head has the formulas.
//
// x (N, H, W, C), y and g (N, OY, OX, C), points py, px (N, OY, OX). Thread i of all owns elements i, i + T, ... of the
// result, T the number of threads; neighbours along the channels.
//
// sample   bytes in float32: 16 an element read (mostly from cache) and 4 written, 8 a point; 12 operations an element.
// spread   gathers: each pixel asks every point of its image whether it lies around it, in the points' own order, so no
//          two threads add to one number and sums come out alike. OY OX comparisons an element: for 64 images of 32 x 32
//          67 million, some 10 us on an H100; for large images a list of each pixel's points would pay.
#include "common.cuh"

__device__ __forceinline__ real pixel(const real* x, int iy, int ix, int height, int width, int channels) {
    return iy >= 0 && iy < height && ix >= 0 && ix < width ? x[((long long)iy * width + ix) * channels] : (real)0;
}

extern "C" __global__ void sample_kernel(const real* x, const real* py, const real* px, real* y, long long n, int height,
                                         int width, int channels, int points) {
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += (long long)gridDim.x * blockDim.x) {
        const long long o = i / channels;
        const real* image = x + o / points * height * width * channels + i % channels;
        const real at_y = py[o], at_x = px[o];
        real sum = 0;
        if (at_y >= -1 && at_y < height && at_x >= -1 && at_x < width) {
            const real low_y = floor(at_y), low_x = floor(at_x), down = at_y - low_y, right = at_x - low_x;
            const int top = (int)low_y, left = (int)low_x;
            sum += (1 - down) * (1 - right) * pixel(image, top, left, height, width, channels);
            sum += (1 - down) * right * pixel(image, top, left + 1, height, width, channels);
            sum += down * (1 - right) * pixel(image, top + 1, left, height, width, channels);
            sum += down * right * pixel(image, top + 1, left + 1, height, width, channels);
        }
        y[i] = sum;
    }
}

extern "C" __global__ void spread_kernel(const real* g, const real* py, const real* px, real* x, long long n, int height,
                                         int width, int channels, int points) {
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += (long long)gridDim.x * blockDim.x) {
        const int c = (int)(i % channels), ix = (int)(i / channels % width), iy = (int)(i / channels / width % height);
        const long long image = i / channels / width / height;
        real sum = 0;
        for (int o = 0; o < points; ++o) {
            const long long at = image * points + o;
            const real down = py[at] - iy, right = px[at] - ix;
            if (down > -1 && down < 1 && right > -1 && right < 1)
                sum += (down < 0 ? 1 + down : 1 - down) * (right < 0 ? 1 + right : 1 - right) * g[at * channels + c];
        }
        x[i] = sum;
    }
}
