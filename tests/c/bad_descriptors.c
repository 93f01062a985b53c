/* A bad descriptor is refused with field, limit and value, and nothing of the call takes effect. */
#include "check.h"

static mdnsreg_registry *registry;

static void contains(const char *json, const char *part) {
  if (part != NULL && strstr(json, part) == NULL) {
    fprintf(stderr, "%s does not contain %s\n", json, part);
    abort();
  }
}

/* The registry holds its one node, and nothing else. */
static void unchanged(void) {
  char *json = NULL;
  CHECK_OK(mdnsreg_list_services(registry, &json, NULL));
  contains(json, "\"name\":\"present\"");
  CHECK(strstr(json, "\"name\":\"bad") == NULL);
  mdnsreg_string_free(json);
  CHECK_OK(mdnsreg_get_service(registry, "present", &json, NULL));
  contains(json, "\"port\":4711");
  CHECK(strstr(json, "\"id\":\"2\"") == NULL);
  mdnsreg_string_free(json);
}

/* Refused with this status and, in the error's JSON, these parts. */
static void refuse(const char *service, mdnsreg_status wanted, const char *field, const char *limit, const char *value) {
  mdnsreg_error *err = NULL;
  const char *json;
  CHECK_STATUS(mdnsreg_register(registry, service, NULL, &err), wanted);
  CHECK_STATUS(mdnsreg_error_code(err), wanted);
  CHECK(strlen(mdnsreg_error_message(err)) < 400);
  json = mdnsreg_error_json(err);
  contains(json, field);
  contains(json, limit);
  contains(json, value);
  mdnsreg_error_free(err);
}

#define NODE "{\"id\":\"2\",\"address\":\"127.0.0.1\",\"port\":80}"

/* `before`, `size` times `fill`, `after`: the caller frees it. */
static char *filled(const char *before, const char *fill, size_t size, const char *after) {
  size_t length = strlen(fill), i;
  char *text = (char *)malloc(strlen(before) + length * size + strlen(after) + 1), *end = text;
  CHECK(text != NULL);
  end += sprintf(end, "%s", before);
  for (i = 0; i < size; i++, end += length) memcpy(end, fill, length);
  sprintf(end, "%s", after);
  return text;
}

static void refuse_filled(const char *before, const char *fill, size_t size, const char *after, mdnsreg_status wanted,
                          const char *field, const char *limit, const char *value) {
  char *text = filled(before, fill, size, after);
  refuse(text, wanted, field, limit, value);
  free(text);
}

static void ranges(void) {
  refuse("{\"name\":\"bad\",\"nodes\":[" NODE "],\"colour\":1}", MDNSREG_ERR_INVALID, "colour", NULL, NULL);
  refuse("{\"name\":\"bad\",\"nodes\":[{\"id\":\"2\",\"address\":\"127.0.0.1\",\"port\":0}]}", MDNSREG_ERR_INVALID,
         "\"field\":\"nodes[0].port\"", "65535", "\"value\":\"0\"");
  refuse("{\"name\":\"bad\",\"nodes\":[{\"id\":\"2\",\"address\":\"127.0.0.1\",\"port\":65536}]}", MDNSREG_ERR_INVALID,
         "\"field\":\"nodes[0].port\"", "65535", "\"value\":\"65536\"");
  refuse("{\"name\":\"bad\",\"nodes\":[" NODE ",{\"id\":\"\",\"address\":\"127.0.0.1\",\"port\":80}]}",
         MDNSREG_ERR_INVALID, "\"field\":\"nodes[1].id\"", NULL, NULL);
  refuse("{\"name\":\"\",\"nodes\":[" NODE "]}", MDNSREG_ERR_INVALID, "\"field\":\"name\"", NULL, NULL);
  refuse("{\"nodes\":[" NODE "]}", MDNSREG_ERR_INVALID, "\"field\":\"name\"", NULL, NULL);
  refuse("{\"name\":\"bad\",\"nodes\":[]}", MDNSREG_ERR_INVALID, "\"field\":\"nodes\"", NULL, NULL);
  refuse("{\"name\":\"bad\"}", MDNSREG_ERR_INVALID, "\"field\":\"nodes\"", NULL, NULL);
  refuse("{\"name\":\"bad\\u0007\",\"nodes\":[" NODE "]}", MDNSREG_ERR_INVALID, "\"field\":\"name\"", NULL, NULL);
  /* The first node is good: all or none. */
  refuse("{\"name\":\"present\",\"version\":\"1\",\"nodes\":[" NODE
         ",{\"id\":\"3\",\"address\":\"127.0.0.1\",\"port\":0}]}",
         MDNSREG_ERR_INVALID, "\"field\":\"nodes[1].port\"", NULL, NULL);
}

static void kinds(void) {
  refuse("{\"name\":\"bad\",\"nodes\":[{\"id\":\"2\",\"address\":\"127.0.0.1\",\"port\":\"80\"}]}", MDNSREG_ERR_INVALID,
         "\"field\":\"nodes[0].port\"", NULL, "80");
  refuse("{\"name\":7,\"nodes\":[" NODE "]}", MDNSREG_ERR_INVALID, "\"field\":\"name\"", NULL, "7");
  refuse("{\"name\":\"bad\",\"nodes\":{}}", MDNSREG_ERR_INVALID, "\"field\":\"nodes\"", NULL, NULL);
  refuse("{\"name\":\"bad\",\"metadata\":[1],\"nodes\":[" NODE "]}", MDNSREG_ERR_INVALID, "\"field\":\"metadata\"", NULL,
         NULL);
  refuse("[]", MDNSREG_ERR_INVALID, NULL, NULL, NULL);
  refuse("", MDNSREG_ERR_JSON, NULL, NULL, NULL);
  refuse("{\"name\":\"bad\"", MDNSREG_ERR_JSON, NULL, "column", NULL);
  refuse("{\"name\":\"b\xff\",\"nodes\":[" NODE "]}", MDNSREG_ERR_UTF8, "\"field\":\"service_json\"", "byte 10", "0xff");
  refuse("{\"name\":\"b\xe2\x82", MDNSREG_ERR_UTF8, "\"field\":\"service_json\"", "byte 10", "0xe2");
}

static void sizes(void) {
  /* 2 MiB of JSON. */
  refuse_filled("{\"name\":\"bad\",\"metadata\":{\"k\":\"", "abcdefgh", 262144, "\"},\"nodes\":[" NODE "]}",
                MDNSREG_ERR_TOO_LARGE, "\"field\":", "\"limit\":1048576", "\"value\":2097");
  /* Depth 40. */
  refuse_filled("{\"name\":\"bad\",\"nodes\":[" NODE "],\"metadata\":", "[", 38, "", MDNSREG_ERR_TOO_LARGE, NULL,
                "\"limit\":32", NULL);
  refuse_filled("{\"name\":\"", "n", 256, "\",\"nodes\":[" NODE "]}", MDNSREG_ERR_TOO_LARGE, "\"field\":\"name\"",
                "\"limit\":255", "\"value\":256");
  refuse_filled("{\"name\":\"bad\",\"nodes\":[{\"id\":\"", "i", 256, "\",\"address\":\"127.0.0.1\",\"port\":80}]}",
                MDNSREG_ERR_TOO_LARGE, "\"field\":\"nodes[0].id\"", "\"limit\":255", "\"value\":256");
  refuse_filled("{\"name\":\"bad\",\"nodes\":[" NODE, "," NODE, 1024, "]}", MDNSREG_ERR_TOO_LARGE, "\"field\":\"nodes\"",
                "\"limit\":1024", "\"value\":1025");
}

static void others(void) {
  mdnsreg_error *err = NULL;
  char *json = NULL;
  const char *good = "{\"name\":\"bad\",\"nodes\":[" NODE "]}";
  CHECK_STATUS(mdnsreg_register(registry, good, "{\"ttl_ms\":1}", &err), MDNSREG_ERR_OPTION);
  contains(mdnsreg_error_json(err), "\"field\":\"ttl_ms\"");
  mdnsreg_error_free(err);
  CHECK_STATUS(mdnsreg_register(registry, good, "{\"tll_ms\":5000}", &err), MDNSREG_ERR_OPTION);
  contains(mdnsreg_error_message(err), "ttl_ms");
  mdnsreg_error_free(err);
  CHECK_STATUS(mdnsreg_register(registry, good, "\xc3\x28", &err), MDNSREG_ERR_UTF8);
  contains(mdnsreg_error_json(err), "register_options_json");
  mdnsreg_error_free(err);
  CHECK_STATUS(mdnsreg_deregister(registry, "{\"name\":\"present\",\"nodes\":[{\"id\":\"1\"},{\"id\":7}]}", NULL),
               MDNSREG_ERR_INVALID);
  CHECK_STATUS(mdnsreg_deregister(registry, "{\"name\":\"present\",\"port\":1}", NULL), MDNSREG_ERR_INVALID);
  CHECK_STATUS(mdnsreg_get_service(registry, "a\xff", &json, NULL), MDNSREG_ERR_UTF8);
  CHECK(json == NULL);
}

int main(void) {
  mdnsreg_watch *watch;
  mdnsreg_event *event = NULL;
  registry = open_registry();
  register_node(registry, "present", "1", 4711);
  watch = open_watch(registry, NULL);
  CHECK_OK(mdnsreg_watch_next(watch, DEADLINE_MS, &event, NULL));
  CHECK_OK(mdnsreg_event_free(event));
  CHECK_OK(mdnsreg_watch_next(watch, DEADLINE_MS, &event, NULL));
  CHECK_TEXT(mdnsreg_event_type(event), "synced");
  CHECK_OK(mdnsreg_event_free(event));
  ranges();
  kinds();
  sizes();
  others();
  unchanged();
  CHECK_STATUS(mdnsreg_watch_next(watch, 100, &event, NULL), MDNSREG_EMPTY);
  CHECK_OK(mdnsreg_watch_close(watch));
  CHECK_OK(mdnsreg_close(registry));
  return done();
}
