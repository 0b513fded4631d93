// Starts the program that was built for the highest level of x86-64 that the processor has: ../libexec/carat/train-<level>,
// seen from this file's place. CARAT_LEVEL names a lower one. In C, so that it needs no Swift runtime and takes a few milliseconds.
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const levels[] = {"x86-64-v4", "x86-64-v3"};

static int isSupported(int level) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  return level == 0 ? __builtin_cpu_supports("x86-64-v4") : __builtin_cpu_supports("x86-64-v3");
#else
  (void)level;
  return 0;
#endif
}

int main(int argc, char **argv) {
  (void)argc;
  char self[PATH_MAX], program[PATH_MAX + 64];
  ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
  if (length < 0) {
    fprintf(stderr, "train: expected this program's place in /proc/self/exe, found: %s\n", strerror(errno));
    return 69;
  }
  self[length] = 0;
  const char *directory = dirname(self);
  const char *wanted = getenv("CARAT_LEVEL");
  int known = 0, supported = 0;
  for (int i = 0; i < 2; i++) {
    if (wanted && *wanted && strcmp(wanted, levels[i])) continue;
    known = 1;
    if (!isSupported(i)) continue;
    supported = 1;
    snprintf(program, sizeof program, "%s/../libexec/carat/train-%s", directory, levels[i]);
    execv(program, argv);
    if (errno != ENOENT) break;
  }
  if (!known) {
    fprintf(stderr, "train: expected x86-64-v3 or x86-64-v4 in CARAT_LEVEL, found '%s'\n", wanted);
    return 64;
  }
  if (!supported) {
    fprintf(stderr, "train: expected a processor of level %s or above, found one below\n", wanted ? wanted : "x86-64-v3");
    return 69;
  }
  fprintf(stderr, "train: %s: %s\n", program, strerror(errno));
  return 69;
}
