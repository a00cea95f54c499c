/* Loaded before the C library into the process under test: makes calls on files below one directory fail, hang or come
   short, and sets the wall clock off, as a file in shared memory says at this moment. Without an order every call goes
   through as it is. NARROWS_FAULTS names the file, NARROWS_FAULTS_BELOW the directory. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

/* Which calls an order is for; `preload.py` has the same. */
enum { WRITE = 1, SYNC = 2, TRUNCATE = 4, CREATE = 8, ALLOCATE = 16, RENAME = 32 };

struct orders {
  _Atomic uint32_t calls;  /* bits of the calls that fail or hang; 0: none */
  _Atomic int32_t error;   /* errno; 0: the call goes through after it hung */
  _Atomic uint32_t hang;   /* milliseconds before it fails or goes through */
  _Atomic int32_t times;   /* so many calls more; below 0: until told otherwise */
  _Atomic uint32_t part;   /* bytes that a write takes before it fails */
  _Atomic uint32_t met;    /* how many calls were made to fail or hang */
  _Atomic int64_t clock;   /* seconds by which the wall clock is off */
  char name[64];           /* only files whose path contains this */
};

static struct orders *orders;
static char below[PATH_MAX];
static size_t below_length;

__attribute__((constructor)) static void begin(void) {
  const char *file = getenv("NARROWS_FAULTS"), *directory = getenv("NARROWS_FAULTS_BELOW");
  if (!file || !directory || !realpath(directory, below)) return;
  below_length = strlen(below);
  int fd = open(file, O_RDWR | O_CLOEXEC);
  if (fd < 0) abort();
  void *mapped = mmap(NULL, sizeof(struct orders), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (mapped == MAP_FAILED) abort();
  close(fd);
  orders = mapped;
}

static int is_meant(const char *path) {
  if (strncmp(path, below, below_length) || path[below_length] != '/') return 0;
  return !orders->name[0] || strstr(path + below_length, orders->name) != NULL;
}

/* Whether this call is to fail; it has hung by then. */
static int is_struck(uint32_t call, const char *path) {
  int32_t times = orders->times;
  if (!is_meant(path)) return 0;
  do {
    if (times == 0) return 0;
  } while (times > 0 && !atomic_compare_exchange_weak(&orders->times, &times, times - 1));
  orders->met++;
  /* In small steps, so that what is lifted is over at once. */
  for (uint32_t slept = 0; slept < orders->hang && orders->calls & call; slept += 10) usleep(10000);
  if (orders->error == 0) return 0;
  errno = orders->error;
  return 1;
}

static int strikes(uint32_t call, int fd) {
  if (!orders || !(orders->calls & call)) return 0;
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return is_struck(call, path);
}

static int strikes_path(uint32_t call, const char *path) {
  if (!orders || !(orders->calls & call)) return 0;
  char whole[PATH_MAX * 2];
  if (path[0] == '/') return is_struck(call, path);
  if (!getcwd(whole, PATH_MAX)) return 0;
  strncat(strncat(whole, "/", 2), path, PATH_MAX - 1);
  return is_struck(call, whole);
}

/* The call as the next library has it. */
#define REAL(type, name, ...)                                              \
  static type (*real)(__VA_ARGS__);                                        \
  if (!real) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

#define WRITES(name, ...)                                                  \
  do {                                                                     \
    if (!strikes(WRITE, fd)) break;                                        \
    int error = errno;                                                     \
    static __thread int torn;                                              \
    /* What the disk still took is written; the rest, which comes next, is an error. */ \
    torn = orders->part && orders->part < size && !torn;                   \
    if (torn) {                                                            \
      size = orders->part;                                                 \
      return __VA_ARGS__;                                                  \
    }                                                                      \
    errno = error;                                                         \
    return -1;                                                             \
  } while (0)

ssize_t write(int fd, const void *data, size_t size) {
  REAL(ssize_t, write, int, const void *, size_t);
  WRITES(write, real(fd, data, size));
  return real(fd, data, size);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
  REAL(ssize_t, pwrite, int, const void *, size_t, off_t);
  WRITES(pwrite, real(fd, data, size, offset));
  return real(fd, data, size, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
  REAL(ssize_t, pwrite64, int, const void *, size_t, off64_t);
  WRITES(pwrite64, real(fd, data, size, offset));
  return real(fd, data, size, offset);
}

#define ON_FD(call, type, name, parameters, arguments, ...)                \
  type name parameters {                                                   \
    REAL(type, name, __VA_ARGS__);                                         \
    return strikes(call, fd) ? -1 : real arguments;                        \
  }

ON_FD(SYNC, int, fsync, (int fd), (fd), int)
ON_FD(SYNC, int, fdatasync, (int fd), (fd), int)
ON_FD(TRUNCATE, int, ftruncate, (int fd, off_t size), (fd, size), int, off_t)
ON_FD(TRUNCATE, int, ftruncate64, (int fd, off64_t size), (fd, size), int, off64_t)
ON_FD(ALLOCATE, int, fallocate, (int fd, int mode, off_t at, off_t size), (fd, mode, at, size), int, int, off_t, off_t)
ON_FD(ALLOCATE, int, fallocate64, (int fd, int mode, off64_t at, off64_t size), (fd, mode, at, size), int, int, off64_t, off64_t)

#define OPENS(name)                                                        \
  int name(const char *path, int flags, ...) {                             \
    REAL(int, name, const char *, int, mode_t);                            \
    mode_t mode = 0;                                                       \
    if (flags & O_CREAT) {                                                 \
      __builtin_va_list list;                                              \
      __builtin_va_start(list, flags);                                     \
      mode = (mode_t)__builtin_va_arg(list, int);                          \
      __builtin_va_end(list);                                              \
      if (strikes_path(CREATE, path)) return -1;                           \
    }                                                                      \
    return real(path, flags, mode);                                        \
  }

OPENS(open)
OPENS(open64)

int rename(const char *from, const char *to) {
  REAL(int, rename, const char *, const char *);
  return strikes_path(RENAME, to) ? -1 : real(from, to);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  REAL(int, clock_gettime, clockid_t, struct timespec *);
  int done = real(clock, now);
  if (!done && orders && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += orders->clock;
  return done;
}
