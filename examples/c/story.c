/* The whole story in one process: register, list, get, watch, deregister. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mdns_registry.h>

static const char GREETER[] =
    "{\"name\":\"greeter\",\"version\":\"1.2.0\",\"metadata\":{\"team\":\"Front Desk\"},"
    "\"endpoints\":[{\"name\":\"Greeter.Hello\"}],\"nodes\":[{\"id\":\"greeter-1\",\"port\":9090}]}";

static void must(mdnsreg_status status, mdnsreg_error *err) {
    if (status >= MDNSREG_OK) return;
    fprintf(stderr, "story: %s\n", mdnsreg_error_message(err));
    mdnsreg_error_free(err);
    exit(EXIT_FAILURE);
}

static void print_and_free(const char *what, char *json) {
    printf("%s: %s\n", what, json);
    mdnsreg_string_free(json);
}

/* Prints events until one of this kind; each is waited for at most five seconds. */
static void watch_until(mdnsreg_watch *watch, const char *kind) {
    for (int found = 0; !found;) {
        mdnsreg_event *event = NULL;
        mdnsreg_error *err = NULL;
        mdnsreg_status status = mdnsreg_watch_next(watch, 5000, &event, &err);
        must(status, err);
        if (status != MDNSREG_OK) {
            fprintf(stderr, "story: no %s came: %s\n", kind, mdnsreg_status_name(status));
            exit(EXIT_FAILURE);
        }
        const char *action = mdnsreg_event_action(event);
        printf("event: %s\n", mdnsreg_event_json(event));
        found = strcmp(action != NULL ? action : mdnsreg_event_type(event), kind) == 0;
        mdnsreg_event_free(event);
    }
}

int main(void) {
    mdnsreg_registry *registry = NULL;
    mdnsreg_watch *watch = NULL;
    mdnsreg_error *err = NULL;
    char *json = NULL;

    must(mdnsreg_open(NULL, &registry, &err), err);
    must(mdnsreg_register(registry, GREETER, "{\"ttl_ms\":30000}", &err), err);

    must(mdnsreg_list_services(registry, &json, &err), err);
    print_and_free("list", json);
    must(mdnsreg_get_service(registry, "greeter", &json, &err), err);
    print_and_free("get", json);

    must(mdnsreg_watch_open(registry, "{\"service\":\"greeter\"}", &watch, &err), err);
    watch_until(watch, "synced");
    must(mdnsreg_deregister(registry, GREETER, &err), err);
    watch_until(watch, "delete");

    mdnsreg_watch_close(watch);
    mdnsreg_close(registry);
    return EXIT_SUCCESS;
}
