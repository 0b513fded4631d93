#pragma once

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

/// Has the calling thread flush denormal numbers to zero, as libraries do when they are loaded that were compiled with
/// fast mathematics.
static inline void flush_denormals_to_zero(void) {
#if defined(__x86_64__)
  _mm_setcsr(_mm_getcsr() | 0x8040);
#elif defined(__aarch64__)
  unsigned long control;
  __asm__ volatile("mrs %0, fpcr" : "=r"(control));
  __asm__ volatile("msr fpcr, %0" : : "r"(control | 1 << 24));
#endif
}
