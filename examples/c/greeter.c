/* A service that registers itself, moves when told to, and stays until it is killed.
 *
 *     greeter DESCRIPTOR.json OPTIONS [LATER.json]
 *
 * OPTIONS is how to register, as in {"ttl_ms":3000}. After each line on standard input LATER.json
 * takes the place of DESCRIPTOR.json; at the end of input the greeter waits on. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <mdns_registry.h>

static void must(mdnsreg_status status, mdnsreg_error *err) {
    if (status >= MDNSREG_OK) return;
    fprintf(stderr, "greeter: %s\n", mdnsreg_error_message(err));
    mdnsreg_error_free(err);
    exit(EXIT_FAILURE);
}

/* A descriptor is small: at most 1 MiB is read. */
static char *contents(const char *path) {
    enum { LIMIT = 1 << 20 };
    FILE *file = fopen(path, "rb");
    char *text = malloc(LIMIT + 1);
    if (file == NULL || text == NULL) {
        perror(path);
        exit(EXIT_FAILURE);
    }
    text[fread(text, 1, LIMIT, file)] = '\0';
    fclose(file);
    return text;
}

static void say(mdnsreg_registry *registry, const char *path, const char *options) {
    char *descriptor = contents(path);
    mdnsreg_error *err = NULL;
    must(mdnsreg_register(registry, descriptor, options, &err), err);
    free(descriptor);
    printf("registered %s\n", path);
    fflush(stdout);
}

int main(int argc, char **argv) {
    mdnsreg_registry *registry = NULL;
    mdnsreg_error *err = NULL;
    char line[256];

    if (argc < 3) {
        fprintf(stderr, "usage: greeter DESCRIPTOR.json OPTIONS [LATER.json]\n");
        return 2;
    }
    must(mdnsreg_open(NULL, &registry, &err), err);
    say(registry, argv[1], argv[2]);
    while (argc > 3 && fgets(line, sizeof line, stdin) != NULL) say(registry, argv[3], argv[2]);
    for (;;) pause();
}
