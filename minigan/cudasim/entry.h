// What Python calls in a compiled module: a kernel's signature, a launch with its arguments packed as in a struct, and
// what the launch found wrong.
#pragma once
#include "run.h"

// All of it is plain: another Python thread may ask for a signature while a kernel of this library runs, whose accesses
// are checked.
namespace cudasim {
// ---- from a kernel's C signature to a call with its arguments packed as in a struct
template <class T> struct Code {
    typedef std::remove_cv_t<std::remove_pointer_t<T>> Item;
    CUDASIM_PLAIN static void write(char* out) {
        bool pointer = std::is_pointer<T>::value, constant = std::is_const<std::remove_pointer_t<T>>::value;
        const char* kind = "x0";
        static char number[3];
        if (std::is_reference<T>::value) kind = "x0";
        else if (std::is_void<Item>::value) kind = "V1";
        else if (std::is_arithmetic<Item>::value) {
            number[0] = std::is_same<Item, bool>::value ? 'b' : std::is_floating_point<Item>::value ? 'f'
                        : std::is_signed<Item>::value ? 'i' : 'u';
            number[1] = (char)('0' + size<Item>());
            kind = number;
        }
        out[0] = pointer ? (constant ? 'c' : 'p') : 'v';
        out[1] = kind[0], out[2] = kind[1], out[3] = ' ', out[4] = 0;
    }
    template <class U> static constexpr size_t size() {
        if constexpr (std::is_void<U>::value) return 1; else return sizeof(U);
    }
};

template <class F> struct Signature;
template <class... A> struct Signature<void (*)(A...)> {
    CUDASIM_PLAIN static const char* text() {
        static char out[4 * sizeof...(A) + 4];
        char* p = out;
        ((Code<A>::write(p), p += 4), ...);
        return out;
    }
    template <void (*F)(A...)> static void run(const char* arguments) { run<F>(arguments, std::index_sequence_for<A...>()); }
    template <void (*F)(A...), size_t... I> CUDASIM_PLAIN static void run(const char* arguments, std::index_sequence<I...>) {
        constexpr Offsets offsets;
        F(*(std::remove_cv_t<std::remove_reference_t<A>>*)(arguments + offsets.at[I])...);
    }
    struct Offsets {
        size_t at[sizeof...(A) + 1] = {};
        constexpr Offsets() {
            size_t sizes[] = {sizeof(A)..., 1}, aligns[] = {alignof(A)..., 1}, place = 0;
            for (size_t i = 0; i < sizeof...(A); i++) {
                place = (place + aligns[i] - 1) / aligns[i] * aligns[i];
                at[i] = place;
                place += sizes[i];
            }
        }
    };
};
}  // namespace cudasim

#define CUDASIM_EXPORT extern "C" __attribute__((visibility("default")))
#define CUDASIM_KERNEL(NAME, FUNCTION)                                                                                 \
    CUDASIM_EXPORT CUDASIM_PLAIN const char* cudasim_signature_##NAME() {                                              \
        return cudasim::Signature<decltype(&FUNCTION)>::text();                                                        \
    }                                                                                                                  \
    CUDASIM_EXPORT CUDASIM_PLAIN int cudasim_launch_##NAME(const char* arguments, const unsigned* dims,                \
                                                           size_t dynamic_bytes, int order, unsigned long long seed) { \
        return cudasim::launch(cudasim::Signature<decltype(&FUNCTION)>::template run<&FUNCTION>, arguments, dims,      \
                               dynamic_bytes, order, seed);                                                            \
    }
// The i-th finding: its words; places as offsets in this library, 0 for none.
CUDASIM_EXPORT CUDASIM_PLAIN const char* cudasim_report(int i, long long* places, const char** file, int* line) {
    static char here;
    Dl_info library;
    dladdr(&here, &library);
    cudasim::Report& r = cudasim::reports[i];
    places[0] = r.place ? (char*)r.place - (char*)library.dli_fbase : 0;
    places[1] = r.other ? (char*)r.other - (char*)library.dli_fbase : 0;
    *file = r.file;
    *line = r.line;
    return r.text;
}
