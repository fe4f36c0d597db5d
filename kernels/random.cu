// Counter-based random numbers, bit for bit those of random.py, whose head has the formulas.
//
//     philox:      thread b owns words[4 b .. 4 b + 4): Philox4x32-10 of the counter (b, step, stream) under the seed.
//     uniform:     thread i owns out[i] = (word >> 8) 2^-24.
//     box_muller:  thread i owns out[2 i] and out[2 i + 1], from words 2 i and 2 i + 1.
//
// Every float operation is rounded by itself (__fadd_rn, __fmul_rn, __fsqrt_rn), in the order in which NumPy and Numba do
// it, so no compiler may contract a multiplication and an addition.
//
// Bytes: 4 a word written, then 8 a number to turn it into a uniform or a normal; operations: about 25 integer ones a word,
// 30 float ones a normal. On an H100 (3.35 TB/s, 67 TFLOP/s): 3.6 us a million numbers, memory again.
#include "common.cuh"

extern "C" __global__ void philox_kernel(unsigned int step_low, unsigned int step_high, unsigned int stream,
                                         unsigned int seed_low, unsigned int seed_high, unsigned int* words,
                                         long long blocks) {
    for (long long b = (long long)blockIdx.x * blockDim.x + threadIdx.x; b < blocks; b += (long long)gridDim.x * blockDim.x) {
        unsigned int c0 = (unsigned int)b, c1 = step_low, c2 = step_high, c3 = stream;
        unsigned int k0 = seed_low, k1 = seed_high;
        for (int round = 0; round < 10; ++round) {
            const unsigned long long p0 = 0xD2511F53ull * c0, p1 = 0xCD9E8D57ull * c2;
            c0 = (unsigned int)(p1 >> 32) ^ c1 ^ k0;
            c2 = (unsigned int)(p0 >> 32) ^ c3 ^ k1;
            c1 = (unsigned int)p1;
            c3 = (unsigned int)p0;
            k0 += 0x9E3779B9u;
            k1 += 0xBB67AE85u;
        }
        words[4 * b] = c0;
        words[4 * b + 1] = c1;
        words[4 * b + 2] = c2;
        words[4 * b + 3] = c3;
    }
}

extern "C" __global__ void uniform_kernel(const unsigned int* words, float* out, long long n) {
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += (long long)gridDim.x * blockDim.x)
        out[i] = __fmul_rn((float)(words[i] >> 8), 5.9604644775390625e-8f);
}

// a x + b, rounded twice.
__device__ __forceinline__ float step_of(float a, float x, float b) { return __fadd_rn(__fmul_rn(a, x), b); }

extern "C" __global__ void box_muller_kernel(const unsigned int* words, float* out, long long pairs) {
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < pairs; i += (long long)gridDim.x * blockDim.x) {
        // u = m 2^e with m in [sqrt(1/2), sqrt(2)), read off the bits of the float
        const float u = __fmul_rn(__fadd_rn((float)(int)(words[2 * i] >> 8), 1.0f), 5.9604644775390625e-8f);
        const int bits = __float_as_int(u);
        const int exponent = (bits - 0x3F3504F3) >> 23;
        float x = __fadd_rn(__int_as_float(bits - exponent * 8388608), -1.0f);
        float z = __fmul_rn(x, x);
        float p = step_of(7.0376836292e-2f, x, -1.1514610310e-1f);
        p = step_of(p, x, 1.1676998740e-1f);
        p = step_of(p, x, -1.2420140846e-1f);
        p = step_of(p, x, 1.4249322787e-1f);
        p = step_of(p, x, -1.6668057665e-1f);
        p = step_of(p, x, 2.0000714765e-1f);
        p = step_of(p, x, -2.4999993993e-1f);
        p = step_of(p, x, 3.3333331174e-1f);
        const float e = (float)exponent;
        const float tail = __fadd_rn(__fmul_rn(__fmul_rn(p, x), z), __fmul_rn(e, -2.12194440e-4f));
        const float low = __fadd_rn(x, __fadd_rn(tail, -__fmul_rn(0.5f, z)));
        const float log_u = __fadd_rn(low, __fmul_rn(e, 0.693359375f));
        const float radius = __fsqrt_rn(__fmul_rn(-2.0f, log_u));

        // t is a whole number of quarter turns plus an angle in [-pi/4, pi/4]
        const int turn = (int)(words[2 * i + 1] >> 8);
        const int quarter = (turn + (1 << 21)) >> 22;
        x = __fmul_rn((float)(turn - quarter * 4194304), 3.7450702829239286e-07f);
        z = __fmul_rn(x, x);
        float s = step_of(-1.9515295891e-4f, z, 8.3321608736e-3f);
        s = step_of(s, z, -1.6666654611e-1f);
        s = __fadd_rn(__fmul_rn(__fmul_rn(s, z), x), x);
        float c = step_of(2.4433157118e-5f, z, -1.3887316255e-3f);
        c = step_of(c, z, 4.1666645683e-2f);
        c = __fadd_rn(__fadd_rn(__fmul_rn(__fmul_rn(c, z), z), -__fmul_rn(0.5f, z)), 1.0f);
        const float sine = quarter & 1 ? c : s, cosine = quarter & 1 ? s : c;
        out[2 * i] = __fmul_rn(radius, (quarter + 1) & 2 ? -cosine : cosine);
        out[2 * i + 1] = __fmul_rn(radius, quarter & 2 ? -sine : sine);
    }
}
