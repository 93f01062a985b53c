/* With every handle in use the next is refused; no event is lost; and all goes on when some are freed. */
#include "check.h"

#define MOST 65536

static int told = 0;

static void on_event(const mdnsreg_event *event, void *user_data) {
  (void)event;
  (void)user_data;
  add(&told, 1);
}

int main(void) {
  static mdnsreg_error *errors[MOST];
  mdnsreg_registry *registry = open_registry(), *none = NULL;
  mdnsreg_watch *pulled, *looped, *pushed, *no_watch = NULL;
  mdnsreg_event *event = NULL;
  mdnsreg_error *err = NULL;
  int32_t n = 0;
  int count = 0, i;
  pulled = open_watch(registry, NULL);
  looped = open_watch(registry, NULL);
  pushed = open_watch(registry, NULL);

  for (;;) {
    CHECK_STATUS(mdnsreg_open(NULL, NULL, &err), MDNSREG_ERR_NULL);
    if (mdnsreg_error_code(err) == MDNSREG_ERR_NOMEM) break;
    CHECK(count < MOST);
    errors[count++] = err;
  }
  CHECK(count == MOST - 4);
  CHECK(strstr(mdnsreg_error_message(err), "65536") != NULL);
  mdnsreg_error_free(err);

  CHECK_STATUS(mdnsreg_open(OPTIONS, &none, NULL), MDNSREG_ERR_NOMEM);
  CHECK_STATUS(mdnsreg_watch_open(registry, NULL, &no_watch, NULL), MDNSREG_ERR_NOMEM);
  CHECK_STATUS(mdnsreg_watch_next(pulled, DEADLINE_MS, &event, NULL), MDNSREG_ERR_NOMEM);
  AWAIT(mdnsreg_watch_dispatch(looped, -1, on_event, NULL, &n, NULL) == MDNSREG_ERR_NOMEM);
  CHECK_OK(mdnsreg_watch_start(pushed, on_event, NULL, NULL, NULL));
  CHECK(none == NULL && no_watch == NULL && event == NULL && n == 0);
  pause_ms(20);
  CHECK(get(&told) == 0);

  for (i = 0; i < count; i++) mdnsreg_error_free(errors[i]);
  CHECK_OK(mdnsreg_watch_next(pulled, DEADLINE_MS, &event, NULL));
  CHECK_TEXT(mdnsreg_event_type(event), "synced");
  CHECK_OK(mdnsreg_event_free(event));
  CHECK_OK(mdnsreg_watch_dispatch(looped, -1, on_event, NULL, &n, NULL));
  CHECK(n == 1);
  AWAIT(get(&told) == 2);
  CHECK_OK(mdnsreg_watch_close(pulled));
  CHECK_OK(mdnsreg_watch_close(looped));
  CHECK_OK(mdnsreg_watch_stop(pushed, DEADLINE_MS));
  CHECK_OK(mdnsreg_watch_close(pushed));
  CHECK_OK(mdnsreg_close(registry));
  return done();
}
