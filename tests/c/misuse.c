/* Every misuse of every handle has its status, takes no effect and harms nothing. */
#include "check.h"

typedef mdnsreg_status (*call)(void *handle, mdnsreg_error **err);

static char *text = NULL;

/* A text that a failed call left where it should have put NULL is freed like any other: valgrind would see it. */
static mdnsreg_status with_text(mdnsreg_status status) {
  CHECK((status == MDNSREG_OK) == (text != NULL));
  mdnsreg_string_free(text);
  return status;
}

static void on_event(const mdnsreg_event *event, void *user_data) {
  (void)event;
  (void)user_data;
  CHECK(!"called back");
}

#define TEXT_MARK ((char *)(void *)&text)

static mdnsreg_status init(void *h, mdnsreg_error **err) { return mdnsreg_init((mdnsreg_registry *)h, "{}", err); }
static mdnsreg_status options(void *h, mdnsreg_error **err) {
  text = TEXT_MARK;
  return with_text(mdnsreg_options((mdnsreg_registry *)h, &text, err));
}
static mdnsreg_status register_(void *h, mdnsreg_error **err) {
  return mdnsreg_register((mdnsreg_registry *)h, "{\"name\":\"a\",\"nodes\":[{\"id\":\"1\",\"address\":\"127.0.0.1\",\"port\":1}]}",
                          NULL, err);
}
static mdnsreg_status deregister(void *h, mdnsreg_error **err) {
  return mdnsreg_deregister((mdnsreg_registry *)h, "{\"name\":\"a\"}", err);
}
static mdnsreg_status get_service(void *h, mdnsreg_error **err) {
  text = TEXT_MARK;
  return with_text(mdnsreg_get_service((mdnsreg_registry *)h, "a", &text, err));
}
static mdnsreg_status list_services(void *h, mdnsreg_error **err) {
  text = TEXT_MARK;
  return with_text(mdnsreg_list_services((mdnsreg_registry *)h, &text, err));
}
static mdnsreg_status stats(void *h, mdnsreg_error **err) {
  text = TEXT_MARK;
  return with_text(mdnsreg_stats((mdnsreg_registry *)h, &text, err));
}
static mdnsreg_status watch_open(void *h, mdnsreg_error **err) {
  mdnsreg_watch *watch = (mdnsreg_watch *)(void *)&text;
  mdnsreg_status status = mdnsreg_watch_open((mdnsreg_registry *)h, NULL, &watch, err);
  CHECK((status == MDNSREG_OK) == (watch != NULL));
  if (watch != NULL) CHECK_OK(mdnsreg_watch_close(watch));
  return status;
}
static mdnsreg_status close_(void *h, mdnsreg_error **err) {
  (void)err;
  return mdnsreg_close((mdnsreg_registry *)h);
}

static mdnsreg_status watch_next(void *h, mdnsreg_error **err) {
  mdnsreg_event *event = (mdnsreg_event *)(void *)&text;
  mdnsreg_status status = mdnsreg_watch_next((mdnsreg_watch *)h, 0, &event, err);
  CHECK((status == MDNSREG_OK) == (event != NULL));
  if (event != NULL) CHECK_OK(mdnsreg_event_free(event));
  return status == MDNSREG_EMPTY ? MDNSREG_OK : status;
}
static mdnsreg_status watch_fd(void *h, mdnsreg_error **err) {
  int32_t fd = 77;
  mdnsreg_status status = mdnsreg_watch_fd((mdnsreg_watch *)h, &fd, err);
  CHECK((status == MDNSREG_OK) == (fd >= 0));
  return status;
}
static mdnsreg_status watch_dispatch(void *h, mdnsreg_error **err) {
  int32_t n = 77;
  mdnsreg_status status = mdnsreg_watch_dispatch((mdnsreg_watch *)h, -1, on_event, NULL, &n, err);
  CHECK(n == 0);
  /* The live watch is read with mdnsreg_watch_next already. */
  return status == MDNSREG_ERR_BUSY ? MDNSREG_OK : status;
}
static mdnsreg_status watch_start(void *h, mdnsreg_error **err) {
  mdnsreg_status status = mdnsreg_watch_start((mdnsreg_watch *)h, on_event, NULL, NULL, err);
  return status == MDNSREG_ERR_BUSY ? MDNSREG_OK : status;
}
static mdnsreg_status watch_stop(void *h, mdnsreg_error **err) {
  (void)err;
  return mdnsreg_watch_stop((mdnsreg_watch *)h, 0);
}
static mdnsreg_status watch_close(void *h, mdnsreg_error **err) {
  (void)err;
  return mdnsreg_watch_close((mdnsreg_watch *)h);
}

static mdnsreg_status event_free(void *h, mdnsreg_error **err) {
  (void)err;
  return mdnsreg_event_free((mdnsreg_event *)h);
}

/* The closing call is the last of each. */
static const call of_registry[] = {init, options, register_, get_service, list_services,
                                   stats, deregister, watch_open, close_};
static const call of_watch[] = {watch_next, watch_fd, watch_dispatch, watch_start, watch_stop, watch_close};
static const call of_event[] = {event_free};

#define COUNT(array) (int)(sizeof(array) / sizeof((array)[0]))

static void refuse(const call *calls, int count, void *handle, mdnsreg_status wanted) {
  int i;
  for (i = 0; i < count; i++) {
    mdnsreg_error *err = NULL;
    CHECK_STATUS(calls[i](handle, &err), wanted);
    if (err != NULL) {
      CHECK_STATUS(mdnsreg_error_code(err), wanted);
      CHECK(strlen(mdnsreg_error_message(err)) > 5);
      CHECK(strstr(mdnsreg_error_json(err), "\"message\":") != NULL);
      mdnsreg_error_free(err);
    }
    CHECK_STATUS(calls[i](handle, NULL), wanted);
  }
}

static void refuse_all(void *handle, mdnsreg_status wanted) {
  refuse(of_registry, COUNT(of_registry), handle, wanted);
  refuse(of_watch, COUNT(of_watch), handle, wanted);
  refuse(of_event, COUNT(of_event), handle, wanted);
  CHECK(mdnsreg_string((mdnsreg_registry *)handle) == NULL);
  CHECK(mdnsreg_event_type((mdnsreg_event *)handle) == NULL);
  CHECK(mdnsreg_event_action((mdnsreg_event *)handle) == NULL);
  CHECK(mdnsreg_event_reason((mdnsreg_event *)handle) == NULL);
  CHECK(mdnsreg_event_key((mdnsreg_event *)handle) == NULL);
  CHECK(mdnsreg_event_service((mdnsreg_event *)handle) == NULL);
  CHECK(mdnsreg_event_json((mdnsreg_event *)handle) == NULL);
  CHECK_STATUS(mdnsreg_error_code((mdnsreg_error *)handle), wanted);
  CHECK(mdnsreg_error_message((mdnsreg_error *)handle) == NULL);
  CHECK(mdnsreg_error_json((mdnsreg_error *)handle) == NULL);
  mdnsreg_error_free((mdnsreg_error *)handle);
}

static void accept_all(const call *calls, int count, void *handle) {
  int i;
  for (i = 0; i < count - 1; i++) CHECK_OK(calls[i](handle, NULL));
}

static mdnsreg_error *open_error(void) {
  mdnsreg_error *err = NULL;
  CHECK_STATUS(mdnsreg_open("{", NULL, &err), MDNSREG_ERR_NULL);
  CHECK(err != NULL);
  return err;
}

static mdnsreg_event *open_event(mdnsreg_registry *registry) {
  mdnsreg_watch *watch = open_watch(registry, NULL);
  mdnsreg_event *event = NULL;
  CHECK_OK(mdnsreg_watch_next(watch, DEADLINE_MS, &event, NULL));
  CHECK_OK(mdnsreg_watch_close(watch));
  return event;
}

int main(void) {
  uint64_t on_stack[16];
  static uint64_t in_data[16];
  void *on_heap = malloc(256);
  mdnsreg_registry *registry = open_registry();
  mdnsreg_watch *watch = open_watch(registry, "{\"service\":\"nobody\"}");
  mdnsreg_event *event = open_event(registry);
  mdnsreg_error *error = open_error();
  void *live[4], *stale[4];
  int i, k;

  memset(on_stack, 0xab, sizeof on_stack);
  memset(on_heap, 0xcd, 256);

  refuse_all(NULL, MDNSREG_ERR_NULL);
  refuse_all(on_stack, MDNSREG_ERR_HANDLE);
  refuse_all(in_data, MDNSREG_ERR_HANDLE);
  refuse_all(on_heap, MDNSREG_ERR_HANDLE);
  refuse_all((void *)(uintptr_t)1, MDNSREG_ERR_HANDLE);
  refuse_all((void *)(uintptr_t)0xdeadbeef, MDNSREG_ERR_HANDLE);
  refuse_all((void *)UINTPTR_MAX, MDNSREG_ERR_HANDLE);
  refuse_all((void *)(UINTPTR_MAX / 2), MDNSREG_ERR_HANDLE);
  free(on_heap);

  /* Another's handle. */
  live[0] = registry, live[1] = watch, live[2] = event, live[3] = error;
  for (i = 0; i < 4; i++) {
    if (i != 0) refuse(of_registry, COUNT(of_registry), live[i], MDNSREG_ERR_TYPE);
    if (i != 1) refuse(of_watch, COUNT(of_watch), live[i], MDNSREG_ERR_TYPE);
    if (i != 2) refuse(of_event, COUNT(of_event), live[i], MDNSREG_ERR_TYPE);
    if (i != 0) CHECK(mdnsreg_string((mdnsreg_registry *)live[i]) == NULL);
    if (i != 2) CHECK(mdnsreg_event_json((mdnsreg_event *)live[i]) == NULL);
    if (i != 3) CHECK_STATUS(mdnsreg_error_code((mdnsreg_error *)live[i]), MDNSREG_ERR_TYPE);
    if (i != 3) mdnsreg_error_free((mdnsreg_error *)live[i]);
    /* An address beside a live one. */
    for (k = 1; k < 32; k++) {
      void *beside = (char *)live[i] + k;
      mdnsreg_status status = mdnsreg_watch_close((mdnsreg_watch *)beside);
      CHECK(status == MDNSREG_ERR_CLOSED || status == MDNSREG_ERR_HANDLE);
    }
  }

  /* None of it took effect. */
  accept_all(of_registry, COUNT(of_registry), registry);
  accept_all(of_watch, COUNT(of_watch), watch);
  CHECK_TEXT(mdnsreg_string(registry), "mdns");
  CHECK(mdnsreg_event_type(event) != NULL);
  CHECK_STATUS(mdnsreg_error_code(error), MDNSREG_ERR_NULL);

  /* Closed once, stale for good, also when others have been opened since. */
  memcpy(stale, live, sizeof stale);
  CHECK_OK(mdnsreg_watch_close(watch));
  CHECK_OK(mdnsreg_event_free(event));
  mdnsreg_error_free(error);
  CHECK_OK(mdnsreg_close(registry));
  for (k = 0; k < 2; k++) {
    for (i = 0; i < 4; i++) refuse_all(stale[i], MDNSREG_ERR_CLOSED);
    registry = open_registry();
    watch = open_watch(registry, "{\"service\":\"nobody\"}");
    event = open_event(registry);
    error = open_error();
    for (i = 0; i < 4; i++) refuse_all(stale[i], MDNSREG_ERR_CLOSED);
    CHECK_OK(mdnsreg_event_free(event));
    CHECK_OK(mdnsreg_watch_close(watch));
    CHECK_OK(mdnsreg_close(registry));
    mdnsreg_error_free(error);
  }
  return done();
}
