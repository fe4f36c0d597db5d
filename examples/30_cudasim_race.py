"""A sum on the GPU that is right by luck, the race that the simulator finds in it, and the sum put right; no GPU.

Block b adds up its 256 numbers in shared memory, halving the number of threads in each round:

    s[t] <- s[t] + s[t + h],   t < h,   h = 128, 64, ..., 1

In round h thread t reads what thread t + h wrote in the round before: all must have finished that round. The student
knows that 32 threads, a warp, run together, and leaves the barrier out for h < 32. No GPU has promised that since 2017.
In the order in which the simulator happens to run them the first version may even give the right sum; check mode does
not go by luck: it says which threads touch the same place with nothing between them.

Run it:  python -m minigan.examples.30_cudasim_race
"""

import numpy as np

from minigan.cudasim import KernelError, Module

SUM = """
extern "C" __global__ void block_sums(const float* x, float* sums, int n) {
    __shared__ float s[256];
    int t = threadIdx.x, i = blockIdx.x * 256 + t;
    s[t] = i < n ? x[i] : 0.f;
    __syncthreads();
    for (int h = 128; h > 0; h /= 2) {
        if (t < h) s[t] += s[t + h];
        BARRIER
    }
    if (t == 0) sums[blockIdx.x] = s[0];
}
"""
RACY = SUM.replace("BARRIER", "if (h > 32) __syncthreads();  // the last warp needs none, surely")
FIXED = SUM.replace("BARRIER", "__syncthreads();")


def run(text: str, check: bool, order: str) -> np.ndarray:
    """The sums of 1000 numbers by blocks of 256, as the kernel computes them."""
    x = np.arange(1000, dtype=np.float32)
    sums = np.zeros(4, np.float32)
    kernel = Module(text, check=check, order=order).get_function("block_sums")
    kernel((4,), (256,), (x, sums, np.int32(x.size)))
    return sums


def main() -> None:
    """Run the racy and the fixed sum in every order of threads, unchecked and checked."""
    right = np.add.reduceat(np.arange(1000, dtype=np.float32), [0, 256, 512, 768])
    caught = 0
    for name, text in (("without the barrier", RACY), ("with it", FIXED)):
        for order in ("forward", "reverse", "random"):
            verdict = "right" if (run(text, False, order) == right).all() else "WRONG"
            print(f"{name}, {order} order: the sums are {verdict}")
        for order in ("forward", "reverse", "random"):
            try:
                run(text, True, order)
                print(f"{name}, {order} order, checked: nothing found")
            except KernelError as error:
                caught += 1
                print(f"{name}, {order} order, checked:\n    " + str(error).replace("\n", "\n    "))
    print("Verdict: the race is caught in every order, and gone when fixed." if caught == 3 else "Verdict: NOT caught.")


if __name__ == "__main__":
    main()
