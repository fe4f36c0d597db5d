// im2col: every window of an image as a row of a matrix; the twin of im2col.py, whose head has the formula.
//
// x (N, H, W, C), columns (N OY OX, KY KX C), n its size. Thread i of all owns elements i, i + T, ... of columns, T the
// number of threads; neighbours along the channels, which lie side by side in both.
//
// Bytes: 4 n written in float32, and x read, KY KX / stride^2 times from cache; no operations. For 64 images of 16 x 16 x 64
// and 4 x 4 windows at stride 2: 16.8 MB written, 4.2 MB read, 6.3 us on an H100 (3.35 TB/s), which the product must read
// again: another 5 us. The tiles of conv.cu, which keep the windows in shared memory, save both.
#include "common.cuh"

extern "C" __global__ void im2col_kernel(const real* x, real* columns, long long n, int height, int width, int channels,
                                         int out_y, int out_x, int size_y, int size_x, int stride_y, int stride_x,
                                         int padding_y, int padding_x, int dilation_y, int dilation_x) {
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += (long long)gridDim.x * blockDim.x) {
        const int c = (int)(i % channels), kx = (int)(i / channels % size_x), ky = (int)(i / channels / size_x % size_y);
        const long long window = i / channels / size_x / size_y;
        const int ox = (int)(window % out_x), oy = (int)(window / out_x % out_y);
        const int iy = oy * stride_y - padding_y + ky * dilation_y, ix = ox * stride_x - padding_x + kx * dilation_x;
        const bool inside = iy >= 0 && iy < height && ix >= 0 && ix < width;
        columns[i] = inside ? x[((window / out_x / out_y * height + iy) * width + ix) * channels + c] : (real)0;
    }
}
