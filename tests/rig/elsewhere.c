/* Another clock and no resolver, for one process: LD_PRELOAD=elsewhere.so python -m rig.stub_worker

   CLOCK_OFFSET_S   seconds that the wall clock is ahead; the monotonic clock is left alone
   DNS_GONE         a path: while a file is there, no name and no address can be resolved */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdlib.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

static long offset_s(void) {
    const char *said = getenv("CLOCK_OFFSET_S");
    return said ? atol(said) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, now);
    if (!result && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += offset_s();
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    static int (*real)(struct timeval *, void *);
    if (!real) real = dlsym(RTLD_NEXT, "gettimeofday");
    int result = real(now, zone);
    if (!result) now->tv_sec += offset_s();
    return result;
}

time_t time(time_t *now) {
    struct timespec found;
    clock_gettime(CLOCK_REALTIME, &found);
    if (now) *now = found.tv_sec;
    return found.tv_sec;
}

/* Whoever waits until a time has it from our clock, and the kernel looks at the true one. */
int cnd_timedwait(cnd_t *restrict what, mtx_t *restrict lock, const struct timespec *restrict end) {
    static int (*real)(cnd_t *, mtx_t *, const struct timespec *);
    struct timespec truly = *end;
    if (!real) real = dlsym(RTLD_NEXT, "cnd_timedwait");
    truly.tv_sec -= offset_s();
    return real(what, lock, &truly);
}

int getaddrinfo(const char *restrict node, const char *restrict service,
                const struct addrinfo *restrict hints, struct addrinfo **restrict result) {
    static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    const char *gone = getenv("DNS_GONE");
    if (!real) real = dlsym(RTLD_NEXT, "getaddrinfo");
    return gone && !access(gone, F_OK) ? EAI_AGAIN : real(node, service, hints, result);
}
