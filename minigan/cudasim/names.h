// CUDA's functions, by name. build.py brings them into the namespace of the user's text, all but those that are called
// as one of its kernels: an overload that the text adds to one of them stands beside the others then, as it does in
// CUDA, and does not hide them.
using ::make_float1, ::make_float2, ::make_float3, ::make_float4;
using ::make_double1, ::make_double2, ::make_double3, ::make_double4;
using ::make_int1, ::make_int2, ::make_int3, ::make_int4;
using ::make_longlong1, ::make_longlong2, ::make_longlong3, ::make_longlong4;
using ::make_uchar1, ::make_uchar2, ::make_uchar3, ::make_uchar4;
using ::make_uint2, ::make_uint3, ::make_uint4;
using ::atomicAdd, ::atomicSub, ::atomicMin, ::atomicMax, ::atomicExch, ::atomicAnd, ::atomicOr, ::atomicXor;
using ::atomicCAS, ::atomicDec, ::atomicInc, ::__threadfence, ::__threadfence_block;
using ::__ldca, ::__ldcg, ::__ldcs, ::__ldg, ::__stcg, ::__stcs;
using ::__dadd_rn, ::__ddiv_rn, ::__dmul_rn, ::__drcp_rn, ::__dsqrt_rn, ::__dsub_rn, ::__fma_rn;
using ::__fadd_rn, ::__fdiv_rn, ::__fmaf_rn, ::__fmul_rn, ::__frcp_rn, ::__frsqrt_rn, ::__fsqrt_rn, ::__fsub_rn;
using ::__fdividef, ::__saturatef, ::fdividef, ::rsqrt, ::rsqrtf, ::sincospi, ::sincospif;
using ::__double_as_longlong, ::__float_as_int, ::__float_as_uint, ::__int_as_float, ::__longlong_as_double;
using ::__brev, ::__clz, ::__clzll, ::__ffs, ::__ffsll, ::__mulhi, ::__popc, ::__popcll, ::__uint_as_float;
using ::__double2float_rn, ::__double2int_rn, ::__double2int_rz, ::__umul64hi, ::__umulhi;
using ::__float2int_rd, ::__float2int_rn, ::__float2int_ru, ::__float2int_rz;
using ::__int2double_rn, ::__int2float_rn, ::__ll2double_rn, ::__ll2float_rn;
using ::__uint2double_rn, ::__uint2float_rn, ::__ull2double_rn;
using ::abs, ::labs, ::llabs, ::max, ::min;
using ::acos, ::acosh, ::asin, ::asinh, ::atan, ::atan2, ::atanh, ::cbrt, ::ceil, ::copysign, ::cos, ::cosh;
using ::erf, ::erfc, ::exp, ::exp2, ::expm1, ::fabs, ::fdim, ::floor, ::fma, ::fmax, ::fmin, ::fmod, ::frexp;
using ::hypot, ::ilogb, ::isfinite, ::isinf, ::isnan, ::ldexp, ::lgamma, ::llrint, ::llround, ::log, ::log10;
using ::log1p, ::log2, ::logb, ::lrint, ::lround, ::modf, ::nearbyint, ::nextafter, ::pow, ::remainder, ::rint;
using ::round, ::scalbn, ::signbit, ::sin, ::sincos, ::sinh, ::sqrt, ::tan, ::tanh, ::tgamma, ::trunc;
using ::acosf, ::acoshf, ::asinf, ::asinhf, ::atan2f, ::atanf, ::atanhf, ::cbrtf, ::ceilf, ::copysignf, ::cosf;
using ::coshf, ::erfcf, ::erff, ::exp2f, ::expf, ::expm1f, ::fabsf, ::fdimf, ::floorf, ::fmaf, ::fmaxf, ::fminf;
using ::fmodf, ::frexpf, ::hypotf, ::ilogbf, ::ldexpf, ::lgammaf, ::llrintf, ::llroundf, ::log10f, ::log1pf;
using ::log2f, ::logbf, ::logf, ::lrintf, ::lroundf, ::modff, ::nearbyintf, ::nextafterf, ::powf, ::remainderf;
using ::rintf, ::roundf, ::scalbnf, ::sincosf, ::sinf, ::sinhf, ::sqrtf, ::tanf, ::tanhf, ::tgammaf, ::truncf;
