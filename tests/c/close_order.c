/* Registries, watches, events and errors may be closed in any order, and closing wakes who waits. */
#include "check.h"

static void every_order(void) {
  static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
  int order, step;
  for (order = 0; order < 6; order++) {
    mdnsreg_registry *registry = open_registry();
    mdnsreg_watch *watch;
    mdnsreg_event *event = NULL;
    register_node(registry, "greeter", "1", 4711);
    watch = open_watch(registry, "{\"service\":\"greeter\"}");
    CHECK_OK(mdnsreg_watch_next(watch, DEADLINE_MS, &event, NULL));
    for (step = 0; step < 3; step++) {
      if (orders[order][step] == 0) CHECK_OK(mdnsreg_close(registry));
      if (orders[order][step] == 1) CHECK_OK(mdnsreg_watch_close(watch));
      if (orders[order][step] == 2) {
        CHECK_TEXT(mdnsreg_event_action(event), "create");
        CHECK(strstr(mdnsreg_event_service(event), "\"port\":4711") != NULL);
        CHECK_OK(mdnsreg_event_free(event));
      }
    }
  }
}

struct waiter {
  mdnsreg_watch *watch;
  mdnsreg_registry *registry;
  int waits, ended;
  mdnsreg_status status;
};

static void *wait_next(void *argument) {
  struct waiter *waiter = (struct waiter *)argument;
  mdnsreg_event *event = NULL;
  CHECK_OK(mdnsreg_watch_next(waiter->watch, DEADLINE_MS, &event, NULL));
  CHECK_TEXT(mdnsreg_event_type(event), "synced");
  CHECK_OK(mdnsreg_event_free(event));
  set(&waiter->waits, 1);
  waiter->status = mdnsreg_watch_next(waiter->watch, -1, &event, NULL);
  CHECK(event == NULL);
  set(&waiter->ended, 1);
  return NULL;
}

/* how: 0 stops the watch, 1 closes it, 2 closes the registry. */
static void wakes(int how) {
  struct waiter waiter;
  pthread_t thread;
  int64_t began;
  memset(&waiter, 0, sizeof waiter);
  waiter.registry = open_registry();
  waiter.watch = open_watch(waiter.registry, "{\"service\":\"nobody\"}");
  CHECK(pthread_create(&thread, NULL, wait_next, &waiter) == 0);
  AWAIT(get(&waiter.waits));
  pause_ms(20);
  CHECK(!get(&waiter.ended));
  began = now_ms();
  if (how == 0) CHECK_OK(mdnsreg_watch_stop(waiter.watch, -1));
  if (how == 1) CHECK_OK(mdnsreg_watch_close(waiter.watch));
  if (how == 2) CHECK_OK(mdnsreg_close(waiter.registry));
  pthread_join(thread, NULL);
  CHECK(now_ms() - began < 5000);
  CHECK_STATUS(waiter.status, MDNSREG_END);
  if (how == 0) {
    mdnsreg_event *event = NULL;
    CHECK_STATUS(mdnsreg_watch_next(waiter.watch, -1, &event, NULL), MDNSREG_END);
  }
  if (how != 1) CHECK_OK(mdnsreg_watch_close(waiter.watch));
  if (how != 2) CHECK_OK(mdnsreg_close(waiter.registry));
}

static void *look_up(void *argument) {
  struct waiter *waiter = (struct waiter *)argument;
  char *json = NULL;
  set(&waiter->waits, 1);
  waiter->status = mdnsreg_get_service(waiter->registry, "nobody", &json, NULL);
  CHECK(json == NULL);
  return NULL;
}

/* A lookup that waits is woken as well, long before its 60 seconds. */
static void cancels_a_lookup(void) {
  struct waiter waiter;
  pthread_t thread;
  int64_t began;
  memset(&waiter, 0, sizeof waiter);
  waiter.registry = open_registry();
  CHECK_OK(mdnsreg_init(waiter.registry, "{\"timeout_ms\":60000}", NULL));
  CHECK(pthread_create(&thread, NULL, look_up, &waiter) == 0);
  AWAIT(get(&waiter.waits));
  pause_ms(20);
  began = now_ms();
  CHECK_OK(mdnsreg_close(waiter.registry));
  pthread_join(thread, NULL);
  CHECK(now_ms() - began < 5000);
  /* A lookup that had settled by then is as good. */
  CHECK(waiter.status == MDNSREG_ERR_CANCELLED || waiter.status == MDNSREG_ERR_CLOSED ||
        waiter.status == MDNSREG_ERR_NOT_FOUND);
}

int main(void) {
  every_order();
  wakes(0);
  wakes(1);
  wakes(2);
  cancels_a_lookup();
  return done();
}
