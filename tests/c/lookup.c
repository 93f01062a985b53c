/* Looking up: own nodes at once, unknown names within timeout_ms, names sorted. */
#include "check.h"

/* The argument is timeout_ms: more where all is slow. */
int main(int argc, char **argv) {
  int timeout_ms = argument(argc, argv, 1000);
  mdnsreg_registry *registry = open_registry();
  mdnsreg_error *err = NULL;
  char *json = NULL;
  char options[64];
  int64_t began;

  snprintf(options, sizeof options, "{\"timeout_ms\":%d}", timeout_ms);
  CHECK_OK(mdnsreg_init(registry, options, NULL));
  began = now_ms();
  CHECK_STATUS(mdnsreg_get_service(registry, "nobody", &json, &err), MDNSREG_ERR_NOT_FOUND);
  /* The rest is room for a busy machine. */
  CHECK(now_ms() - began <= timeout_ms + 200);
  CHECK(json == NULL && strstr(mdnsreg_error_message(err), "nobody") != NULL);
  mdnsreg_error_free(err);
  /* The name is of interest now: no waiting. */
  began = now_ms();
  CHECK_STATUS(mdnsreg_get_service(registry, "nobody", &json, NULL), MDNSREG_ERR_NOT_FOUND);
  CHECK(now_ms() - began < timeout_ms / 5);

  register_node(registry, "zebra", "2", 4712);
  register_node(registry, "zebra", "1", 4711);
  register_node(registry, "aardvark", "1", 4713);
  CHECK_OK(mdnsreg_get_service(registry, "zebra", &json, NULL));
  CHECK(strncmp(json, "[{\"name\":\"zebra\",\"version\":\"1\"", 30) == 0);
  CHECK(strstr(json, "\"id\":\"1\"") < strstr(json, "\"id\":\"2\""));
  mdnsreg_string_free(json);
  CHECK_OK(mdnsreg_list_services(registry, &json, NULL));
  CHECK(strstr(json, "aardvark") != NULL && strstr(json, "aardvark") < strstr(json, "zebra"));
  mdnsreg_string_free(json);

  CHECK_OK(mdnsreg_deregister(registry, "{\"name\":\"zebra\",\"nodes\":[]}", NULL));
  CHECK_OK(mdnsreg_get_service(registry, "zebra", &json, NULL));
  mdnsreg_string_free(json);
  CHECK_OK(mdnsreg_deregister(registry, "{\"name\":\"zebra\"}", NULL));
  CHECK_STATUS(mdnsreg_get_service(registry, "zebra", &json, NULL), MDNSREG_ERR_NOT_FOUND);
  CHECK_OK(mdnsreg_deregister(registry, "{\"name\":\"zebra\"}", NULL));
  CHECK_OK(mdnsreg_close(registry));
  return done();
}
