/* The process's own registry: each call is a reference, and the nodes go with the last. */
#include "check.h"

int main(void) {
  mdnsreg_registry *first = NULL, *second = NULL;
  mdnsreg_watch *watch;
  mdnsreg_event *event = NULL;
  char *json = NULL;
  setenv("MDNS_REGISTRY_OPTIONS", OPTIONS, 1);
  CHECK_OK(mdnsreg_default(&first, NULL));
  CHECK_OK(mdnsreg_default(&second, NULL));
  CHECK(first != second);
  register_node(first, "greeter", "1", 4711);
  watch = open_watch(second, NULL);
  CHECK_OK(mdnsreg_close(first));
  CHECK_STATUS(mdnsreg_close(first), MDNSREG_ERR_CLOSED);
  CHECK_STATUS(mdnsreg_get_service(first, "greeter", &json, NULL), MDNSREG_ERR_CLOSED);
  CHECK_OK(mdnsreg_get_service(second, "greeter", &json, NULL));
  mdnsreg_string_free(json);
  CHECK_OK(mdnsreg_watch_next(watch, DEADLINE_MS, &event, NULL));
  CHECK_OK(mdnsreg_event_free(event));
  CHECK_OK(mdnsreg_close(second));
  while (mdnsreg_watch_next(watch, DEADLINE_MS, &event, NULL) == MDNSREG_OK) CHECK_OK(mdnsreg_event_free(event));
  CHECK_STATUS(mdnsreg_watch_next(watch, DEADLINE_MS, &event, NULL), MDNSREG_END);
  CHECK_OK(mdnsreg_watch_close(watch));

  /* It begins anew, and its variable is read again. */
  CHECK_OK(mdnsreg_default(&first, NULL));
  CHECK_STATUS(mdnsreg_get_service(first, "greeter", &json, NULL), MDNSREG_ERR_NOT_FOUND);
  CHECK_OK(mdnsreg_close(first));
  setenv("MDNS_REGISTRY_OPTIONS", "{\"adrs\":[]}", 1);
  CHECK_STATUS(mdnsreg_default(&first, NULL), MDNSREG_ERR_OPTION);
  CHECK(first == NULL);
  return done();
}
