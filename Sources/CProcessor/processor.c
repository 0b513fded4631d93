// Ends the program with one line where the processor lacks the instructions that it was built for. In C, as the compiler may
// use them in any Swift function; this file is built for every processor of the architecture.
#include "CProcessor.h"

#if defined(__x86_64__)
#include <unistd.h>

#if CARAT_AVX512
#define LEVEL "x86-64-v4"
#else
#define LEVEL "x86-64-v3"
#endif

static const char message[] =
  "train: expected a processor of level " LEVEL " or above, for which this program was built, found one below; build it on "
  "this machine, or take a program for a lower level\n";

__attribute__((constructor)) static void requireInstructions(void) {
  __builtin_cpu_init();
  if (__builtin_cpu_supports(LEVEL)) return;
  ssize_t written = write(STDERR_FILENO, message, sizeof message - 1);
  (void)written;
  _exit(69);
}
#endif
