// Mistakes, one in each kernel; check mode must name every one, at the line that ends in `// HERE`.
#define FULL 0xffffffffu

extern "C" __global__ void missing_barrier(float* y) {
    __shared__ float s[64];
    s[threadIdx.x] = threadIdx.x;                // HERE
    y[threadIdx.x] = s[63 - threadIdx.x];        // HERE
}
extern "C" __global__ void lockstep(float* y) {  // a warp is not in step by itself
    __shared__ float s[32];
    s[threadIdx.x] = threadIdx.x;
    __syncwarp();
    for (int o = 16; o; o >>= 1)
        if (threadIdx.x < o) s[threadIdx.x] += s[threadIdx.x + o];  // HERE
    if (threadIdx.x == 0) y[0] = s[0];
}
extern "C" __global__ void shuffle_is_no_fence(float* y) {
    __shared__ float s[32];
    s[threadIdx.x] = 1;
    y[threadIdx.x] = __shfl_sync(FULL, y[threadIdx.x], 0);
    y[threadIdx.x] += s[31 - threadIdx.x];  // HERE
}
extern "C" __global__ void add_without_atomic(const float* x, float* y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i % 8] += x[i];  // HERE
}
extern "C" __global__ void mixed_atomic(int* y) {
    atomicAdd(&y[0], 1);           // HERE
    if (threadIdx.x == 7) y[0] = 0;  // HERE
}
extern "C" __global__ void other_blocks(float* y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    y[i] = i;                              // HERE
    if (i + 32 < n) y[i] += y[i + 32];     // HERE
}
extern "C" __global__ void warp_sync_for_block(float* y) {  // orders lanes of one warp, not the block
    __shared__ float s[64];
    s[threadIdx.x] = 1;                    // HERE
    __syncwarp();
    y[threadIdx.x] = s[63 - threadIdx.x];  // HERE
}
extern "C" __global__ void no_second_barrier(const float* x, float* y) {  // the tile is filled again while still read
    __shared__ float s[64];
    float sum = 0;
    for (int k = 0; k < 2; ++k) {
        s[threadIdx.x] = x[64 * k + threadIdx.x];  // HERE
        __syncthreads();
        sum += s[63 - threadIdx.x];                // HERE
    }
    y[threadIdx.x] = sum;
}
extern "C" __global__ void write_past_end(float* y) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    y[i] = 1;  // HERE
}
extern "C" __global__ void read_past_end(const float* x, float* y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = x[i + 1];  // HERE
}
extern "C" __global__ void read_before_start(const float* x, float* y) {
    int i = threadIdx.x;
    y[i] = x[i - 1];  // HERE
}
extern "C" __global__ void far_out(float* y) {
    y[(size_t)threadIdx.x * 4000000000ull] = 1;  // HERE
}
extern "C" __global__ void null_pointer(const float* bias, float* y) {
    y[threadIdx.x] = bias[threadIdx.x];  // HERE
}
extern "C" __global__ void shared_index(float* y) {
    __shared__ float s[32];
    __shared__ float t[32];
    s[threadIdx.x + 1] = 1;  // HERE
    t[threadIdx.x] = 2;
    __syncthreads();
    y[threadIdx.x] = s[threadIdx.x] + t[threadIdx.x];
}
extern "C" __global__ void shared_pointer(float* y) {
    __shared__ float s[32];
    float* p = s + blockDim.x - 32;
    p[threadIdx.x + 1] = 1;  // HERE
    __syncthreads();
    y[threadIdx.x] = p[threadIdx.x];
}
extern "C" __global__ void dynamic_too_small(float* y) {
    extern __shared__ float s[];
    s[threadIdx.x] = 1;  // HERE
    __syncthreads();
    y[threadIdx.x] = s[threadIdx.x];
}
extern "C" __global__ void local_index(float* y, int n) {
    float a[4] = {1, 2, 3, 4};
    y[threadIdx.x] = a[threadIdx.x + n];  // HERE
}
extern "C" __global__ void uninitialised_shared(float* y) {
    __shared__ float s[32];
    if (threadIdx.x < 16) s[threadIdx.x] = 1;
    __syncthreads();
    y[threadIdx.x] = s[threadIdx.x];  // HERE
}
extern "C" __global__ void divergent_barrier(float* y) {
    if (threadIdx.x < 16) {
        y[threadIdx.x] = 1;
        __syncthreads();  // HERE
    } else {
        y[threadIdx.x] = 2;
        __syncthreads();  // HERE
    }
}
extern "C" __global__ void early_return(float* y, int n) {
    if (threadIdx.x >= n) return;
    __syncthreads();  // HERE
    y[threadIdx.x] = 1;
}
extern "C" __global__ void absent_lanes(float* y) {
    if (threadIdx.x < 16) y[threadIdx.x] = __shfl_down_sync(FULL, 1.f, 1);  // HERE
}
extern "C" __global__ void not_in_mask(float* y) {
    y[threadIdx.x] = __shfl_sync(0xffffu, 1.f, 0);  // HERE
}
extern "C" __global__ void source_not_in_mask(float* y) {
    if (threadIdx.x < 16) y[threadIdx.x] = __shfl_sync(0xffffu, 1.f, 20);  // HERE
}
extern "C" __global__ void misaligned(const float* x, float* y) {
    float4 v = *reinterpret_cast<const float4*>(x + 1 + 4 * threadIdx.x);  // HERE
    reinterpret_cast<float4*>(y)[threadIdx.x] = v;
}
extern "C" __global__ void write_const(const float* x, float* y) {
    const_cast<float*>(x)[threadIdx.x] = 0;  // HERE
    y[threadIdx.x] = 1;
}
extern "C" __global__ void overflow(int* y, int n) {
    y[threadIdx.x] = n * 65536;  // HERE
}
extern "C" __global__ void division(int* y, int n) {
    y[threadIdx.x] = 7 / n;  // HERE
}
extern "C" __global__ void shift(int* y, int n) {
    y[threadIdx.x] = 1 << n;  // HERE
}
