/// Counts what the program of the tests asks of glibc's heap, on the threads that say so.

/// Whether allocations of the calling thread count from here on.
void carat_count_allocations(int onThisThread);

/// Those that counted so far, on all threads.
long carat_allocations(void);
