// Lets writing fail: a library to be preloaded (LD_PRELOAD), for scripts/check/chaos --writes.
//
// FAILING_WRITES is <kind>:<n>:<directory>. In files of that directory, as an absolute path without links:
//   full:n     the disk is full after n bytes: the write that reaches them is cut, later ones find no space
//   broken:n   the device fails from the write on that reaches byte n: input/output error, as for later syncs
//   short:n    each write takes a part only, of 1 to n bytes, and every fourth is interrupted first: no fault
//   sync:n     the n-th fsync fails and all later ones, as of a broken device
//   rename:n   the n-th rename and all later ones find no space
//   create:n   the n-th new file and all later ones find no space
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static char kind[16], directory[PATH_MAX];
static long limit;
static atomic_long bytes, syncs, renames, creations, calls;

__attribute__((constructor)) static void read_plan(void) {
  const char *plan = getenv("FAILING_WRITES");
  if (!plan || sscanf(plan, "%15[a-z]:%ld:%4095[^\n]", kind, &limit, directory) != 3) kind[0] = 0;
}

static int is_kind(const char *name) { return strcmp(kind, name) == 0; }

static int lies_in_directory(const char *path) {
  size_t length = strlen(directory);
  return length && strncmp(path, directory, length) == 0 && (path[length] == '/' || !path[length]);
}

static int is_meant(int descriptor) {
  if (!kind[0]) return 0;
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return lies_in_directory(path);
}

// A name may be relative to the working directory.
static int is_meant_name(const char *name) {
  if (!kind[0]) return 0;
  if (name[0] == '/') return lies_in_directory(name);
  char here[PATH_MAX], path[2 * PATH_MAX];
  if (!getcwd(here, sizeof here)) return 0;
  snprintf(path, sizeof path, "%s/%s", here, name);
  return lies_in_directory(path);
}

// How many of `count` bytes may be written; -1 with errno if none.
static ssize_t allowed(int descriptor, size_t count) {
  if (count == 0 || !is_meant(descriptor)) return (ssize_t)count;
  if (is_kind("short")) {
    long call = atomic_fetch_add(&calls, 1);
    if (call % 4 == 3) return errno = EINTR, -1;
    size_t part = 1 + (size_t)(call * 7919 % limit);
    return (ssize_t)(part < count ? part : count);
  }
  if (!is_kind("full") && !is_kind("broken")) return (ssize_t)count;
  long before = atomic_fetch_add(&bytes, (long)count);
  if (before + (long)count <= limit) return (ssize_t)count;
  if (is_kind("broken")) return errno = EIO, -1;
  if (before >= limit) return errno = ENOSPC, -1;
  return limit - before;
}

#define REAL(name, type, ...) static type (*real)(__VA_ARGS__); if (!real) real = dlsym(RTLD_NEXT, name)

ssize_t write(int descriptor, const void *data, size_t count) {
  REAL("write", ssize_t, int, const void *, size_t);
  ssize_t part = allowed(descriptor, count);
  return part < 0 ? part : real(descriptor, data, (size_t)part);
}

ssize_t pwrite(int descriptor, const void *data, size_t count, off_t offset) {
  REAL("pwrite", ssize_t, int, const void *, size_t, off_t);
  ssize_t part = allowed(descriptor, count);
  return part < 0 ? part : real(descriptor, data, (size_t)part, offset);
}

ssize_t writev(int descriptor, const struct iovec *parts, int count) {
  REAL("writev", ssize_t, int, const struct iovec *, int);
  // A part by itself is what a system may take of several.
  if (count > 0 && is_meant(descriptor)) return write(descriptor, parts[0].iov_base, parts[0].iov_len);
  return real(descriptor, parts, count);
}

static int sync_fails(int descriptor) {
  if (!is_meant(descriptor)) return 0;
  int fails = (is_kind("sync") && atomic_fetch_add(&syncs, 1) + 1 >= limit) || (is_kind("broken") && atomic_load(&bytes) > limit);
  if (fails) errno = EIO;
  return fails;
}

int fsync(int descriptor) {
  REAL("fsync", int, int);
  return sync_fails(descriptor) ? -1 : real(descriptor);
}

int fdatasync(int descriptor) {
  REAL("fdatasync", int, int);
  return sync_fails(descriptor) ? -1 : real(descriptor);
}

int rename(const char *from, const char *to) {
  REAL("rename", int, const char *, const char *);
  if (is_kind("rename") && is_meant_name(to) && atomic_fetch_add(&renames, 1) + 1 >= limit) return errno = ENOSPC, -1;
  return real(from, to);
}

// Whether a file that is to be made can't be.
static int creation_fails(const char *name, int flags) {
  int fails = is_kind("create") && (flags & O_CREAT) && is_meant_name(name) && access(name, F_OK) != 0 &&
    atomic_fetch_add(&creations, 1) + 1 >= limit;
  if (fails) errno = ENOSPC;
  return fails;
}

#define OPEN(function)                                                                        \
  int function(const char *name, int flags, ...) {                                            \
    REAL(#function, int, const char *, int, ...);                                             \
    va_list more;                                                                             \
    va_start(more, flags);                                                                    \
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;                   \
    va_end(more);                                                                             \
    return creation_fails(name, flags) ? -1 : real(name, flags, mode);                        \
  }
OPEN(open)
OPEN(open64)
