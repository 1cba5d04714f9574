/* Preloaded into a boot: system calls that tell half the truth. Which do so is said in the environment. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* FAULT_SHORT: every write of two bytes or more writes the first half only. */
static size_t half(size_t size) { return getenv("FAULT_SHORT") && size > 1 ? size / 2 : size; }

ssize_t write(int fd, const void *data, size_t size) { return REAL(write)(fd, data, half(size)); }

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { return REAL(pwrite)(fd, data, half(size), at); }

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) { return REAL(pwrite64)(fd, data, half(size), at); }

/* FAULT_ROOM: whoever asks is told that there is room, as it was just before another filled the disk. */
#define ROOM(result, status)                         \
    if (getenv("FAULT_ROOM")) {                      \
        (status)->f_bavail = 1UL << 40;              \
        (status)->f_files = (status)->f_favail = 1UL << 40; \
    }                                                \
    return result;

int statvfs(const char *path, struct statvfs *status)
{
    int result = REAL(statvfs)(path, status);
    ROOM(result, status)
}

int statvfs64(const char *path, struct statvfs64 *status)
{
    int result = REAL(statvfs64)(path, status);
    ROOM(result, status)
}

/* FAULT_CLOCK: the clock goes back by a day whenever it is read, for the first 27 years: it may not reach 1970, before
   which a wait has no valid end and CPython aborts. */
static long days;

static long back(void)
{
    long now = __atomic_load_n(&days, __ATOMIC_SEQ_CST);
    return 86400 * (now < 10000 ? __atomic_add_fetch(&days, 1, __ATOMIC_SEQ_CST) : now);
}

int clock_gettime(clockid_t id, struct timespec *now)
{
    int result = REAL(clock_gettime)(id, now);
    if (id == CLOCK_REALTIME && getenv("FAULT_CLOCK"))
        now->tv_sec -= back();
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    int result = REAL(gettimeofday)(now, zone);
    if (getenv("FAULT_CLOCK"))
        now->tv_sec -= back();
    return result;
}
