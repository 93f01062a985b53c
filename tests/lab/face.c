/* The C face as a program: face get NAME | face list | face watch NAME. Prints the library's JSON, one a line; the watch
 * goes on until it is killed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mdns_registry.h>

static mdnsreg_error *err;

static void must(mdnsreg_status status) {
    if (status >= MDNSREG_OK) return;
    fprintf(stderr, "face: %s\n", mdnsreg_error_message(err));
    exit(EXIT_FAILURE);
}

static void watch(mdnsreg_registry *registry, const char *name) {
    char options[4096], *quoted;
    mdnsreg_watch *watch;
    mdnsreg_event *event;

    must(mdnsreg_json_quote(name, &quoted, &err));
    snprintf(options, sizeof options, "{\"service\":%s}", quoted);
    mdnsreg_string_free(quoted);
    must(mdnsreg_watch_open(registry, options, &watch, &err));
    for (;;) {
        must(mdnsreg_watch_next(watch, -1, &event, &err));
        printf("%s\n", mdnsreg_event_json(event));
        fflush(stdout);
        mdnsreg_event_free(event);
    }
}

int main(int argc, char **argv) {
    mdnsreg_registry *registry;
    char *json;

    if (argc < 2) return 2;
    must(mdnsreg_default(&registry, &err));
    if (argc > 2 && strcmp(argv[1], "watch") == 0) watch(registry, argv[2]);
    if (argc > 2 && strcmp(argv[1], "get") == 0) must(mdnsreg_get_service(registry, argv[2], &json, &err));
    else must(mdnsreg_list_services(registry, &json, &err));
    printf("%s\n", json);
    mdnsreg_string_free(json);
    return EXIT_SUCCESS;
}
