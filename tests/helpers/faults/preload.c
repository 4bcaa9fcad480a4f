/* Makes the n-th call on certain files fail, in any library of a process. Tests preload it (see __init__.py).
 *
 * faults_arm(part, kinds, nth, error) begins to count the calls of these kinds (bits, below) on paths that contain
 * `part`. Call number nth, counted from 1, fails with the errno `error`; -1 makes a read short instead; with nth 0 no
 * call fails. faults_count() returns how many calls were counted.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

enum { OPEN = 1, READ = 2, RENAME = 4, SYNC = 8, LIST = 16, WRITE = 32, UNLINK = 64 };

static char part_[4096];
static int kinds_, error_;
static long nth_, count_;

void faults_arm(const char *part, int kinds, long nth, int error) {
    snprintf(part_, sizeof part_, "%s", part);
    kinds_ = kinds, error_ = error, nth_ = nth;
    __atomic_store_n(&count_, 0, __ATOMIC_SEQ_CST);
}

long faults_count(void) { return __atomic_load_n(&count_, __ATOMIC_SEQ_CST); }

/* Return whether this call must fail. Then errno is set, unless a short read is wanted. */
static int hit(int kind, const char *path) {
    if (!(kinds_ & kind) || path == NULL || strstr(path, part_) == NULL) return 0;
    if (__atomic_add_fetch(&count_, 1, __ATOMIC_SEQ_CST) != nth_) return 0;
    if (error_ > 0) errno = error_;
    return 1;
}

static int hit_fd(int kind, int fd) {
    char link[64], path[4096];
    if (!(kinds_ & kind)) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 0) return 0;
    path[n] = 0;
    return hit(kind, path);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define OPENING(name)                                                  \
    int name(const char *path, int flags, ...) {                       \
        va_list list;                                                  \
        va_start(list, flags);                                         \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(list, mode_t) : 0; \
        va_end(list);                                                  \
        return hit(OPEN, path) ? -1 : REAL(name)(path, flags, mode);   \
    }
OPENING(open)
OPENING(open64)

#define OPENING_AT(name)                                               \
    int name(int fd, const char *path, int flags, ...) {               \
        va_list list;                                                  \
        va_start(list, flags);                                         \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(list, mode_t) : 0; \
        va_end(list);                                                  \
        return hit(OPEN, path) ? -1 : REAL(name)(fd, path, flags, mode); \
    }
OPENING_AT(openat)
OPENING_AT(openat64)

#define STREAM(name)                                                   \
    FILE *name(const char *path, const char *mode) { return hit(OPEN, path) ? NULL : REAL(name)(path, mode); }
STREAM(fopen)
STREAM(fopen64)

DIR *opendir(const char *path) { return hit(LIST, path) ? NULL : REAL(opendir)(path); }

static size_t shorter(size_t n) { return n > 1 ? n / 2 : n; }

ssize_t read(int fd, void *to, size_t n) {
    if (hit_fd(READ, fd)) {
        if (error_ > 0) return -1;
        n = shorter(n);
    }
    return REAL(read)(fd, to, n);
}

#define READ_AT(name, offset_type)                                     \
    ssize_t name(int fd, void *to, size_t n, offset_type at) {         \
        if (hit_fd(READ, fd)) {                                        \
            if (error_ > 0) return -1;                                 \
            n = shorter(n);                                            \
        }                                                              \
        return REAL(name)(fd, to, n, at);                              \
    }
READ_AT(pread, off_t)
READ_AT(pread64, off64_t)

ssize_t write(int fd, const void *from, size_t n) { return hit_fd(WRITE, fd) ? -1 : REAL(write)(fd, from, n); }

int rename(const char *from, const char *to) { return hit(RENAME, to) ? -1 : REAL(rename)(from, to); }
int fsync(int fd) { return hit_fd(SYNC, fd) ? -1 : REAL(fsync)(fd); }
int unlink(const char *path) { return hit(UNLINK, path) ? -1 : REAL(unlink)(path); }
