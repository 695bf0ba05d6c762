/* Faults on demand: a disk that is full, read-only or broken, a clock that jumps, room that shrinks.
 *
 * In:   LD_PRELOAD of a process; FAULT_FILE, a file with a fault on each line, read anew at every call:
 *         full TEXT       writing to files with TEXT in their path fails with ENOSPC, half of the bytes written
 *         readonly TEXT   writing to such files, and opening them for writing, fails with EROFS
 *         sync TEXT       syncing such files fails with EIO
 *         clock SECONDS   the wall clock is that much ahead
 *         room BYTES      so much is free on every disk
 * Out:  what the system would have said.
 * Law:  without a line for it, a call goes through unchanged.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Whether a fault is set; its argument goes to `value`. No function that is intercepted below is called. */
static int fault(const char *name, const char *path, char *value, size_t room) {
  const char *file = getenv("FAULT_FILE");
  if (!file) return 0;
  long fd = syscall(SYS_openat, AT_FDCWD, file, O_RDONLY);
  if (fd < 0) return 0;
  char text[4096];
  long n = syscall(SYS_read, fd, text, sizeof text - 1);
  syscall(SYS_close, fd);
  if (n <= 0) return 0;
  text[n] = 0;
  for (char *line = text, *next; line && *line; line = next) {
    next = strchr(line, '\n');
    if (next) *next++ = 0;
    char *argument = strchr(line, ' ');
    if (!argument) continue;
    *argument++ = 0;
    if (strcmp(line, name)) continue;
    if (path && !strstr(path, argument)) continue;
    if (value) snprintf(value, room, "%s", argument);
    return 1;
  }
  return 0;
}

static const char *path_of(int fd, char *path) {
  char name[64];
  snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(name, path, 511);
  path[n > 0 ? n : 0] = 0;
  return path;
}

static int refused(int fd, size_t *length) {
  char path[512];
  if (fd < 3) return 0;
  path_of(fd, path);
  if (path[0] != '/') return 0;
  if (fault("readonly", path, 0, 0)) { errno = EROFS; return 1; }
  if (!fault("full", path, 0, 0)) return 0;
  if (*length < 2) { errno = ENOSPC; return 1; }
  *length /= 2; /* the rest is refused when it is tried */
  return 0;
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off_t at) {
  if (refused(fd, &length)) return -1;
  return syscall(SYS_pwrite64, fd, bytes, length, at);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) { return pwrite64(fd, bytes, length, at); }

ssize_t write(int fd, const void *bytes, size_t length) {
  if (refused(fd, &length)) return -1;
  return syscall(SYS_write, fd, bytes, length);
}

static int unsynced(int fd) {
  char path[512];
  if (!fault("sync", path_of(fd, path), 0, 0)) return 0;
  errno = EIO;
  return 1;
}

int fsync(int fd) { return unsynced(fd) ? -1 : (int)syscall(SYS_fsync, fd); }
int fdatasync(int fd) { return unsynced(fd) ? -1 : (int)syscall(SYS_fdatasync, fd); }

static int opened(const char *path, int flags, mode_t mode) {
  if ((flags & O_ACCMODE) != O_RDONLY && fault("readonly", path, 0, 0)) { errno = EROFS; return -1; }
  return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

#define OPEN(name)                                       \
  int name(const char *path, int flags, ...) {           \
    va_list more;                                        \
    va_start(more, flags);                               \
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0; \
    va_end(more);                                        \
    return opened(path, flags | O_LARGEFILE, mode);      \
  }
OPEN(open)
OPEN(open64)

int clock_gettime(clockid_t clock, struct timespec *at) {
  int done = (int)syscall(SYS_clock_gettime, clock, at);
  char seconds[32];
  if (!done && clock == CLOCK_REALTIME && fault("clock", 0, seconds, sizeof seconds)) at->tv_sec += atol(seconds);
  return done;
}

int statvfs64(const char *path, struct statvfs64 *about) {
  static int (*real)(const char *, struct statvfs64 *);
  extern void *dlsym(void *, const char *);
  if (!real) *(void **)&real = dlsym((void *)-1l, "statvfs64");
  int done = real(path, about);
  char bytes[32];
  if (!done && fault("room", 0, bytes, sizeof bytes)) about->f_bavail = strtoull(bytes, 0, 10) / about->f_frsize;
  return done;
}
