/// Counts what the program of the tests asks of glibc's heap, on the threads that say so.

/// Whether they are counted: not under a sanitizer.
int carat_can_count_allocations(void);

/// Whether allocations of the calling thread count from here on.
void carat_count_allocations(int onThisThread);

/// Those that counted so far, on all threads.
long carat_allocations(void);
