/* Several threads use, stop and close the same handles at once: every call has a documented status, each handle is
 * closed exactly once, and nothing crashes. */
#include "check.h"

#define THREADS 4

static mdnsreg_registry *registry;
static mdnsreg_watch *watch;
static mdnsreg_event *event;
static pthread_barrier_t gate;
static int closed_registries, closed_watches, freed_events, freed_data, told;

static void on_event(const mdnsreg_event *one, void *user_data) {
  (void)user_data;
  CHECK(mdnsreg_event_type(one) != NULL);
  add(&told, 1);
}

static void on_free(void *user_data) {
  (void)user_data;
  add(&freed_data, 1);
}

static void sane(mdnsreg_status status) {
  switch (status) {
    case MDNSREG_OK:
    case MDNSREG_END:
    case MDNSREG_EMPTY:
    case MDNSREG_ERR_CLOSED:
    case MDNSREG_ERR_CANCELLED:
    case MDNSREG_ERR_NOT_FOUND:
    case MDNSREG_ERR_BUSY:
      return;
    default:
      CHECK_OK(status);
  }
}

static void *user(void *argument) {
  int number = (int)(intptr_t)argument;
  char *json = NULL;
  mdnsreg_event *mine = NULL;
  mdnsreg_status status;
  int32_t n = 0;
  pthread_barrier_wait(&gate);
  switch (number) {
    case 0:
      sane(mdnsreg_get_service(registry, "greeter", &json, NULL));
      mdnsreg_string_free(json);
      break;
    case 1:
      sane(mdnsreg_watch_dispatch(watch, -1, on_event, NULL, &n, NULL));
      break;
    case 2:
      sane(mdnsreg_watch_next(watch, 0, &mine, NULL));
      if (mine != NULL) CHECK_OK(mdnsreg_event_free(mine));
      break;
    default:
      sane(mdnsreg_watch_start(watch, on_event, NULL, on_free, NULL));
      break;
  }
  if (mdnsreg_event_free(event) == MDNSREG_OK) add(&freed_events, 1);
  sane(mdnsreg_watch_stop(watch, 0));
  status = mdnsreg_watch_close(watch);
  sane(status);
  if (status == MDNSREG_OK) add(&closed_watches, 1);
  if (number % 2 == 0) {
    status = mdnsreg_close(registry);
    sane(status);
    if (status == MDNSREG_OK) add(&closed_registries, 1);
  }
  return NULL;
}

int main(int argc, char **argv) {
  int rounds = argument(argc, argv, 100), round, i;
  mdnsreg_registry *stays = open_registry();
  CHECK(pthread_barrier_init(&gate, NULL, THREADS) == 0);
  for (round = 1; round <= rounds; round++) {
    pthread_t threads[THREADS];
    mdnsreg_watch *other;
    registry = open_registry();
    watch = open_watch(registry, NULL);
    other = open_watch(registry, "{\"service\":\"nobody\"}");
    CHECK_OK(mdnsreg_watch_next(other, DEADLINE_MS, &event, NULL));
    CHECK_OK(mdnsreg_watch_close(other));
    for (i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, user, (void *)(intptr_t)i) == 0);
    for (i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    CHECK(closed_registries == round && closed_watches == round && freed_events == round);
    AWAIT(get(&freed_data) == round);
  }
  pthread_barrier_destroy(&gate);
  CHECK_OK(mdnsreg_close(stays));
  return done();
}
