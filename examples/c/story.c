/* One node's life, watched: story [SERVICE [WATCHED [follow]]]. Alone it watches itself; two, of which one follows,
 * tell each other's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mdns_registry.h>

static mdnsreg_registry *registry;
static mdnsreg_error *err;

static void fail(void) {
    mdnsreg_close(registry);
    exit(EXIT_FAILURE);
}

static void must(mdnsreg_status status) {
    if (status >= MDNSREG_OK) return;
    fprintf(stderr, "story: %s\n", mdnsreg_error_message(err));
    fail();
}

static void print_node(const char *what, const char *service, const char *places[3]) {
    printf("%s", what);
    for (int i = 0; i < 3; i++) {
        char *text;
        must(mdnsreg_json_get(service, places[i], &text, &err));
        printf(" %s", text);
        mdnsreg_string_free(text);
    }
    printf("\n");
}

static void step(const char *name, const char *action) {
    static const char GONE[] = "{\"name\":%s}";
    static const char NODE[] = "{\"name\":%s,\"version\":\"1.0.0\",\"nodes\":[{\"id\":%s,\"address\":\"\",\"port\":%d,"
                               "\"metadata\":{\"language\":\"c\"}}]}";
    char id[300], json[4096], *quoted_name, *quoted_id;
    int gone = strcmp(action, "delete") == 0, port = strcmp(action, "create") == 0 ? 9090 : 9091;
    snprintf(id, sizeof id, "%s-1", name);
    must(mdnsreg_json_quote(name, &quoted_name, &err));
    must(mdnsreg_json_quote(id, &quoted_id, &err));
    snprintf(json, sizeof json, gone ? GONE : NODE, quoted_name, quoted_id, port);
    must(gone ? mdnsreg_deregister(registry, json, &err)
              : mdnsreg_register(registry, json, "{\"ttl_ms\":30000}", &err));
    mdnsreg_string_free(quoted_name);
    mdnsreg_string_free(quoted_id);
}

static void await(mdnsreg_watch *watch, const char *wanted) {
    for (int found = 0; !found;) {
        mdnsreg_event *event;
        mdnsreg_status status = mdnsreg_watch_next(watch, 10000, &event, &err);
        must(status);
        if (status != MDNSREG_OK) {
            fprintf(stderr, "story: no %s came: %s\n", wanted, mdnsreg_status_text(status));
            fail();
        }
        const char *action = mdnsreg_event_action(event);
        found = action != NULL && strcmp(action, wanted) == 0;
        if (found) print_node(action, mdnsreg_event_service(event), (const char *[]){"/name", "/nodes/0/id", "/nodes/0/port"});
        mdnsreg_event_free(event);
    }
}

static void list(void) {
    char *json, *text, place[32];
    must(mdnsreg_list_services(registry, &json, &err));
    printf("list");
    for (int i = 0; snprintf(place, sizeof place, "/%d/name", i), mdnsreg_json_get(json, place, &text, NULL) == MDNSREG_OK; i++) {
        printf(" %s", text);
        mdnsreg_string_free(text);
    }
    printf("\n");
    mdnsreg_string_free(json);
}

int main(int argc, char **argv) {
    static const char *const actions[] = {"create", "update", "delete"};
    const char *name = argc > 1 ? argv[1] : "greeter", *watched = argc > 2 ? argv[2] : name;
    int follows = argc > 3;
    char options[4096], *quoted, *found = NULL;
    mdnsreg_watch *watch;

    must(mdnsreg_open(NULL, &registry, &err));
    must(mdnsreg_json_quote(watched, &quoted, &err));
    snprintf(options, sizeof options, "{\"service\":%s}", quoted);
    mdnsreg_string_free(quoted);
    must(mdnsreg_watch_open(registry, options, &watch, &err));
    for (int i = 0; i < 3; i++) {
        if (!follows) step(name, actions[i]);
        await(watch, actions[i]);
        if (i == 0) must(mdnsreg_get_service(registry, watched, &found, &err));
        if (follows) step(name, actions[i]);
        if (i == 0) {
            list();
            print_node("get", found, (const char *[]){"/0/name", "/0/nodes/0/id", "/0/nodes/0/port"});
            mdnsreg_string_free(found);
        }
        fflush(stdout);
    }
    mdnsreg_watch_close(watch);
    mdnsreg_close(registry);
    return EXIT_SUCCESS;
}
