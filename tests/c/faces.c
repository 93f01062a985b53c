/* The three faces of the queue tell the same events, and one excludes the others. */
#include "check.h"
#include <poll.h>

#define ROOM 65536

/* What one watch was told: a line per event with its JSON. */
struct story {
  mdnsreg_watch *watch;
  int events, freed;
  size_t length;
  char text[ROOM];
};

static void note(struct story *story, const mdnsreg_event *event) {
  const char *json = mdnsreg_event_json(event);
  CHECK(json != NULL && story->length + strlen(json) + 2 < ROOM);
  story->length += (size_t)sprintf(story->text + story->length, "%s\n", json);
  if (strcmp(mdnsreg_event_type(event), "service") == 0) {
    CHECK(strstr(json, mdnsreg_event_action(event)) != NULL);
    CHECK(strstr(json, mdnsreg_event_reason(event)) != NULL);
    CHECK(strstr(json, mdnsreg_event_key(event)) != NULL);
    CHECK(strstr(json, mdnsreg_event_service(event)) != NULL);
  }
  add(&story->events, 1);
}

static void on_event(const mdnsreg_event *event, void *user_data) { note((struct story *)user_data, event); }

static void on_free(void *user_data) { add(&((struct story *)user_data)->freed, 1); }

/* Each kind of change, with what the events of `stories` watches must be after each. */
static void live(mdnsreg_registry *registry) {
  static const char *changed =
      "{\"name\":\"greeter\",\"version\":\"1\",\"metadata\":{\"\xc3\xa4\":\"=\"},"
      "\"nodes\":[{\"id\":\"1\",\"address\":\"127.0.0.1\",\"port\":4800,\"metadata\":{\"k\":\"v\"}}]}";
  int i;
  char id[16];
  for (i = 1; i <= 20; i++) {
    snprintf(id, sizeof id, "%d", i);
    register_node(registry, "greeter", id, 4700 + i);
  }
  CHECK_OK(mdnsreg_register(registry, changed, NULL, NULL));
  CHECK_OK(mdnsreg_deregister(registry, "{\"name\":\"greeter\",\"nodes\":[{\"id\":\"2\"},{\"id\":\"3\"}]}", NULL));
  register_node(registry, "last", "1", 4999);
  CHECK_OK(mdnsreg_deregister(registry, "{\"name\":\"last\"}", NULL));
}

/* 1 synced, 20 create, 1 update, 2 delete, 1 create, 1 delete; a change of service metadata that reaches the other
 * nodes as updates is counted by the first face. */
static int pull(struct story *story) {
  for (;;) {
    mdnsreg_event *event = NULL;
    int last;
    CHECK_OK(mdnsreg_watch_next(story->watch, DEADLINE_MS, &event, NULL));
    note(story, event);
    last = mdnsreg_event_action(event) != NULL && strcmp(mdnsreg_event_action(event), "delete") == 0 &&
           strstr(mdnsreg_event_service(event), "\"last\"") != NULL;
    CHECK_OK(mdnsreg_event_free(event));
    if (last) return story->events;
  }
}

static void loop(struct story *story, int count) {
  struct pollfd poll_fd;
  int32_t fd = -1, n = 0;
  CHECK_OK(mdnsreg_watch_fd(story->watch, &fd, NULL));
  while (get(&story->events) < count) {
    poll_fd.fd = fd;
    poll_fd.events = POLLIN;
    CHECK(poll(&poll_fd, 1, DEADLINE_MS) == 1);
    CHECK_OK(mdnsreg_watch_dispatch(story->watch, 3, on_event, story, &n, NULL));
    CHECK(n >= 1 && n <= 3);
  }
  poll_fd.fd = fd;
  poll_fd.events = POLLIN;
  CHECK(poll(&poll_fd, 1, 0) == 0);
  CHECK_STATUS(mdnsreg_watch_dispatch(story->watch, -1, on_event, story, &n, NULL), MDNSREG_EMPTY);
}

/* The descriptor with next in place of dispatch. */
static void loop_next(struct story *story, int count) {
  int32_t fd = -1;
  CHECK_OK(mdnsreg_watch_fd(story->watch, &fd, NULL));
  while (get(&story->events) < count) {
    struct pollfd poll_fd;
    mdnsreg_event *event = NULL;
    mdnsreg_status status;
    poll_fd.fd = fd;
    poll_fd.events = POLLIN;
    CHECK(poll(&poll_fd, 1, DEADLINE_MS) == 1);
    while ((status = mdnsreg_watch_next(story->watch, 0, &event, NULL)) == MDNSREG_OK) {
      note(story, event);
      CHECK_OK(mdnsreg_event_free(event));
    }
    CHECK_STATUS(status, MDNSREG_EMPTY);
  }
}

static void exclusive(struct story *pulled, struct story *looped, struct story *pushed) {
  mdnsreg_event *event = NULL;
  int32_t fd = 0, n = 0;
  int freed = pushed->freed;
  CHECK_STATUS(mdnsreg_watch_dispatch(pulled->watch, -1, on_event, pulled, &n, NULL), MDNSREG_ERR_BUSY);
  CHECK_STATUS(mdnsreg_watch_start(pulled->watch, on_event, pushed, on_free, NULL), MDNSREG_ERR_BUSY);
  CHECK_STATUS(mdnsreg_watch_next(looped->watch, 0, &event, NULL), MDNSREG_ERR_BUSY);
  CHECK_STATUS(mdnsreg_watch_start(looped->watch, on_event, pushed, on_free, NULL), MDNSREG_ERR_BUSY);
  CHECK_STATUS(mdnsreg_watch_next(pushed->watch, 0, &event, NULL), MDNSREG_ERR_BUSY);
  CHECK_STATUS(mdnsreg_watch_dispatch(pushed->watch, -1, on_event, pushed, &n, NULL), MDNSREG_ERR_BUSY);
  CHECK_STATUS(mdnsreg_watch_fd(pushed->watch, &fd, NULL), MDNSREG_ERR_BUSY);
  CHECK_STATUS(mdnsreg_watch_start(pushed->watch, on_event, pushed, on_free, NULL), MDNSREG_ERR_BUSY);
  /* The free function ran for each refused start. */
  CHECK(get(&pushed->freed) == freed + 3 && fd == -1);
}

static struct story descriptor_only;

/* The descriptor goes with pull and loop, and excludes push. */
static void exclusive_fd(mdnsreg_registry *registry, struct story *pushed) {
  mdnsreg_watch *watch = open_watch(registry, NULL);
  mdnsreg_error *err = NULL;
  int32_t fd = -1, n = 0;
  int freed = pushed->freed;
  CHECK_OK(mdnsreg_watch_fd(watch, &fd, NULL));
  CHECK_STATUS(mdnsreg_watch_start(watch, on_event, pushed, on_free, &err), MDNSREG_ERR_BUSY);
  CHECK(strstr(mdnsreg_error_message(err), "mdnsreg_watch_fd") != NULL);
  mdnsreg_error_free(err);
  CHECK(get(&pushed->freed) == freed + 1);
  CHECK_OK(mdnsreg_watch_dispatch(watch, 1, on_event, &descriptor_only, &n, NULL));
  CHECK_OK(mdnsreg_watch_fd(watch, &fd, NULL));
  CHECK_OK(mdnsreg_watch_close(watch));
}

static struct story stories[4];

int main(void) {
  mdnsreg_registry *registry = open_registry();
  struct pollfd poll_fd;
  int32_t fd = -1;
  int i, count;
  for (i = 0; i < 4; i++) stories[i].watch = open_watch(registry, NULL);
  /* Everyone is past the first state before anything changes, so that all see each change. */
  for (i = 0; i < 4; i++) {
    int32_t n = 0;
    mdnsreg_event *event = NULL;
    if (i == 2) {
      CHECK_OK(mdnsreg_watch_start(stories[i].watch, on_event, &stories[i], on_free, NULL));
    } else if (i == 1) {
      while (stories[i].events == 0) mdnsreg_watch_dispatch(stories[i].watch, 1, on_event, &stories[i], &n, NULL);
    } else {
      CHECK_OK(mdnsreg_watch_next(stories[i].watch, DEADLINE_MS, &event, NULL));
      note(&stories[i], event);
      CHECK_OK(mdnsreg_event_free(event));
    }
    AWAIT(get(&stories[i].events) == 1);
    CHECK_TEXT(stories[i].text, "{\"type\":\"synced\"}\n");
  }
  live(registry);
  count = pull(&stories[0]);
  CHECK(count >= 26);
  loop(&stories[1], count);
  AWAIT(get(&stories[2].events) == count);
  loop_next(&stories[3], count);
  exclusive(&stories[0], &stories[1], &stories[2]);
  exclusive_fd(registry, &stories[2]);
  CHECK_OK(mdnsreg_watch_stop(stories[2].watch, DEADLINE_MS));
  CHECK(get(&stories[2].freed) == 5);
  for (i = 1; i < 4; i++) CHECK_TEXT(stories[i].text, stories[0].text);

  /* The end of a watch is readable as well. */
  CHECK_OK(mdnsreg_watch_fd(stories[3].watch, &fd, NULL));
  CHECK_OK(mdnsreg_close(registry));
  poll_fd.fd = fd;
  poll_fd.events = POLLIN;
  CHECK(poll(&poll_fd, 1, DEADLINE_MS) == 1);
  for (i = 0; i < 4; i++) {
    mdnsreg_event *event = NULL;
    int32_t n = 0;
    if (i == 1) CHECK_STATUS(mdnsreg_watch_dispatch(stories[i].watch, -1, on_event, &stories[i], &n, NULL), MDNSREG_END);
    if (i == 0 || i == 3) CHECK_STATUS(mdnsreg_watch_next(stories[i].watch, -1, &event, NULL), MDNSREG_END);
    CHECK_OK(mdnsreg_watch_close(stories[i].watch));
  }
  return done();
}
