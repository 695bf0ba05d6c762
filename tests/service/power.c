/* Cuts the power: what was written and not synced may be lost, in any combination, the last piece of it torn.
 *
 * In:   LD_PRELOAD of a process; POWER_DIR, the folder whose files count; POWER_AFTER, the number of the write at which
 *       the power goes; POWER_SEED.
 * Out:  at that write: every unsynced write below POWER_DIR is undone, some are done again, one of those only in part,
 *       and the process ends without another word.
 * Law:  what a sync returned for is never undone. Names of files are taken to be durable at once.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct piece { char path[512]; off_t at; size_t length, had; off_t size; char *before, *after; struct piece *next, *last; };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct piece *first, *final;
static long after = -1, count;
static unsigned long long seed;
static char folder[400];

static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_write)(int, const void *, size_t);
static int (*real_fsync)(int), (*real_fdatasync)(int);

__attribute__((constructor)) static void begin(void) {
  real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
  real_write = dlsym(RTLD_NEXT, "write");
  real_fsync = dlsym(RTLD_NEXT, "fsync");
  real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
  if (getenv("POWER_AFTER")) after = atol(getenv("POWER_AFTER"));
  if (getenv("POWER_SEED")) seed = strtoull(getenv("POWER_SEED"), 0, 10) * 2654435761u + 88172645463325252ull;
  if (getenv("POWER_DIR")) realpath(getenv("POWER_DIR"), folder);
}

static unsigned long chance(void) {
  seed ^= seed << 13; seed ^= seed >> 7; seed ^= seed << 17;
  return (unsigned long)(seed >> 33);
}

static int counts(int fd, char *path) {
  char name[64];
  snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(name, path, 511);
  if (n <= 0 || !folder[0]) return 0;
  path[n] = 0;
  return !strncmp(path, folder, strlen(folder)) && !strstr(path, "-shm");
}

static void cut(void) {
  for (struct piece *p = final; p; p = p->last) {
    int fd = open(p->path, O_RDWR);
    if (fd < 0) continue;
    if (p->had) real_pwrite(fd, p->before, p->had, p->at);
    struct stat now;
    if (!fstat(fd, &now) && now.st_size > p->size && p->at + (off_t)p->length >= now.st_size) ftruncate(fd, p->size);
    close(fd);
  }
  int keep = chance() % 3; /* nothing, some, nearly all */
  struct piece *torn = 0;
  for (struct piece *p = first; p; p = p->next) {
    if (keep == 0 || (keep == 1 && chance() % 2) || (keep == 2 && chance() % 8 == 0)) continue;
    int fd = open(p->path, O_RDWR);
    if (fd < 0) continue;
    size_t length = p->length;
    if (!p->next || (!torn && chance() % 4 == 0)) { torn = p; length = length ? chance() % length : 0; }
    real_pwrite(fd, p->after, length, p->at);
    close(fd);
  }
  _exit(137);
}

static void note(int fd, const char *path, const void *bytes, size_t length, off_t at) {
  struct piece *p = calloc(1, sizeof *p);
  struct stat was;
  strcpy(p->path, path);
  p->at = at; p->length = length;
  p->size = fstat(fd, &was) ? 0 : was.st_size;
  p->before = malloc(length + 1); p->after = malloc(length + 1);
  int own = open(path, O_RDONLY);
  ssize_t n = own < 0 ? 0 : pread(own, p->before, length, at);
  if (own >= 0) close(own);
  p->had = n < 0 ? 0 : (size_t)n;
  memcpy(p->after, bytes, length);
  p->last = final;
  if (final) final->next = p; else first = p;
  final = p;
  if (after >= 0 && ++count >= after) cut();
}

static void synced(int fd) {
  char path[512];
  if (!counts(fd, path)) return;
  for (struct piece *p = first, *next; p; p = next) {
    next = p->next;
    if (strcmp(p->path, path)) continue;
    if (p->last) p->last->next = p->next; else first = p->next;
    if (p->next) p->next->last = p->last; else final = p->last;
    free(p->before); free(p->after); free(p);
  }
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off_t at) {
  char path[512];
  if (!counts(fd, path)) return real_pwrite(fd, bytes, length, at);
  pthread_mutex_lock(&lock);
  note(fd, path, bytes, length, at);
  ssize_t n = real_pwrite(fd, bytes, length, at);
  pthread_mutex_unlock(&lock);
  return n;
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) { return pwrite64(fd, bytes, length, at); }

ssize_t write(int fd, const void *bytes, size_t length) {
  char path[512];
  if (!real_write) real_write = dlsym(RTLD_NEXT, "write");
  if (!counts(fd, path)) return real_write(fd, bytes, length);
  pthread_mutex_lock(&lock);
  off_t at = lseek(fd, 0, fcntl(fd, F_GETFL) & O_APPEND ? SEEK_END : SEEK_CUR);
  note(fd, path, bytes, length, at);
  ssize_t n = real_write(fd, bytes, length);
  pthread_mutex_unlock(&lock);
  return n;
}

int fsync(int fd) {
  pthread_mutex_lock(&lock);
  int done = real_fsync(fd);
  if (!done) synced(fd);
  pthread_mutex_unlock(&lock);
  return done;
}

int fdatasync(int fd) {
  pthread_mutex_lock(&lock);
  int done = real_fdatasync(fd);
  if (!done) synced(fd);
  pthread_mutex_unlock(&lock);
  return done;
}
