/* Many rounds of open, register, watch and close leave no descriptor and no thread behind. */
#include "check.h"

static void on_event(const mdnsreg_event *event, void *user_data) {
  (void)event;
  add((int *)user_data, 1);
}

static void on_free(void *user_data) { add((int *)user_data, 1000); }

static void round_of(int number) {
  mdnsreg_registry *registry = open_registry();
  mdnsreg_watch *watch = open_watch(registry, NULL);
  mdnsreg_event *event = NULL;
  int32_t fd = -1, n = 0;
  int told = 0;
  if (number % 3 == 0) register_node(registry, "greeter", "1", 4711);
  switch (number % 4) {
    case 0:
      CHECK_OK(mdnsreg_watch_start(watch, on_event, &told, on_free, NULL));
      AWAIT(get(&told) >= 1);
      CHECK_OK(mdnsreg_watch_stop(watch, DEADLINE_MS));
      CHECK(get(&told) >= 1001);
      break;
    case 1:
      CHECK_OK(mdnsreg_watch_fd(watch, &fd, NULL));
      CHECK(fd >= 0);
      CHECK(mdnsreg_watch_dispatch(watch, -1, on_event, &told, &n, NULL) >= MDNSREG_OK);
      break;
    case 2:
      CHECK_OK(mdnsreg_watch_next(watch, DEADLINE_MS, &event, NULL));
      CHECK_OK(mdnsreg_event_free(event));
      break;
    default:
      break;
  }
  if (number % 2 == 0) {
    CHECK_OK(mdnsreg_watch_close(watch));
    CHECK_OK(mdnsreg_close(registry));
  } else {
    CHECK_OK(mdnsreg_close(registry));
    CHECK_OK(mdnsreg_watch_close(watch));
  }
}

int main(int argc, char **argv) {
  int rounds = argument(argc, argv, 1000), number;
  int fds = count_fds(), threads = count_threads();
  mdnsreg_registry *registry = open_registry();
  for (number = 0; number < rounds; number++) {
    /* Most rounds beside a registry that stays; the first twenty start and end the runtime each time. */
    if (number == 20) CHECK_OK(mdnsreg_close(registry));
    round_of(number);
    if (number == 20) registry = open_registry();
  }
  CHECK_OK(mdnsreg_close(registry));
  AWAIT(count_threads() == threads);
  AWAIT(count_fds() == fds);
  return done();
}
