/* Arguments other than handles: NULL outputs, NULL texts, bad numbers. None of the calls takes effect. */
#include "check.h"

static void on_event(const mdnsreg_event *event, void *user_data) {
  (void)event;
  (void)user_data;
}

/* The error says which argument. */
static void check_field(mdnsreg_error *err, mdnsreg_status status, const char *field) {
  char wanted[64];
  CHECK_STATUS(mdnsreg_error_code(err), status);
  snprintf(wanted, sizeof wanted, "\"field\":\"%s\"", field);
  if (strstr(mdnsreg_error_json(err), wanted) == NULL) {
    fprintf(stderr, "%s does not name %s\n", mdnsreg_error_json(err), field);
    abort();
  }
  mdnsreg_error_free(err);
}

#define CHECK_NULL(call, field)                  \
  do {                                           \
    mdnsreg_error *err = NULL;                   \
    CHECK_STATUS(call, MDNSREG_ERR_NULL);        \
    check_field(err, MDNSREG_ERR_NULL, field);   \
  } while (0)

#define CHECK_REFUSED(call, status, field)       \
  do {                                           \
    mdnsreg_error *err = NULL;                   \
    CHECK_STATUS(call, status);                  \
    check_field(err, status, field);             \
  } while (0)

int main(void) {
  mdnsreg_registry *registry = open_registry(), *none = NULL;
  mdnsreg_watch *watch = open_watch(registry, NULL), *no_watch = NULL;
  mdnsreg_event *event = NULL;
  char *json = NULL, name[257] = "";
  int32_t n = 0;

  CHECK_NULL(mdnsreg_open(NULL, NULL, &err), "out");
  CHECK_NULL(mdnsreg_default(NULL, &err), "out");
  CHECK_NULL(mdnsreg_init(registry, NULL, &err), "options_json");
  CHECK_NULL(mdnsreg_options(registry, NULL, &err), "out_json");
  CHECK_NULL(mdnsreg_register(registry, NULL, NULL, &err), "service_json");
  CHECK_NULL(mdnsreg_deregister(registry, NULL, &err), "service_json");
  CHECK_NULL(mdnsreg_get_service(registry, NULL, &json, &err), "name");
  CHECK_NULL(mdnsreg_get_service(registry, "a", NULL, &err), "out_json");
  CHECK_NULL(mdnsreg_list_services(registry, NULL, &err), "out_json");
  CHECK_NULL(mdnsreg_stats(registry, NULL, &err), "out_json");
  CHECK_NULL(mdnsreg_json_get(NULL, "", &json, &err), "json");
  CHECK_NULL(mdnsreg_json_get("{}", NULL, &json, &err), "pointer");
  CHECK_NULL(mdnsreg_json_get("{}", "", NULL, &err), "out");
  CHECK_NULL(mdnsreg_json_quote(NULL, &json, &err), "text");
  CHECK_NULL(mdnsreg_json_quote("", NULL, &err), "out");
  CHECK_NULL(mdnsreg_watch_open(registry, NULL, NULL, &err), "out");
  CHECK_NULL(mdnsreg_watch_next(watch, 0, NULL, &err), "out");
  CHECK_NULL(mdnsreg_watch_fd(watch, NULL, &err), "out_fd");
  CHECK_NULL(mdnsreg_watch_dispatch(watch, -1, NULL, NULL, &n, &err), "callback");
  CHECK_NULL(mdnsreg_watch_start(watch, NULL, NULL, NULL, &err), "callback");

  CHECK_REFUSED(mdnsreg_watch_next(watch, -2, &event, &err), MDNSREG_ERR_INVALID, "timeout_ms");
  CHECK_REFUSED(mdnsreg_watch_next(watch, INT64_MIN, &event, &err), MDNSREG_ERR_INVALID, "timeout_ms");
  CHECK_STATUS(mdnsreg_watch_stop(watch, -2), MDNSREG_ERR_INVALID);
  CHECK_REFUSED(mdnsreg_watch_dispatch(watch, 0, on_event, NULL, &n, &err), MDNSREG_ERR_INVALID, "max");
  CHECK_REFUSED(mdnsreg_watch_dispatch(watch, INT32_MIN, on_event, NULL, &n, &err), MDNSREG_ERR_INVALID, "max");
  CHECK_REFUSED(mdnsreg_open("{\"timeout\":1}", &none, &err), MDNSREG_ERR_OPTION, "timeout");
  CHECK_REFUSED(mdnsreg_open("[", &none, &err), MDNSREG_ERR_JSON, "options");
  CHECK_REFUSED(mdnsreg_open("{\"addrs\":\xff}", &none, &err), MDNSREG_ERR_UTF8, "options_json");
  CHECK_STATUS(mdnsreg_open("{\"secure\":true}", &none, NULL), MDNSREG_ERR_UNSUPPORTED);
  CHECK_STATUS(mdnsreg_open("{\"addrs\":[\"nowhere0\"]}", &none, NULL), MDNSREG_ERR_OPTION);
  CHECK_REFUSED(mdnsreg_watch_open(registry, "{\"queue\":0}", &no_watch, &err), MDNSREG_ERR_OPTION, "queue");
  CHECK_REFUSED(mdnsreg_get_service(registry, "", &json, &err), MDNSREG_ERR_INVALID, "name");
  memset(name, 'n', 256);
  CHECK_REFUSED(mdnsreg_get_service(registry, name, &json, &err), MDNSREG_ERR_TOO_LARGE, "name");
  name[255] = 0;
  CHECK_STATUS(mdnsreg_get_service(registry, name, &json, NULL), MDNSREG_ERR_NOT_FOUND);
  CHECK(none == NULL && event == NULL && json == NULL && no_watch == NULL);
  CHECK_OK(mdnsreg_watch_close(watch));

  /* No limit is too long. */
  watch = open_watch(registry, NULL);
  CHECK_OK(mdnsreg_watch_next(watch, INT64_MAX, &event, NULL));
  CHECK_TEXT(mdnsreg_event_type(event), "synced");
  CHECK(mdnsreg_event_action(event) == NULL && mdnsreg_event_key(event) == NULL);
  CHECK_TEXT(mdnsreg_event_json(event), "{\"type\":\"synced\"}");
  CHECK_OK(mdnsreg_event_free(event));

  CHECK_OK(mdnsreg_options(registry, &json, NULL));
  CHECK(strstr(json, "\"timeout_ms\":200") != NULL);
  mdnsreg_string_free(json);
  CHECK_OK(mdnsreg_init(registry, "{\"timeout_ms\":321}", NULL));
  CHECK_OK(mdnsreg_options(registry, &json, NULL));
  CHECK(strstr(json, "\"timeout_ms\":321") != NULL);
  mdnsreg_string_free(json);
  CHECK_OK(mdnsreg_stats(registry, &json, NULL));
  CHECK(json[0] == '{');
  mdnsreg_string_free(json);
  /* A string is freed once; what is no string of ours is left alone. */
  mdnsreg_string_free(json);
  mdnsreg_string_free((char *)&n);
  mdnsreg_string_free(NULL);

  CHECK_OK(mdnsreg_close(registry));
  CHECK_OK(mdnsreg_watch_close(watch));
  return done();
}
