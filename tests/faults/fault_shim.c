/* LD_PRELOAD library of tests/e2e/fault_test.py: makes the n-th call of one kind fail, or kills the process at it, or
 * writes down every call that changes the disk. Counting starts at main().
 *   OCTAVO_FAULT=KIND:N[:ERRNO][+]   KIND: write fsync rename open mkdir unlink truncate copy mmap malloc disk (all that
 *                                    changes the disk); ERRNO a number, or kill; +: this call and every later one
 *   OCTAVO_FAULT_COUNTS=FILE         at exit, one line "KIND COUNT" for each kind
 *   OCTAVO_FAULT_LOG=FILE            one line for each call that changed the disk; what was written goes to FILE.data:
 *                                    "write INODE PATH OFFSET BYTES PLACE_IN_DATA", tab-separated like the others */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum kind { WRITE, FSYNC, RENAME, OPEN, MKDIR, UNLINK, TRUNCATE, COPY, MMAP, MALLOC, DISK, KINDS };
static const char* const names[KINDS] = {"write", "fsync", "rename", "open", "mkdir", "unlink", "truncate", "copy", "mmap", "malloc", "disk"};

static atomic_long counts[KINDS];
static atomic_int running;   /* between main()'s start and end */
static enum kind fault_kind = KINDS;
static long fault_at;
static int fault_error, fault_rest, log_fd = -1, data_fd = -1;

static void say(const char* text) {
  if (syscall(SYS_write, 2, text, strlen(text)) < 0) return;
}

static void configure(void) {
  const char* fault = getenv("OCTAVO_FAULT");
  if (fault != NULL) {
    const char* colon = strchr(fault, ':');
    for (int kind = 0; colon != NULL && kind < KINDS; ++kind)
      if (strlen(names[kind]) == (size_t)(colon - fault) && strncmp(names[kind], fault, (size_t)(colon - fault)) == 0)
        fault_kind = (enum kind)kind;
    if (fault_kind == KINDS) {
      say("fault_shim: bad OCTAVO_FAULT\n");
      _exit(125);
    }
    char* rest;
    fault_at = strtol(colon + 1, &rest, 10);
    fault_error = ENOSPC;
    if (*rest == ':') {
      if (strncmp(rest + 1, "kill", 4) == 0) {
        fault_error = -1;
        rest += 5;
      } else {
        fault_error = (int)strtol(rest + 1, &rest, 10);
      }
    }
    fault_rest = *rest == '+';
  }
  const char* log = getenv("OCTAVO_FAULT_LOG");
  if (log != NULL) {
    char data[4096];
    snprintf(data, sizeof data, "%s.data", log);
    log_fd = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    data_fd = (int)syscall(SYS_openat, AT_FDCWD, data, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  }
}

/* Whether this call of a kind is to fail; sets errno. */
static int hit_one(enum kind kind) {
  const long call = atomic_fetch_add(&counts[kind], 1) + 1;
  if (kind != fault_kind || (fault_rest ? call < fault_at : call != fault_at)) return 0;
  if (fault_error < 0) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
  }
  errno = fault_error;
  return 1;
}
static int hit(enum kind kind) {
  if (!atomic_load(&running)) return 0;
  if (kind != OPEN && kind < MMAP && hit_one(DISK)) return 1;
  return hit_one(kind);
}

/* Log lines: fields separated by a character that no name in a test has. */
static void note(const char* format, ...) {
  if (log_fd < 0 || !atomic_load(&running)) return;
  char line[8192];
  va_list list;
  va_start(list, format);
  const int length = vsnprintf(line, sizeof line, format, list);
  va_end(list);
  if (length > 0 && syscall(SYS_write, log_fd, line, (size_t)length) < 0) say("fault_shim: log\n");
}
static const char* path_of(int fd, char* buffer) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t length = readlink(link, buffer, 4095);
  buffer[length < 0 ? 0 : length] = 0;
  return buffer;
}
static uint64_t inode(int fd) {
  struct stat info;
  return fstat(fd, &info) == 0 ? (uint64_t)info.st_ino : 0;
}
static void note_write(int fd, const void* data, long at, ssize_t bytes) {
  char path[4096];
  const long place = (long)syscall(SYS_lseek, data_fd, 0, SEEK_END);
  if (syscall(SYS_write, data_fd, data, (size_t)bytes) != bytes) say("fault_shim: data\n");
  note("write\t%lu\t%s\t%ld\t%zd\t%ld\n", inode(fd), path_of(fd, path), at, bytes, place);
}
static int regular(int fd) {
  struct stat info;
  return fstat(fd, &info) == 0 && (S_ISREG(info.st_mode) || S_ISDIR(info.st_mode));
}

#define REAL(name) __typeof__(&name) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

ssize_t write(int fd, const void* data, size_t bytes) {
  if (!regular(fd)) return syscall(SYS_write, fd, data, bytes);
  if (hit(WRITE)) return -1;
  const off_t at = lseek(fd, 0, SEEK_CUR);
  const ssize_t wrote = syscall(SYS_write, fd, data, bytes);
  if (wrote > 0 && log_fd >= 0) note_write(fd, data, (long)at, wrote);
  return wrote;
}
ssize_t pwrite(int fd, const void* data, size_t bytes, off_t at) {
  if (hit(WRITE)) return -1;
  const ssize_t wrote = syscall(SYS_pwrite64, fd, data, bytes, at);
  if (wrote > 0 && log_fd >= 0) note_write(fd, data, (long)at, wrote);
  return wrote;
}
ssize_t pwrite64(int fd, const void* data, size_t bytes, off_t at) { return pwrite(fd, data, bytes, at); }
ssize_t copy_file_range(int in, off_t* from, int out, off_t* to, size_t bytes, unsigned flags) {
  if (hit(COPY)) return -1;
  return syscall(SYS_copy_file_range, in, from, out, to, bytes, flags);
}
ssize_t sendfile(int out, int in, off_t* from, size_t bytes) {
  if (hit(COPY)) return -1;
  return syscall(SYS_sendfile, out, in, from, bytes);
}
static int synced(int fd, long number) {
  if (hit(FSYNC)) return -1;
  const int result = (int)syscall(number, fd);
  char path[4096];
  if (result == 0 && log_fd >= 0) note("fsync\t%lu\t%s\n", inode(fd), path_of(fd, path));
  return result;
}
int fsync(int fd) { return synced(fd, SYS_fsync); }
int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }

static void full_path(int folder, const char* path, char* out) {
  char base[4096];
  if (path[0] == '/') {
    snprintf(out, 4096, "%s", path);
    return;
  }
  if (folder == AT_FDCWD) {
    if (getcwd(base, sizeof base) == NULL) base[0] = 0;
  } else {
    path_of(folder, base);
  }
  const size_t used = strnlen(base, 4000);
  memcpy(out, base, used);
  snprintf(out + used, 4096 - used, "/%s", path);
}
int renameat2(int from_folder, const char* from, int to_folder, const char* to, unsigned flags) {
  if (hit(RENAME)) return -1;
  const int result = (int)syscall(SYS_renameat2, from_folder, from, to_folder, to, flags);
  char a[4096], b[4096];
  if (result == 0 && log_fd >= 0) {
    full_path(from_folder, from, a);
    full_path(to_folder, to, b);
    note("%s\t%s\t%s\n", (flags & 2u) ? "exchange" : "rename", a, b);
  }
  return result;
}
int renameat(int from_folder, const char* from, int to_folder, const char* to) { return renameat2(from_folder, from, to_folder, to, 0); }
int rename(const char* from, const char* to) { return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0); }

static int opened(int folder, const char* path, int flags, mode_t mode) {
  const int writes = (flags & O_ACCMODE) != O_RDONLY;
  if (hit(OPEN)) return -1;
  struct stat info;
  const int existed = fstatat(folder, path, &info, 0) == 0;
  const int fd = (int)syscall(SYS_openat, folder, path, flags, mode);
  if (fd >= 0 && writes && log_fd >= 0 && atomic_load(&running)) {
    char full[4096];
    full_path(folder, path, full);
    if (!existed) note("create\t%lu\t%s\n", inode(fd), full);
    else if (flags & O_TRUNC) note("truncate\t%lu\t%s\t0\n", inode(fd), full);
  }
  return fd;
}
int open(const char* path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(list, mode_t) : 0;
  va_end(list);
  return opened(AT_FDCWD, path, flags, mode);
}
int open64(const char* path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(list, mode_t) : 0;
  va_end(list);
  return opened(AT_FDCWD, path, flags, mode);
}
int openat(int folder, const char* path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(list, mode_t) : 0;
  va_end(list);
  return opened(folder, path, flags, mode);
}
int mkdir(const char* path, mode_t mode) {
  if (hit(MKDIR)) return -1;
  const int result = (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
  char full[4096];
  if (result == 0 && log_fd >= 0) full_path(AT_FDCWD, path, full), note("mkdir\t%s\n", full);
  return result;
}
static int removed(int folder, const char* path, int flags) {
  if (hit(UNLINK)) return -1;
  char full[4096];
  if (log_fd >= 0) full_path(folder, path, full);
  const int result = (int)syscall(SYS_unlinkat, folder, path, flags);
  if (result == 0) note("unlink\t%s\n", full);
  return result;
}
int unlink(const char* path) { return removed(AT_FDCWD, path, 0); }
int unlinkat(int folder, const char* path, int flags) { return removed(folder, path, flags); }
int rmdir(const char* path) { return removed(AT_FDCWD, path, AT_REMOVEDIR); }
int remove(const char* path) {
  struct stat info;
  return removed(AT_FDCWD, path, lstat(path, &info) == 0 && S_ISDIR(info.st_mode) ? AT_REMOVEDIR : 0);
}
int ftruncate(int fd, off_t size) {
  if (hit(TRUNCATE)) return -1;
  const int result = (int)syscall(SYS_ftruncate, fd, size);
  char path[4096];
  if (result == 0 && log_fd >= 0) note("truncate\t%lu\t%s\t%ld\n", inode(fd), path_of(fd, path), (long)size);
  return result;
}
void* mmap(void* at, size_t bytes, int protection, int flags, int fd, off_t offset) {
  if (hit(MMAP)) return MAP_FAILED;
  return (void*)syscall(SYS_mmap, at, bytes, protection, flags, fd, offset);
}

extern void* __libc_malloc(size_t bytes);
extern void* __libc_memalign(size_t alignment, size_t bytes);
void* malloc(size_t bytes) { return hit(MALLOC) ? NULL : __libc_malloc(bytes); }
void* aligned_alloc(size_t alignment, size_t bytes) { return hit(MALLOC) ? NULL : __libc_memalign(alignment, bytes); }
int posix_memalign(void** out, size_t alignment, size_t bytes) {
  if (hit(MALLOC)) return ENOMEM;
  *out = __libc_memalign(alignment, bytes);
  return *out == NULL ? ENOMEM : 0;
}

static void report(void) {
  atomic_store(&running, 0);
  const char* path = getenv("OCTAVO_FAULT_COUNTS");
  if (path == NULL) return;
  char text[512];
  int used = 0;
  for (int kind = 0; kind < KINDS; ++kind) used += snprintf(text + used, sizeof text - (size_t)used, "%s %ld\n", names[kind], atomic_load(&counts[kind]));
  const int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  if (syscall(SYS_write, fd, text, (size_t)used) < 0) say("fault_shim: counts\n");
}

static int (*program)(int, char**, char**);
static int counted_main(int argc, char** argv, char** environment) {
  configure();
  atomic_store(&running, 1);
  const int code = program(argc, argv, environment);
  report();
  return code;
}
int __libc_start_main(int (*main)(int, char**, char**), int argc, char** argv, void (*init)(void), void (*fini)(void),
                      void (*rtld_fini)(void), void* stack_end) {
  program = main;
  int (*real)(int (*)(int, char**, char**), int, char**, void (*)(void), void (*)(void), void (*)(void), void*);
  *(void**)&real = dlsym(RTLD_NEXT, "__libc_start_main");
  return real(counted_main, argc, argv, init, fini, rtld_fini, stack_end);
}
