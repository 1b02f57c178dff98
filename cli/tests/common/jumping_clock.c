/* Preloaded into iapctl by honest.rs: the time of day jumps by a day and more, back and forth, whenever anybody asks for it. Clocks that
   only go forward are left alone. Says in the file JUMPING_CLOCK that it is there, and of each jump. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static void say(const char *word, size_t length)
{
    const char *path = getenv("JUMPING_CLOCK");
    int file = path ? open(path, O_CREAT | O_APPEND | O_WRONLY, 0600) : -1;
    if (file >= 0) {
        if (write(file, word, length) < 0)
            abort();
        close(file);
    }
}

__attribute__((constructor)) static void loaded(void) { say("loaded\n", 7); }

static time_t jump(void)
{
    static int jumps;
    say("jump\n", 5);
    jumps++;
    return (jumps % 2 ? 1 : -1) * (time_t)86400 * jumps;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    static int (*real)(clockid_t, struct timespec *);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, now);
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)
        now->tv_sec += jump();
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec precise;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *seconds)
{
    struct timespec precise;
    clock_gettime(CLOCK_REALTIME, &precise);
    if (seconds)
        *seconds = precise.tv_sec;
    return precise.tv_sec;
}
