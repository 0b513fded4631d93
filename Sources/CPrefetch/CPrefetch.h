#pragma once

/// Asks for the cache line of an address, which need not be readable, without waiting for it.
static inline void carat_prefetch(const void *address) { __builtin_prefetch(address, 0, 2); }
