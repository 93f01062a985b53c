/* Leaving main without closing anything hangs and crashes nothing, whatever is going on. */
#include "check.h"

static int told = 0;

static void on_event(const mdnsreg_event *event, void *user_data) {
  (void)user_data;
  CHECK(mdnsreg_event_json(event) != NULL);
  add(&told, 1);
}

static void *wait_for_ever(void *argument) {
  mdnsreg_event *event = NULL;
  while (mdnsreg_watch_next((mdnsreg_watch *)argument, -1, &event, NULL) == MDNSREG_OK) mdnsreg_event_free(event);
  return NULL;
}

int main(void) {
  mdnsreg_registry *registry = open_registry();
  mdnsreg_watch *pushed = open_watch(registry, NULL), *pulled = open_watch(registry, NULL);
  pthread_t thread;
  int i;
  CHECK_OK(mdnsreg_watch_start(pushed, on_event, NULL, NULL, NULL));
  CHECK(pthread_create(&thread, NULL, wait_for_ever, pulled) == 0);
  for (i = 0; i < 50; i++) {
    char id[16];
    snprintf(id, sizeof id, "%d", i);
    register_node(registry, "greeter", id, 4000 + i);
  }
  AWAIT(get(&told) >= 10);
  return 0;
}
