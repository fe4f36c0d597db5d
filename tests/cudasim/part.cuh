// Included by good.cu.
__device__ __forceinline__ real doubled(real v) { return 2 * v; }
