// Records what a program does to the files below one directory, so that a test can work out what a power cut would
// have left of them: see `common/disk.rs`. Also lets a sync fail, or take long.
//
//   POWERCUT_DIR            absolute path without links; only what is below it counts
//   POWERCUT_LOG            where to append the records; not below POWERCUT_DIR
//   POWERCUT_SYNC_US        each sync takes so long, instead of what the disk would take
//   POWERCUT_HOLD_SYNCS     no sync returns while a file of this path is there
//   POWERCUT_CRASH_AT       the program is killed right after its n-th record (from 1)
//   POWERCUT_CRASH_POINT    path of a file that says where the program is killed, and counts from when it is there: "PART KIND N MORE" means after
//                           the N-th record (from 1) of this kind (0: any) about a path with PART in it, and MORE further ones of any kind
//   POWERCUT_READ_ONLY      while a file of this path is there, the file system below the directory takes no change: EROFS
//   POWERCUT_FAIL_SYNC      the n-th sync of a file fails with EIO (from 1); the ones after it succeed again
//   POWERCUT_FAIL_FILE      only syncs of files whose paths end so are counted for that
//
// A record of a change is appended after the change and before the call returns; that of a sync in two parts,
// before and after. So whatever the program can have told anybody is in the records, also when it is killed inside
// a call; a change without a record counts as lost. Changes are recorded in the order in which they were made:
// they happen under one lock, syncs do not.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { CREATE = 1, WRITE, TRUNCATE, SYNC_BEGIN, SYNC_END, MKDIR, RENAME, UNLINK, RMDIR, DIR_SYNC_BEGIN, SYNC_FAILED };

// Followed by both paths and the data; all integers as the machine has them.
struct record {
    uint32_t magic, kind;
    uint64_t ino, at, len;
    uint32_t path_len, other_len;
    uint64_t data_len; // 0 with len > 0: all zeros
};
#define MAGIC 0x54554350u

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static char root[PATH_MAX];
static const char *fail_file = "", *hold_syncs = "", *crash_point = "", *read_only = "";
static size_t root_len;
static int log_fd = -1;
static long sync_us = -1, fail_sync;
static uint64_t syncs, sync_ids, records, crash_at;

static void die(const char *what) {
    fprintf(stderr, "powercut: %s: %s\n", what, strerror(errno));
    _exit(199);
}

static void start(void) {
    const char *dir = getenv("POWERCUT_DIR"), *log = getenv("POWERCUT_LOG"), *us = getenv("POWERCUT_SYNC_US");
    const char *fail = getenv("POWERCUT_FAIL_SYNC");
    if (!dir) return;
    root_len = strlen(dir);
    if (root_len >= sizeof root) die("POWERCUT_DIR is too long");
    memcpy(root, dir, root_len + 1);
    if (us) sync_us = atol(us);
    if (fail) fail_sync = atol(fail);
    if (getenv("POWERCUT_FAIL_FILE")) fail_file = getenv("POWERCUT_FAIL_FILE");
    if (getenv("POWERCUT_HOLD_SYNCS")) hold_syncs = getenv("POWERCUT_HOLD_SYNCS");
    if (getenv("POWERCUT_CRASH_POINT")) crash_point = getenv("POWERCUT_CRASH_POINT");
    if (getenv("POWERCUT_READ_ONLY")) read_only = getenv("POWERCUT_READ_ONLY");
    if (getenv("POWERCUT_CRASH_AT")) crash_at = atol(getenv("POWERCUT_CRASH_AT"));
    if (log) {
        log_fd = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (log_fd < 0) die(log);
    }
}

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static int below(const char *path) {
    return root_len && strncmp(path, root, root_len) == 0 && (path[root_len] == 0 || path[root_len] == '/');
}

// The absolute form of `path`, if that is below the directory.
static int watched(int dir, const char *path, char *full) {
    pthread_once(&once, start);
    if (!root_len || !path) return 0;
    if (path[0] == '/') {
        if (strlen(path) >= PATH_MAX) return 0;
        strcpy(full, path);
    } else {
        char base[PATH_MAX], link[64];
        if (dir == AT_FDCWD) {
            if (!getcwd(base, sizeof base)) return 0;
        } else {
            snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
            ssize_t n = readlink(link, base, sizeof base - 1);
            if (n < 0) return 0;
            base[n] = 0;
        }
        if (snprintf(full, PATH_MAX, "%s/%s", base, path) >= PATH_MAX) return 0;
    }
    return below(full);
}

// Whether `fd` is a file (or, as told, a directory) below the directory.
static int watched_fd(int fd, struct stat *st, char *full) {
    pthread_once(&once, start);
    if (!root_len) return 0;
    int saved = errno;
    char link[64];
    int yes = 0;
    if (fstat(fd, st) == 0 && (S_ISREG(st->st_mode) || S_ISDIR(st->st_mode))) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t n = readlink(link, full, PATH_MAX - 1);
        if (n > 0) {
            full[n] = 0;
            yes = below(full);
        }
    }
    errno = saved;
    return yes;
}

static int all_zero(const unsigned char *bytes, size_t len) {
    return len == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0);
}

// Whether this record is the one after which the program is to be killed. To be called with the lock held.
static int at_crash_point(uint32_t kind, const char *path) {
    static char part[64];
    static unsigned want;
    static long left, more, armed;
    if (!*crash_point || !path) return 0;
    if (!armed) {
        char text[128] = "";
        int fd = syscall(SYS_openat, AT_FDCWD, crash_point, O_RDONLY | O_CLOEXEC);
        if (fd < 0) return 0;
        ssize_t n = read(fd, text, sizeof text - 1);
        close(fd);
        if (n <= 0 || sscanf(text, "%63s %u %ld %ld", part, &want, &left, &more) != 4) die("the crash point is not understood");
        armed = 1;
    }
    if (left == 0) return more-- == 1;
    if ((want == 0 || want == kind) && strstr(path + root_len, part)) left--;
    return left == 0 && more == 0;
}

// To be called with the lock held.
static void append(uint32_t kind, uint64_t ino, uint64_t at, uint64_t len, const char *path, const char *other, const void *data) {
    if (log_fd < 0) return;
    int saved = errno;
    struct record r = { MAGIC, kind, ino, at, len, path ? strlen(path) : 0, other ? strlen(other) : 0, 0 };
    if (data && !all_zero(data, len)) r.data_len = len;
    struct iovec parts[4] = {
        { &r, sizeof r }, { (void *)path, r.path_len }, { (void *)other, r.other_len }, { (void *)data, r.data_len },
    };
    size_t want = sizeof r + r.path_len + r.other_len + r.data_len;
    ssize_t done = syscall(SYS_writev, log_fd, parts, 4);
    if (done < 0 || (size_t)done != want) die("the record cannot be written");
    if (++records == crash_at || at_crash_point(kind, path)) kill(getpid(), SIGKILL);
    errno = saved;
}

static int is_read_only(void) {
    if (!*read_only || access(read_only, F_OK) != 0) return 0;
    errno = EROFS;
    return 1;
}

static int open_at(int (*real)(int, const char *, int, ...), int dir, const char *path, int flags, mode_t mode) {
    char full[PATH_MAX];
    int changes = (flags & (O_CREAT | O_TRUNC)) != 0;
    if (!changes && ((flags & O_ACCMODE) == O_RDONLY || !*read_only)) return real(dir, path, flags, mode);
    if (!watched(dir, path, full)) return real(dir, path, flags, mode);
    if (is_read_only()) return -1;
    if (!changes) return real(dir, path, flags, mode);
    pthread_mutex_lock(&lock);
    struct stat st;
    int existed = fstatat(dir, path, &st, 0) == 0;
    int fd = real(dir, path, flags, mode);
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        if (!existed) append(CREATE, st.st_ino, 0, 0, full, 0, 0);
        else if (flags & O_TRUNC) append(TRUNCATE, st.st_ino, 0, 0, full, 0, 0);
    }
    pthread_mutex_unlock(&lock);
    return fd;
}

#define MODE \
    mode_t mode = 0; \
    if ((flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE) { \
        va_list rest; \
        va_start(rest, flags); \
        mode = va_arg(rest, mode_t); \
        va_end(rest); \
    }

int openat(int dir, const char *path, int flags, ...) {
    REAL(openat);
    MODE
    return open_at(real, dir, path, flags, mode);
}
int openat64(int dir, const char *path, int flags, ...) {
    REAL(openat64);
    MODE
    return open_at(real, dir, path, flags, mode);
}
int open(const char *path, int flags, ...) {
    REAL(openat);
    MODE
    return open_at(real, AT_FDCWD, path, flags, mode);
}
int open64(const char *path, int flags, ...) {
    REAL(openat64);
    MODE
    return open_at(real, AT_FDCWD, path, flags, mode);
}

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t at) {
    REAL(pwrite64);
    struct stat st;
    char full[PATH_MAX];
    if (!watched_fd(fd, &st, full)) return real(fd, data, len, at);
    if (is_read_only()) return -1;
    pthread_mutex_lock(&lock);
    ssize_t done = real(fd, data, len, at);
    if (done > 0) append(WRITE, st.st_ino, at, done, full, 0, data);
    pthread_mutex_unlock(&lock);
    return done;
}
ssize_t pwrite(int fd, const void *data, size_t len, off_t at) { return pwrite64(fd, data, len, at); }

ssize_t write(int fd, const void *data, size_t len) {
    REAL(write);
    struct stat st;
    char full[PATH_MAX];
    if (!watched_fd(fd, &st, full)) return real(fd, data, len);
    if (is_read_only()) return -1;
    pthread_mutex_lock(&lock);
    off64_t at = lseek64(fd, 0, SEEK_CUR);
    if ((fcntl(fd, F_GETFL) & O_APPEND) && fstat(fd, &st) == 0) at = st.st_size;
    ssize_t done = real(fd, data, len);
    if (done > 0) append(WRITE, st.st_ino, at, done, full, 0, data);
    pthread_mutex_unlock(&lock);
    return done;
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    REAL(writev);
    struct stat st;
    char full[PATH_MAX];
    if (!watched_fd(fd, &st, full)) return real(fd, parts, count);
    if (is_read_only()) return -1;
    // One part after the other means the same.
    ssize_t total = 0;
    for (int i = 0; i < count; i++) {
        ssize_t done = write(fd, parts[i].iov_base, parts[i].iov_len);
        if (done < 0) return total ? total : done;
        total += done;
        if ((size_t)done < parts[i].iov_len) break;
    }
    return total;
}

int ftruncate64(int fd, off64_t len) {
    REAL(ftruncate64);
    struct stat st;
    char full[PATH_MAX];
    if (!watched_fd(fd, &st, full)) return real(fd, len);
    if (is_read_only()) return -1;
    pthread_mutex_lock(&lock);
    int done = real(fd, len);
    if (done == 0) append(TRUNCATE, st.st_ino, 0, len, full, 0, 0);
    pthread_mutex_unlock(&lock);
    return done;
}
int ftruncate(int fd, off_t len) { return ftruncate64(fd, len); }

// Ways of changing a file that are not recorded must not go unnoticed.
#define REFUSE(type, name, args) \
    type name args { \
        fprintf(stderr, "powercut: " #name " is not recorded\n"); \
        _exit(199); \
    }
REFUSE(ssize_t, pwritev, (int fd, const struct iovec *parts, int count, off_t at))
REFUSE(ssize_t, pwritev64, (int fd, const struct iovec *parts, int count, off64_t at))
REFUSE(ssize_t, pwritev2, (int fd, const struct iovec *parts, int count, off_t at, int flags))
REFUSE(int, truncate, (const char *path, off_t len))
REFUSE(int, truncate64, (const char *path, off64_t len))
REFUSE(ssize_t, copy_file_range, (int in, off64_t *from, int out, off64_t *to, size_t len, unsigned flags))
REFUSE(int, link, (const char *from, const char *to))
REFUSE(int, linkat, (int from_dir, const char *from, int to_dir, const char *to, int flags))
REFUSE(int, renameat, (int from_dir, const char *from, int to_dir, const char *to))
REFUSE(int, renameat2, (int from_dir, const char *from, int to_dir, const char *to, unsigned flags))
REFUSE(int, sync_file_range, (int fd, off64_t at, off64_t len, unsigned flags))

static int sync_fd(int (*real)(int), int fd) {
    struct stat st;
    char full[PATH_MAX];
    if (!watched_fd(fd, &st, full)) return real(fd);
    pthread_mutex_lock(&lock);
    uint64_t id = ++sync_ids;
    size_t len = strlen(full), end = strlen(fail_file);
    int counts = !S_ISDIR(st.st_mode) && len >= end && strcmp(full + len - end, fail_file) == 0;
    int fails = counts && ++syncs == (uint64_t)fail_sync;
    append(S_ISDIR(st.st_mode) ? DIR_SYNC_BEGIN : SYNC_BEGIN, st.st_ino, id, 0, full, 0, 0);
    pthread_mutex_unlock(&lock);
    int done = 0;
    if (sync_us >= 0) usleep(sync_us);
    else done = real(fd);
    while (*hold_syncs && access(hold_syncs, F_OK) == 0) usleep(1000);
    if (fails) {
        errno = EIO;
        done = -1;
    }
    pthread_mutex_lock(&lock);
    append(done == 0 ? SYNC_END : SYNC_FAILED, st.st_ino, id, 0, full, 0, 0);
    pthread_mutex_unlock(&lock);
    return done;
}
int fsync(int fd) {
    REAL(fsync);
    return sync_fd(real, fd);
}
int fdatasync(int fd) {
    REAL(fdatasync);
    return sync_fd(real, fd);
}

int rename(const char *from, const char *to) {
    REAL(rename);
    char old_full[PATH_MAX], new_full[PATH_MAX];
    int a = watched(AT_FDCWD, from, old_full), b = watched(AT_FDCWD, to, new_full);
    if (!a && !b) return real(from, to);
    if (!a || !b) die("rename across the border of POWERCUT_DIR");
    if (is_read_only()) return -1;
    pthread_mutex_lock(&lock);
    int done = real(from, to);
    if (done == 0) append(RENAME, 0, 0, 0, old_full, new_full, 0);
    pthread_mutex_unlock(&lock);
    return done;
}

static int unlink_at(int (*real)(int, const char *, int), int dir, const char *path, int flags) {
    char full[PATH_MAX];
    if (!watched(dir, path, full)) return real(dir, path, flags);
    if (is_read_only()) return -1;
    pthread_mutex_lock(&lock);
    int done = real(dir, path, flags);
    if (done == 0) append(flags & AT_REMOVEDIR ? RMDIR : UNLINK, 0, 0, 0, full, 0, 0);
    pthread_mutex_unlock(&lock);
    return done;
}
int unlinkat(int dir, const char *path, int flags) {
    REAL(unlinkat);
    return unlink_at(real, dir, path, flags);
}
int unlink(const char *path) {
    REAL(unlinkat);
    return unlink_at(real, AT_FDCWD, path, 0);
}
int rmdir(const char *path) {
    REAL(unlinkat);
    return unlink_at(real, AT_FDCWD, path, AT_REMOVEDIR);
}

int mkdir(const char *path, mode_t mode) {
    REAL(mkdir);
    char full[PATH_MAX];
    if (!watched(AT_FDCWD, path, full)) return real(path, mode);
    if (is_read_only()) return -1;
    pthread_mutex_lock(&lock);
    int done = real(path, mode);
    if (done == 0) append(MKDIR, 0, 0, 0, full, 0, 0);
    pthread_mutex_unlock(&lock);
    return done;
}
