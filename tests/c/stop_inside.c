/* A callback may stop and close its own watch and its registry, and call all else. */
#include "check.h"

enum deed { STOP, CLOSE_WATCH, CLOSE_REGISTRY, USE_ALL, DEEDS };

struct story {
  enum deed deed;
  mdnsreg_registry *registry;
  mdnsreg_watch *watch;
  int calls, freed;
};

static void use_all(struct story *story, const mdnsreg_event *event) {
  char *json = NULL;
  mdnsreg_event *none = NULL;
  mdnsreg_watch *watch;
  /* The event is ours to read, not to free, nor is it another thing. */
  CHECK(mdnsreg_event_json(event) != NULL);
  CHECK_STATUS(mdnsreg_event_free((mdnsreg_event *)(uintptr_t)event), MDNSREG_ERR_BUSY);
  CHECK_STATUS(mdnsreg_watch_close((mdnsreg_watch *)(uintptr_t)event), MDNSREG_ERR_TYPE);
  register_node(story->registry, "inside", "1", 4000);
  CHECK_OK(mdnsreg_get_service(story->registry, "inside", &json, NULL));
  mdnsreg_string_free(json);
  CHECK_OK(mdnsreg_deregister(story->registry, "{\"name\":\"inside\"}", NULL));
  CHECK_STATUS(mdnsreg_watch_next(story->watch, 0, &none, NULL), MDNSREG_ERR_BUSY);
  watch = open_watch(story->registry, "{\"service\":\"other\"}");
  CHECK_OK(mdnsreg_watch_next(watch, DEADLINE_MS, &none, NULL));
  CHECK_OK(mdnsreg_event_free(none));
  CHECK_OK(mdnsreg_watch_stop(watch, -1));
  CHECK_OK(mdnsreg_watch_close(watch));
}

static void on_event(const mdnsreg_event *event, void *user_data) {
  struct story *story = (struct story *)user_data;
  CHECK(get(&story->freed) == 0);
  if (add(&story->calls, 1) > 1) return;
  CHECK_TEXT(mdnsreg_event_type(event), "service");
  switch (story->deed) {
    case STOP:
      CHECK_STATUS(mdnsreg_watch_stop(story->watch, -1), MDNSREG_DEFERRED);
      CHECK_STATUS(mdnsreg_watch_stop(story->watch, 0), MDNSREG_DEFERRED);
      break;
    case CLOSE_WATCH:
      CHECK_OK(mdnsreg_watch_close(story->watch));
      CHECK_STATUS(mdnsreg_watch_close(story->watch), MDNSREG_ERR_CLOSED);
      break;
    case CLOSE_REGISTRY:
      CHECK_STATUS(mdnsreg_close(story->registry), MDNSREG_DEFERRED);
      break;
    default:
      use_all(story, event);
      break;
  }
  /* It lives to the end of the call, whatever was closed. */
  CHECK_TEXT(mdnsreg_event_action(event), "create");
}

static void on_free(void *user_data) {
  struct story *story = (struct story *)user_data;
  CHECK(get(&story->calls) >= 1);
  add(&story->freed, 1);
}

static void begin(struct story *story, enum deed deed) {
  memset(story, 0, sizeof *story);
  story->deed = deed;
  story->registry = open_registry();
  register_node(story->registry, "greeter", "1", 4711);
  register_node(story->registry, "greeter", "2", 4712);
  story->watch = open_watch(story->registry, "{\"service\":\"greeter\"}");
}

static void end(struct story *story) {
  if (story->deed == USE_ALL) CHECK_OK(mdnsreg_watch_stop(story->watch, DEADLINE_MS));
  CHECK_STATUS(mdnsreg_watch_close(story->watch), story->deed == CLOSE_WATCH ? MDNSREG_ERR_CLOSED : MDNSREG_OK);
  CHECK_STATUS(mdnsreg_close(story->registry), story->deed == CLOSE_REGISTRY ? MDNSREG_ERR_CLOSED : MDNSREG_OK);
}

static void pushed(enum deed deed) {
  struct story story;
  begin(&story, deed);
  CHECK_OK(mdnsreg_watch_start(story.watch, on_event, &story, on_free, NULL));
  if (deed == USE_ALL) {
    AWAIT(get(&story.calls) >= 3);
    CHECK_OK(mdnsreg_watch_stop(story.watch, DEADLINE_MS));
  }
  AWAIT(get(&story.freed) == 1);
  if (deed == STOP) CHECK_OK(mdnsreg_watch_stop(story.watch, DEADLINE_MS));
  /* Nothing was told after the callback in which the watch ended. */
  if (deed != USE_ALL) CHECK(get(&story.calls) == 1);
  end(&story);
  CHECK(get(&story.freed) == 1);
}

static void dispatched(enum deed deed) {
  struct story story;
  mdnsreg_status status = MDNSREG_EMPTY;
  int32_t n = 0;
  begin(&story, deed);
  while (status == MDNSREG_EMPTY) status = mdnsreg_watch_dispatch(story.watch, -1, on_event, &story, &n, NULL);
  CHECK_OK(status);
  if (deed != USE_ALL) {
    CHECK(n == 1 && story.calls == 1);
    status = mdnsreg_watch_dispatch(story.watch, -1, on_event, &story, &n, NULL);
    CHECK_STATUS(status, deed == CLOSE_WATCH ? MDNSREG_ERR_CLOSED : MDNSREG_END);
    CHECK(n == 0 && story.calls == 1);
  }
  end(&story);
}

int main(void) {
  int deed;
  for (deed = 0; deed < DEEDS; deed++) {
    pushed((enum deed)deed);
    dispatched((enum deed)deed);
  }
  return done();
}
