/* A watch in an event loop: poll [SERVICE]. Waits for events and for standard input at once, with poll(2) and no thread
 * of its own; ends with the input. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <mdns_registry.h>

static mdnsreg_error *err;

static void must(mdnsreg_status status) {
    if (status >= MDNSREG_OK) return;
    fprintf(stderr, "poll: %s\n", mdnsreg_error_message(err));
    exit(EXIT_FAILURE);
}

static void print(const mdnsreg_event *event, void *user_data) {
    (void)user_data;
    printf("%s\n", mdnsreg_event_json(event));
    fflush(stdout);
}

int main(int argc, char **argv) {
    char options[4096] = "{}", *name, ignored[256];
    mdnsreg_registry *registry;
    mdnsreg_watch *watch;
    int32_t fd;

    if (argc > 1) {
        must(mdnsreg_json_quote(argv[1], &name, &err));
        snprintf(options, sizeof options, "{\"service\":%s}", name);
        mdnsreg_string_free(name);
    }
    must(mdnsreg_open(NULL, &registry, &err));
    must(mdnsreg_watch_open(registry, options, &watch, &err));
    must(mdnsreg_watch_fd(watch, &fd, &err));
    for (;;) {
        struct pollfd fds[] = {{fd, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
        if (poll(fds, 2, -1) < 0) {
            if (errno == EINTR) continue;
            perror("poll");
            exit(EXIT_FAILURE);
        }
        if (fds[0].revents != 0) {
            mdnsreg_status status = mdnsreg_watch_dispatch(watch, -1, print, NULL, NULL, &err);
            must(status);
            if (status == MDNSREG_END) break;
        }
        if (fds[1].revents != 0 && read(STDIN_FILENO, ignored, sizeof ignored) <= 0) break;
    }
    mdnsreg_watch_close(watch);
    mdnsreg_close(registry);
    return EXIT_SUCCESS;
}
