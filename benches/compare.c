/* The parts of compare.py that must be small and start fast. Every part first notes its pid and the time in a file.
 *
 *   launch FILE PROGRAM ARG...     becomes PROGRAM
 *   service FILE                   sleeps
 *   lines FILE BYTES               writes lines of 100 bytes and a last one, then sleeps
 *   floor COUNT PROGRAM ARG...     the least that a launcher can do: starts, stops and waits
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void note(const char *file) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int notes = open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (notes < 0) exit(111);
    dprintf(notes, "%d %lld\n", getpid(), now.tv_sec * 1000000000LL + now.tv_nsec);
    close(notes);
}

static int launch(char **command) {
    /* A shell that started compare.py in the background ignores SIGINT. */
    signal(SIGINT, SIG_DFL);
    execvp(command[0], command);
    return 127;
}

static int lines(long long bytes) {
    static char block[65500];
    memset(block, 'x', sizeof block);
    for (size_t end = 99; end < sizeof block; end += 100) block[end] = '\n';
    while (bytes > 0) {
        size_t size = bytes < (long long)sizeof block ? (size_t)bytes : sizeof block;
        for (size_t done = 0; done < size;) {
            ssize_t count = write(1, block + done, size - done);
            if (count < 0) return 1;
            done += count;
        }
        bytes -= size;
    }
    dprintf(1, "compare-end\n");
    for (;;) pause();
}

static int least_launcher(int count, char **command) {
    pid_t *pids = calloc(count, sizeof *pids);
    sigset_t set, before;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, &before);
    for (int at = 0; at < count; at++) {
        /* Each in a group of its own, so that each could be stopped alone. This is faster than posix_spawn, which
         * waits for every exec. */
        pids[at] = fork();
        if (pids[at] < 0) return 1;
        if (pids[at] == 0) {
            setpgid(0, 0);
            sigprocmask(SIG_SETMASK, &before, NULL);
            execv(command[0], command);
            _exit(127);
        }
        setpgid(pids[at], pids[at]);
    }
    for (int left = count, stopping = 0, number; left > 0;) {
        sigwait(&set, &number);
        if (number == SIGCHLD) {
            while (waitpid(-1, NULL, WNOHANG) > 0) left--;
        } else if (!stopping) {
            stopping = 1;
            for (int at = 0; at < count; at++) kill(-pids[at], SIGTERM);
        }
    }
    return 0;
}

int main(int count, char **args) {
    if (count < 3) return 2;
    const char *part = args[1];
    if (strcmp(part, "floor") == 0) return least_launcher(atoi(args[2]), args + 3);
    note(args[2]);
    if (strcmp(part, "launch") == 0 && count > 3) return launch(args + 3);
    if (strcmp(part, "lines") == 0 && count > 3) return lines(atoll(args[3]));
    if (strcmp(part, "service") == 0)
        for (;;) pause();
    return 2;
}
