#pragma once

/// Asks for the cache line of an address, which need not be readable, without waiting for it.
static inline void carat_prefetch(const void *_Nonnull address) { __builtin_prefetch(address, 0, 2); }

/// The same address, of which the compiler forgets what it knew: what lies beside it is addressed relative to it, and is
/// loaded no earlier than here.
static inline const float *_Nonnull carat_opaque(const float *_Nonnull address) {
  __asm__ volatile("" : "+r"(address) : : "memory");
  return address;
}
