/* Preloaded into purges and servers: a disk that fills up or fails, and a clock that jumps, as told by a shared page.
 *
 * FAULT_PAGE names a file of one page, mapped by every process: see struct page. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

struct page {
  _Atomic int64_t clock_offset_ns;
  _Atomic int64_t armed;       /* 0: the disk is whole; 1: full once the budget is used up; 2: fsync fails */
  _Atomic int64_t budget_bytes;
  _Atomic int64_t hits;        /* how often something was refused */
  char prefix[512];            /* files whose path begins with this */
  char suffix[64];             /* and ends with this; empty: all of them */
};

static struct page nothing;
static struct page* page = &nothing;

__attribute__((constructor)) static void map_page(void) {
  const char* path = getenv("FAULT_PAGE");
  const int file = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
  if (file < 0) return;
  void* at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (at != MAP_FAILED) page = at;
  close(file);
}

#define NEXT(name) \
  static __typeof__(name)* next; \
  if (next == NULL) next = (__typeof__(name)*)dlsym(RTLD_NEXT, #name)

static int concerns(int file) {
  char link[64], path[1024];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  const ssize_t size = readlink(link, path, sizeof path - 1);
  if (size <= 0) return 0;
  path[size] = 0;
  if (strncmp(path, page->prefix, strlen(page->prefix)) != 0) return 0;
  const size_t end = strlen(page->suffix);
  return (size_t)size >= end && strcmp(path + size - end, page->suffix) == 0;
}

/* How many of these bytes still fit; -1 with errno set when none do. */
static ssize_t fitting(int file, size_t bytes) {
  const int saved = errno;
  if (page->armed != 1 || bytes == 0 || !concerns(file)) {
    errno = saved;
    return (ssize_t)bytes;
  }
  const int64_t left = atomic_fetch_sub(&page->budget_bytes, (int64_t)bytes);
  if (left >= (int64_t)bytes) {
    errno = saved;
    return (ssize_t)bytes;
  }
  atomic_fetch_add(&page->hits, 1);
  if (left > 0) {
    errno = saved;
    return (ssize_t)left;
  }
  errno = ENOSPC;
  return -1;
}

#define WRITER(name, offset_type) \
  ssize_t name(int file, const void* from, size_t bytes, offset_type offset) { \
    NEXT(name); \
    const ssize_t fit = fitting(file, bytes); \
    return fit < 0 ? -1 : next(file, from, (size_t)fit, offset); \
  }
WRITER(pwrite, off_t)
WRITER(pwrite64, off64_t)

ssize_t write(int file, const void* from, size_t bytes) {
  NEXT(write);
  const ssize_t fit = fitting(file, bytes);
  return fit < 0 ? -1 : next(file, from, (size_t)fit);
}

static size_t size_of(const struct iovec* parts, int count) {
  size_t bytes = 0;
  for (int i = 0; i < count; ++i) bytes += parts[i].iov_len;
  return bytes;
}

/* All or nothing: a gathered write is not cut. */
#define GATHERER(name, offset_type) \
  ssize_t name(int file, const struct iovec* parts, int count, offset_type offset) { \
    NEXT(name); \
    const size_t bytes = size_of(parts, count); \
    const ssize_t fit = fitting(file, bytes); \
    if (fit >= 0 && (size_t)fit == bytes) return next(file, parts, count, offset); \
    errno = ENOSPC; \
    return -1; \
  }
GATHERER(pwritev, off_t)
GATHERER(pwritev64, off64_t)

#define ALLOCATOR(name, offset_type) \
  int name(int file, offset_type offset, offset_type bytes) { \
    NEXT(name); \
    return fitting(file, (size_t)bytes) == (ssize_t)bytes ? next(file, offset, bytes) : ENOSPC; \
  }
ALLOCATOR(posix_fallocate, off_t)
ALLOCATOR(posix_fallocate64, off64_t)

#define FALLOCATOR(name, offset_type) \
  int name(int file, int mode, offset_type offset, offset_type bytes) { \
    NEXT(name); \
    if (fitting(file, (size_t)bytes) == (ssize_t)bytes) return next(file, mode, offset, bytes); \
    errno = ENOSPC; \
    return -1; \
  }
FALLOCATOR(fallocate, off_t)
FALLOCATOR(fallocate64, off64_t)

/* Processes die here, never the machine: what was written stays in the page cache, and waiting for the disk would only cost time. */
#define SYNCER(name) \
  int name(int file) { \
    if (page->armed == 2 && concerns(file)) { \
      atomic_fetch_add(&page->hits, 1); \
      errno = EIO; \
      return -1; \
    } \
    return 0; \
  }
SYNCER(fsync)
SYNCER(fdatasync)

int clock_gettime(clockid_t clock, struct timespec* out) {
  NEXT(clock_gettime);
  const int code = next(clock, out);
  const int64_t offset_ns = page->clock_offset_ns;
  if (code != 0 || offset_ns == 0 || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE)) return code;
  int64_t ns = out->tv_nsec + offset_ns % 1000000000;
  out->tv_sec += offset_ns / 1000000000 + (ns >= 1000000000) - (ns < 0);
  out->tv_nsec = ns + (ns < 0 ? 1000000000 : 0) - (ns >= 1000000000 ? 1000000000 : 0);
  return code;
}

int gettimeofday(struct timeval* restrict out, void* restrict zone) {
  NEXT(gettimeofday);
  const int code = next(out, zone);
  out->tv_sec += page->clock_offset_ns / 1000000000; /* jumps are whole seconds here */
  return code;
}

time_t time(time_t* out) {
  NEXT(time);
  const time_t now = next(NULL) + page->clock_offset_ns / 1000000000;
  if (out != NULL) *out = now;
  return now;
}
