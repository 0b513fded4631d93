#include "CAllocations.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>

static _Thread_local int isCounted;
static atomic_long allocations;

void carat_count_allocations(int onThisThread) { isCounted = onThisThread; }
long carat_allocations(void) { return atomic_load(&allocations); }

// A sanitizer has a heap of its own, which must not be gone around.
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
int carat_can_count_allocations(void) { return 0; }
#else
int carat_can_count_allocations(void) { return 1; }

// glibc's own, behind the names that this file takes over in the program of the tests.
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

static void count(void) {
  if (isCounted) atomic_fetch_add(&allocations, 1);
}

void *malloc(size_t size) {
  count();
  return __libc_malloc(size);
}

void *calloc(size_t number, size_t size) {
  count();
  return __libc_calloc(number, size);
}

void *realloc(void *memory, size_t size) {
  count();
  return __libc_realloc(memory, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
  count();
  return __libc_memalign(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size) {
  count();
  *memory = __libc_memalign(alignment, size);
  return *memory ? 0 : ENOMEM;
}
#endif
