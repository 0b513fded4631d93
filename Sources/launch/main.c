// Starts the program that was built for the highest level of x86-64 that the processor has: ../libexec/carat/train-<level>,
// seen from this file's place. CARAT_LEVEL names a lower one. Where a launcher started this process among others, it is
// train-<level>-openmpi, if one lies there, and Open MPI's library has to be on the machine: ranks that each ran alone would
// look like a run. In C, so that it needs no Swift runtime and takes a few milliseconds.
#include <dlfcn.h>
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const levels[] = {"x86-64-v4", "x86-64-v3"};
static const int unavailable = 69;
// Of Open MPI 3 to 5.
static const char library[] = "libmpi.so.40";

static int isSupported(int level) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  return level == 0 ? __builtin_cpu_supports("x86-64-v4") : __builtin_cpu_supports("x86-64-v3");
#else
  (void)level;
  return 0;
#endif
}

// By which variables launchers tell a process its rank and the number of ranks, as in Sources/Parallel/Launcher.swift.
static const char *const variables[][2] = {
  {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"},
  {"PMI_RANK", "PMI_SIZE"},
  {"PMIX_RANK", "SLURM_STEP_NUM_TASKS"},
  {"SLURM_PROCID", "SLURM_STEP_NUM_TASKS"},
};
enum { variableCount = sizeof variables / sizeof variables[0] };

static int isNumber(const char *name, long *number) {
  const char *text = getenv(name);
  if (!text || !*text) return 0;
  char *end;
  *number = strtol(text, &end, 10);
  return !*end;
}

// The variables that tell of ranks; -1 where none do.
static int announcement(long *rank, long *size) {
  for (int i = 0; i < variableCount; i++) {
    if (isNumber(variables[i][0], rank) && isNumber(variables[i][1], size)) return i;
  }
  *rank = 0;
  *size = 1;
  return -1;
}

// Ends this process, one of ranks, unless Open MPI can be loaded; its first rank says why.
static void requireOpenMPI(int announced, long rank, long size) {
  if (dlopen(library, RTLD_LAZY | RTLD_LOCAL)) return;
  const char *reason = dlerror();
  if (rank > 0) sleep(3);
  fprintf(
    stderr,
    "train: this is one of %ld processes, which need Open MPI, found: %s; install it (Debian: openmpi-bin), or, for a run of "
    "its own in each process, start it with env -u %s and an --output each\n",
    size, reason ? reason : "no reason given", variables[announced][1]);
  exit(unavailable);
}

int main(int argc, char **argv) {
  (void)argc;
  char self[PATH_MAX], program[PATH_MAX + 64];
  ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
  if (length < 0) {
    fprintf(stderr, "train: expected this program's place in /proc/self/exe, found: %s\n", strerror(errno));
    return unavailable;
  }
  self[length] = 0;
  const char *directory = dirname(self);
  const char *wanted = getenv("CARAT_LEVEL");
  long rank, size;
  int announced = announcement(&rank, &size);
  int known = 0, supported = 0;
  for (int i = 0; i < 2; i++) {
    if (wanted && *wanted && strcmp(wanted, levels[i])) continue;
    known = 1;
    if (!isSupported(i)) continue;
    supported = 1;
    if (size > 1) {
      snprintf(program, sizeof program, "%s/../libexec/carat/train-%s-openmpi", directory, levels[i]);
      if (!access(program, F_OK)) {
        requireOpenMPI(announced, rank, size);
        execv(program, argv);
        break;
      }
    }
    // Without MPI, it refuses to be one of several ranks.
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
    return unavailable;
  }
  fprintf(stderr, "train: %s: %s\n", program, strerror(errno));
  return unavailable;
}
