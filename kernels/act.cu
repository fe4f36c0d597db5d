// Activations and their derivatives, element by element; the twin of act.py.
//
//     leaky_relu(x) = x where x > 0, slope x elsewhere;    its vjp: g where x > 0, slope g elsewhere.
//     tanh(x) = y;                                         its vjp: g (1 - y^2).
//     sigmoid(x) = 1 / (1 + e^-x);                         exp(x) = e^x.
//
// x, g, y and out are lines of n numbers. Thread i of all owns elements i, i + T, i + 2T, ... of out, T the number of
// threads in the grid: neighbours read neighbours, and a grid of any size does.
//
// Bytes: 8 an element in float32 for one operand, 12 for two; operations: 1 to about 20 an element. The arithmetic limit of
// an H100 is 67 TFLOP/s, its memory's 3.35 TB/s, so memory decides: 2.4 us a million elements for one operand, 3.6 us for
// two.
#include "common.cuh"

#define EACH(i) \
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += (long long)gridDim.x * blockDim.x)

extern "C" __global__ void leaky_relu_kernel(const real* x, real slope, real* out, long long n) {
    EACH(i) out[i] = leaky(x[i], slope);
}

extern "C" __global__ void leaky_relu_grad_kernel(const real* x, const real* g, real slope, real* out, long long n) {
    EACH(i) out[i] = gated(g[i], x[i], slope);
}

extern "C" __global__ void tanh_kernel(const real* x, real* out, long long n) {
    EACH(i) out[i] = tanh(x[i]);
}

extern "C" __global__ void exp_kernel(const real* x, real* out, long long n) {
    EACH(i) out[i] = exp(x[i]);
}

extern "C" __global__ void sigmoid_kernel(const real* x, real* out, long long n) {
    EACH(i) {
        const real e = exp(x[i] < 0 ? x[i] : -x[i]);  // at most 1, whatever the sign
        out[i] = (x[i] < 0 ? e : (real)1) / ((real)1 + e);
    }
}

extern "C" __global__ void tanh_grad_kernel(const real* y, const real* g, real* out, long long n) {
    EACH(i) out[i] = g[i] - g[i] * y[i] * y[i];
}
