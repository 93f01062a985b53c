/* The log: off at first, replaced at any time, never in the way. */
#include "check.h"

struct sink {
  int lines, freed, worst;
};

static void on_line(int32_t level, const char *target, const char *message, void *user_data) {
  struct sink *sink = (struct sink *)user_data;
  mdnsreg_registry *registry = NULL;
  mdnsreg_error *err = NULL;
  CHECK(get(&sink->freed) == 0);
  CHECK(level >= MDNSREG_LOG_ERROR && level <= MDNSREG_LOG_TRACE);
  CHECK(strncmp(target, "mdns_registry", 13) == 0 && message != NULL);
  if (level > get(&sink->worst)) set(&sink->worst, level);
  /* Refused, not a deadlock. */
  CHECK_STATUS(mdnsreg_open(OPTIONS, &registry, &err), MDNSREG_ERR_BUSY);
  CHECK(strstr(mdnsreg_error_message(err), "log") != NULL);
  mdnsreg_error_free(err);
  add(&sink->lines, 1);
}

static void on_free(void *user_data) {
  CHECK(add(&((struct sink *)user_data)->freed, 1) == 1);
  CHECK_STATUS(mdnsreg_log_set(0, NULL, NULL, NULL, NULL), MDNSREG_ERR_BUSY);
}

static void work(void) {
  mdnsreg_registry *registry = open_registry();
  register_node(registry, "greeter", "1", 4711);
  CHECK_OK(mdnsreg_close(registry));
}

int main(int argc, char **argv) {
  int rounds = argument(argc, argv, 30), i;
  struct sink *sinks = (struct sink *)calloc((size_t)rounds + 4, sizeof *sinks);
  CHECK(sinks != NULL);
  work();

  CHECK_STATUS(mdnsreg_log_set(6, on_line, &sinks[0], on_free, NULL), MDNSREG_ERR_OPTION);
  CHECK(sinks[0].freed == 1);
  CHECK_STATUS(mdnsreg_log_set(-1, on_line, &sinks[1], on_free, NULL), MDNSREG_ERR_OPTION);
  CHECK_OK(mdnsreg_log_set(MDNSREG_LOG_OFF, on_line, &sinks[2], on_free, NULL));
  CHECK(sinks[1].freed == 1 && sinks[2].freed == 1);

  for (i = 3; i < rounds + 3; i++) {
    CHECK_OK(mdnsreg_log_set(i % 2 ? MDNSREG_LOG_TRACE : MDNSREG_LOG_INFO, on_line, &sinks[i], on_free, NULL));
    if (i > 3) AWAIT(get(&sinks[i - 1].freed) == 1);
    work();
    CHECK(get(&sinks[i].freed) == 0);
    CHECK(get(&sinks[i].lines) > 0);
    CHECK((get(&sinks[i].worst) > MDNSREG_LOG_INFO) == (i % 2 == 1));
  }
  CHECK_OK(mdnsreg_log_set(MDNSREG_LOG_TRACE, NULL, &sinks[i], on_free, NULL));
  CHECK(sinks[i].freed == 1);
  AWAIT(get(&sinks[i - 1].freed) == 1);
  work();
  for (i = 0; i < 3; i++) CHECK(sinks[i].lines == 0);
  CHECK(sinks[rounds + 3].lines == 0);
  free(sinks);
  return done();
}
