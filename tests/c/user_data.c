/* The free function of user data runs exactly once, after the last callback, on every path. */
#include "check.h"

struct data {
  mdnsreg_watch *watch;
  int calls, inside, freed, stop_in_free;
};

static void on_event(const mdnsreg_event *event, void *user_data) {
  struct data *data = (struct data *)user_data;
  (void)event;
  CHECK(get(&data->freed) == 0);
  CHECK(add(&data->inside, 1) == 1);
  add(&data->calls, 1);
  add(&data->inside, -1);
}

static void on_free(void *user_data) {
  struct data *data = (struct data *)user_data;
  CHECK(get(&data->inside) == 0);
  /* Also a callback: it must not wait for itself. */
  if (data->stop_in_free) CHECK_STATUS(mdnsreg_watch_stop(data->watch, -1), MDNSREG_DEFERRED);
  CHECK(add(&data->freed, 1) == 1);
}

static struct data *fresh(mdnsreg_watch *watch) {
  struct data *data = (struct data *)calloc(1, sizeof *data);
  CHECK(data != NULL);
  data->watch = watch;
  return data;
}

static void refused(mdnsreg_watch *watch, mdnsreg_event_fn callback, mdnsreg_status wanted) {
  struct data *data = fresh(watch);
  CHECK_STATUS(mdnsreg_watch_start(watch, callback, data, on_free, NULL), wanted);
  CHECK(data->freed == 1 && data->calls == 0);
  free(data);
}

static void every_refusal(mdnsreg_registry *registry) {
  uint64_t on_stack[4] = {0, 0, 0, 0};
  mdnsreg_watch *watch = open_watch(registry, NULL);
  mdnsreg_event *event = NULL;
  refused(NULL, on_event, MDNSREG_ERR_NULL);
  refused((mdnsreg_watch *)(void *)on_stack, on_event, MDNSREG_ERR_HANDLE);
  refused((mdnsreg_watch *)(void *)registry, on_event, MDNSREG_ERR_TYPE);
  refused(watch, NULL, MDNSREG_ERR_NULL);
  CHECK_OK(mdnsreg_watch_next(watch, DEADLINE_MS, &event, NULL));
  CHECK_OK(mdnsreg_event_free(event));
  refused(watch, on_event, MDNSREG_ERR_BUSY);
  CHECK_OK(mdnsreg_watch_stop(watch, 0));
  refused(watch, on_event, MDNSREG_ERR_CLOSED);
  CHECK_OK(mdnsreg_watch_close(watch));
  refused(watch, on_event, MDNSREG_ERR_CLOSED);
}

/* how: 0 stop, 1 close the watch, 2 close the registry and then the watch, 3 close the watch, then the registry,
 * 4 stop from the free function, 5 without data or function. */
static void every_end(int how) {
  mdnsreg_registry *registry = open_registry();
  mdnsreg_watch *watch;
  struct data *data;
  register_node(registry, "greeter", "1", 4711);
  watch = open_watch(registry, NULL);
  data = fresh(watch);
  data->stop_in_free = how == 4;
  if (how == 5) {
    free(data);
    data = NULL;
    /* NULL user data is handed through, and no free function is no trouble. */
    CHECK_OK(mdnsreg_close(registry));
    CHECK_OK(mdnsreg_watch_start(watch, on_event, NULL, NULL, NULL));
    CHECK_OK(mdnsreg_watch_stop(watch, DEADLINE_MS));
    CHECK_OK(mdnsreg_watch_close(watch));
    return;
  }
  CHECK_OK(mdnsreg_watch_start(watch, on_event, data, on_free, NULL));
  AWAIT(get(&data->calls) >= 2);
  if (how == 0) CHECK_OK(mdnsreg_watch_stop(watch, DEADLINE_MS));
  if (how == 0) CHECK(get(&data->freed) == 1);
  if (how == 1 || how == 3) CHECK_OK(mdnsreg_watch_close(watch));
  if (how >= 2) CHECK_OK(mdnsreg_close(registry));
  AWAIT(get(&data->freed) == 1);
  if (how == 4) CHECK_OK(mdnsreg_watch_stop(watch, DEADLINE_MS));
  if (how != 1 && how != 3) CHECK_OK(mdnsreg_watch_close(watch));
  if (how < 2) CHECK_OK(mdnsreg_close(registry));
  CHECK(get(&data->freed) == 1);
  free(data);
}

/* Stopped and closed at once by two threads while events come. */
static void *stopper(void *argument) {
  mdnsreg_status status = mdnsreg_watch_stop((mdnsreg_watch *)argument, DEADLINE_MS);
  CHECK(status == MDNSREG_OK || status == MDNSREG_ERR_CLOSED);
  return NULL;
}

static void raced(mdnsreg_registry *registry) {
  mdnsreg_watch *watch = open_watch(registry, NULL);
  struct data *data = fresh(watch);
  pthread_t thread;
  CHECK_OK(mdnsreg_watch_start(watch, on_event, data, on_free, NULL));
  CHECK(pthread_create(&thread, NULL, stopper, watch) == 0);
  CHECK_OK(mdnsreg_watch_close(watch));
  pthread_join(thread, NULL);
  AWAIT(get(&data->freed) == 1);
  free(data);
}

int main(int argc, char **argv) {
  int rounds = argument(argc, argv, 200), i;
  mdnsreg_registry *registry = open_registry();
  register_node(registry, "greeter", "1", 4711);
  every_refusal(registry);
  for (i = 0; i < rounds; i++) raced(registry);
  CHECK_OK(mdnsreg_close(registry));
  for (i = 0; i <= 5; i++) every_end(i);
  return done();
}
