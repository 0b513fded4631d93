// libnuma: memory policies, CPU sets and page queries. Imported by Sources/Parallel/NUMA.swift alone.
#pragma once
#include <numa.h>
#include <numaif.h>

// Tells the core that its thread spins: Swift has no spelling for this instruction.
static inline void carat_spin_hint(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}
