// CUDA C's vocabulary, said in C++: qualifiers, vector types, warp functions, atomics, intrinsics.
// What is not here does not compile, and the error names it. Rounding is IEEE's; the fast intrinsics (__expf, ...) are
// the exact functions.
#pragma once
#include "entry.h"

#define __global__ static
#define __device__
#define __host__
#ifdef CUDASIM_CHECK  // not const: of a constant g++ takes the reads out of what is checked
#define __constant__ static __attribute__((section(".data.constant")))
#else
#define __constant__ static const
#endif
#define __launch_bounds__(...)
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __align__(n) __attribute__((aligned(n)))
#define __restrict__ __restrict

#define CUDASIM_VECTOR(T, N, A2, A4)                                                   \
    struct N##1 { T x; };                                                              \
    struct alignas(A2) N##2 { T x, y; };                                               \
    struct N##3 { T x, y, z; };                                                        \
    struct alignas(A4) N##4 { T x, y, z, w; };                                         \
    static inline N##1 make_##N##1(T x) { return {x}; }                                \
    static inline N##2 make_##N##2(T x, T y) { return {x, y}; }                        \
    static inline N##3 make_##N##3(T x, T y, T z) { return {x, y, z}; }                \
    static inline N##4 make_##N##4(T x, T y, T z, T w) { return {x, y, z, w}; }
CUDASIM_VECTOR(float, float, 8, 16)
CUDASIM_VECTOR(double, double, 16, 16)
CUDASIM_VECTOR(int, int, 8, 16)
CUDASIM_VECTOR(long long, longlong, 16, 16)
CUDASIM_VECTOR(unsigned char, uchar, 2, 4)
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
static inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
static inline uint3 make_uint3(unsigned x, unsigned y, unsigned z) { return {x, y, z}; }
static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

// ---- barriers and warp functions
#define __syncthreads() ((void)cudasim::barrier(__LINE__, __COUNTER__))
#define __syncthreads_count(p) cudasim::barrier(__LINE__, __COUNTER__, (p) != 0)
#define __syncthreads_or(p) (cudasim::barrier(__LINE__, __COUNTER__, (p) != 0) != 0)
#define __syncthreads_and(p) (cudasim::barrier(__LINE__, __COUNTER__, (p) == 0) == 0)
#define __syncwarp(...) ((void)cudasim::meet(cudasim::mask_or_all(__VA_ARGS__), 0, __LINE__, cudasim::SYNC))
#define __shfl_sync(...) cudasim::shuffle_index(__LINE__, __VA_ARGS__)
#define __shfl_up_sync(...) cudasim::shuffle_up(__LINE__, __VA_ARGS__)
#define __shfl_down_sync(...) cudasim::shuffle_down(__LINE__, __VA_ARGS__)
#define __shfl_xor_sync(...) cudasim::shuffle_xor(__LINE__, __VA_ARGS__)
#define __ballot_sync(mask, p) cudasim::ballot(__LINE__, mask, p)
#define __any_sync(mask, p) (cudasim::ballot(__LINE__, mask, p) != 0)
#define __all_sync(mask, p) (cudasim::ballot(__LINE__, mask, !(p)) == 0)

namespace cudasim {
static inline unsigned mask_or_all(unsigned mask = ~0u) { return mask; }

template <class T> CUDASIM_PLAIN static T shuffle(int line, unsigned mask, T value, int source, bool inside, int width) {
    static_assert(sizeof(T) <= 8, "a shuffle moves at most 8 bytes");
    if (width < 1 || width > 32 || (width & (width - 1))) {
        report(nullptr, line, "wrong shuffle: width %lld is not a power of two up to 32", width);
        abandon();
    }
    u64 bits = 0;
    memcpy(&bits, &value, sizeof value);
    const u64* values = meet(mask, bits, line, SHUFFLE);
    if (!inside) return value;
    if (!(mask >> source & 1)) {
        report(nullptr, line, "wrong mask: thread %lld's shuffle reads lane %lld, which is not in the mask (block %lld)",
               B.current->number, source, B.number);
        memset((void*)&value, 0xff, sizeof value);
        return value;
    }
    memcpy((void*)&value, &values[source], sizeof value);
    return value;
}
CUDASIM_PLAIN static inline int segment_start(int width) { return lane() & ~(width - 1); }
template <class T> CUDASIM_PLAIN static T shuffle_index(int line, unsigned m, T v, int i, int width = 32) {
    return shuffle(line, m, v, segment_start(width) + (i & (width - 1)), true, width);
}
template <class T> CUDASIM_PLAIN static T shuffle_up(int line, unsigned m, T v, unsigned d, int width = 32) {
    int source = lane() - (int)d;
    return shuffle(line, m, v, source, source >= segment_start(width), width);
}
template <class T> CUDASIM_PLAIN static T shuffle_down(int line, unsigned m, T v, unsigned d, int width = 32) {
    int source = lane() + (int)d;
    return shuffle(line, m, v, source, source < segment_start(width) + width, width);
}
template <class T> CUDASIM_PLAIN static T shuffle_xor(int line, unsigned m, T v, int bits, int width = 32) {
    int source = lane() ^ bits;
    return shuffle(line, m, v, source, source < segment_start(width) + width, width);
}
CUDASIM_PLAIN static inline unsigned ballot(int line, unsigned mask, int predicate) {
    const u64* values = meet(mask, predicate != 0, line, VOTE);
    unsigned bits = 0;
    for (int i = 0; i < 32; i++)
        if (mask >> i & 1) bits |= (unsigned)values[i] << i;
    return bits;
}
#ifdef CUDASIM_CHECK
CUDASIM_RUNTIME void check_atomic(const void* address, unsigned bytes, void* place);
#define CUDASIM_ATOMIC(p) cudasim::check_atomic((const void*)(p), sizeof *(p), __builtin_return_address(0))
// What a local that is not set holds in the second of two runs: 100, above 0; in the first it is below.
template <class T> CUDASIM_PLAIN static inline void fill(T& v) {
    if constexpr (std::is_array<T>::value) for (auto& item : v) fill(item);
    else if constexpr (std::is_pointer<T>::value) v = nullptr;
    else if constexpr (std::is_arithmetic<T>::value || std::is_enum<T>::value) v = (T)100;
    else if constexpr (std::is_trivially_default_constructible<T>::value) {
        memset((void*)&v, 100, sizeof v);
        __builtin_clear_padding(&v);  // as g++ does in the first run: padding is nothing that is read
    }
}
#else
#define CUDASIM_ATOMIC(p) ((void)0)
#endif
template <class T> struct Same { typedef T type; };  // keeps an argument out of the deduction of T
}  // namespace cudasim

// ---- atomics: threads never run at once here, so that they are plain updates
#define CUDASIM_UPDATE(NAME, EXPRESSION)                                                                       \
    template <class T> CUDASIM_RUNTIME T NAME(T* p, typename cudasim::Same<T>::type v) {                       \
        CUDASIM_ATOMIC(p);                                                                                     \
        T old = *p;                                                                                            \
        *p = (T)(EXPRESSION);                                                                                  \
        return old;                                                                                            \
    }
CUDASIM_UPDATE(atomicAdd, old + v)
CUDASIM_UPDATE(atomicSub, old - v)
CUDASIM_UPDATE(atomicMin, v < old ? v : old)
CUDASIM_UPDATE(atomicMax, v > old ? v : old)
CUDASIM_UPDATE(atomicExch, v)
CUDASIM_UPDATE(atomicAnd, old & v)
CUDASIM_UPDATE(atomicOr, old | v)
CUDASIM_UPDATE(atomicXor, old ^ v)
CUDASIM_UPDATE(atomicInc, old >= v ? 0 : old + 1)
CUDASIM_UPDATE(atomicDec, old == 0 || old > v ? v : old - 1)
template <class T> CUDASIM_RUNTIME T atomicCAS(T* p, typename cudasim::Same<T>::type compare,
                                               typename cudasim::Same<T>::type v) {
    CUDASIM_ATOMIC(p);
    T old = *p;
    if (old == compare) *p = v;
    return old;
}
static inline void __threadfence() {}
static inline void __threadfence_block() {}

// ---- loads and stores with a cache hint
template <class T> static inline T __ldg(const T* p) { return *p; }
template <class T> static inline T __ldca(const T* p) { return *p; }
template <class T> static inline T __ldcg(const T* p) { return *p; }
template <class T> static inline T __ldcs(const T* p) { return *p; }
template <class T> static inline void __stcg(T* p, typename cudasim::Same<T>::type v) { *p = v; }
template <class T> static inline void __stcs(T* p, typename cudasim::Same<T>::type v) { *p = v; }

// ---- arithmetic with a stated rounding, to nearest
#define CUDASIM_ROUNDED(T, D)                                                       \
    static inline T __##D##add_rn(T a, T b) { return a + b; }                       \
    static inline T __##D##sub_rn(T a, T b) { return a - b; }                       \
    static inline T __##D##mul_rn(T a, T b) { return a * b; }
CUDASIM_ROUNDED(float, f)
CUDASIM_ROUNDED(double, d)
static inline float __fdiv_rn(float a, float b) { return a / b; }
static inline double __ddiv_rn(double a, double b) { return a / b; }
static inline float __fsqrt_rn(float a) { return sqrtf(a); }
static inline double __dsqrt_rn(double a) { return sqrt(a); }
static inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
static inline double __fma_rn(double a, double b, double c) { return fma(a, b, c); }
static inline float __frcp_rn(float a) { return 1.f / a; }
static inline double __drcp_rn(double a) { return 1. / a; }
static inline float __frsqrt_rn(float a) { return (float)(1. / sqrt((double)a)); }
static inline float __fdividef(float a, float b) { return a / b; }
static inline float fdividef(float a, float b) { return a / b; }
static inline float __saturatef(float a) { return a < 0.f ? 0.f : a > 1.f ? 1.f : a; }
static inline float rsqrtf(float a) { return (float)(1. / sqrt((double)a)); }
static inline double rsqrt(double a) { return 1. / sqrt(a); }
static inline float rsqrt(float a) { return rsqrtf(a); }
// macros, since the C library has functions of these names
#define __expf(a) expf((float)(a))
#define __exp10f(a) powf(10.f, a)
#define __logf(a) logf((float)(a))
#define __log2f(a) log2f((float)(a))
#define __log10f(a) log10f((float)(a))
#define __powf(a, b) powf(a, b)
#define __sinf(a) sinf((float)(a))
#define __cosf(a) cosf((float)(a))
#define __tanf(a) tanf((float)(a))
static inline void sincospif(float a, float* s, float* c) { *s = (float)sin(M_PI * a), *c = (float)cos(M_PI * a); }
static inline void sincospi(double a, double* s, double* c) { *s = sin(M_PI * a), *c = cos(M_PI * a); }

// ---- bits
template <class To, class From> static inline To cudasim_bits(From from) {
    static_assert(sizeof(To) == sizeof(From), "");
    To to;
    memcpy(&to, &from, sizeof to);
    return to;
}
static inline float __int_as_float(int a) { return cudasim_bits<float>(a); }
static inline int __float_as_int(float a) { return cudasim_bits<int>(a); }
static inline float __uint_as_float(unsigned a) { return cudasim_bits<float>(a); }
static inline unsigned __float_as_uint(float a) { return cudasim_bits<unsigned>(a); }
static inline double __longlong_as_double(long long a) { return cudasim_bits<double>(a); }
static inline long long __double_as_longlong(double a) { return cudasim_bits<long long>(a); }
static inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)((unsigned long long)a * b >> 32); }
static inline int __mulhi(int a, int b) { return (int)((long long)a * b >> 32); }
static inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned long long)((unsigned __int128)a * b >> 64);
}
static inline int __popc(unsigned a) { return __builtin_popcount(a); }
static inline int __popcll(unsigned long long a) { return __builtin_popcountll(a); }
static inline int __ffs(int a) { return __builtin_ffs(a); }
static inline int __ffsll(long long a) { return __builtin_ffsll(a); }
static inline int __clz(int a) { return a ? __builtin_clz((unsigned)a) : 32; }
static inline int __clzll(long long a) { return a ? __builtin_clzll((unsigned long long)a) : 64; }
static inline unsigned __brev(unsigned a) {
    unsigned r = 0;
    for (int i = 0; i < 32; i++) r |= (a >> i & 1) << (31 - i);
    return r;
}

// ---- conversions
static inline int __float2int_rn(float a) { return (int)rintf(a); }
static inline int __float2int_rz(float a) { return (int)a; }
static inline int __float2int_rd(float a) { return (int)floorf(a); }
static inline int __float2int_ru(float a) { return (int)ceilf(a); }
static inline int __double2int_rn(double a) { return (int)rint(a); }
static inline int __double2int_rz(double a) { return (int)a; }
static inline float __double2float_rn(double a) { return (float)a; }
static inline float __int2float_rn(int a) { return (float)a; }
static inline float __uint2float_rn(unsigned a) { return (float)a; }
static inline double __int2double_rn(int a) { return a; }
static inline double __uint2double_rn(unsigned a) { return a; }
static inline float __ll2float_rn(long long a) { return (float)a; }
static inline double __ll2double_rn(long long a) { return (double)a; }
static inline double __ull2double_rn(unsigned long long a) { return (double)a; }

// ---- min and max, as CUDA overloads them: a NaN gives way to the other value
#define CUDASIM_MINMAX(T)                                       \
    static inline T min(T a, T b) { return b < a ? b : a; }     \
    static inline T max(T a, T b) { return a < b ? b : a; }
CUDASIM_MINMAX(int)
CUDASIM_MINMAX(unsigned)
CUDASIM_MINMAX(long)
CUDASIM_MINMAX(unsigned long)
CUDASIM_MINMAX(long long)
CUDASIM_MINMAX(unsigned long long)
static inline float min(float a, float b) { return fminf(a, b); }
static inline float max(float a, float b) { return fmaxf(a, b); }
static inline double min(double a, double b) { return fmin(a, b); }
static inline double max(double a, double b) { return fmax(a, b); }
#ifdef CUDASIM_CHECK
#include "check.h"
#endif
