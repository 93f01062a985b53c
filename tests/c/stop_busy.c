/* Stopping against a callback that does not return ends with a status, not with a deadlock. */
#include "check.h"

struct story {
  pthread_mutex_t lock;
  int calls, inside, go_on, freed;
};

/* Waits for what only the stopping thread can give. */
static void on_event(const mdnsreg_event *event, void *user_data) {
  struct story *story = (struct story *)user_data;
  (void)event;
  add(&story->calls, 1);
  set(&story->inside, 1);
  pthread_mutex_lock(&story->lock);
  pthread_mutex_unlock(&story->lock);
  AWAIT(get(&story->go_on));
  set(&story->inside, 0);
}

static void on_free(void *user_data) {
  struct story *story = (struct story *)user_data;
  CHECK(!get(&story->inside));
  add(&story->freed, 1);
}

static void begin(struct story *story) {
  memset(story, 0, sizeof *story);
  pthread_mutex_init(&story->lock, NULL);
  pthread_mutex_lock(&story->lock);
}

static void pushed(mdnsreg_registry *registry) {
  struct story story;
  mdnsreg_watch *watch = open_watch(registry, "{\"service\":\"greeter\"}");
  int64_t began;
  begin(&story);
  /* Two events wait, and start returns while the lock is held. */
  CHECK_OK(mdnsreg_watch_start(watch, on_event, &story, on_free, NULL));
  AWAIT(get(&story.inside));
  began = now_ms();
  CHECK_STATUS(mdnsreg_watch_stop(watch, 0), MDNSREG_ERR_BUSY);
  CHECK_STATUS(mdnsreg_watch_stop(watch, 100), MDNSREG_ERR_BUSY);
  CHECK(now_ms() - began >= 100);
  /* The lock cycle became a status: we can let the lock go. */
  pthread_mutex_unlock(&story.lock);
  CHECK_STATUS(mdnsreg_watch_stop(watch, 50), MDNSREG_ERR_BUSY);
  CHECK(get(&story.freed) == 0);
  set(&story.go_on, 1);
  CHECK_OK(mdnsreg_watch_stop(watch, DEADLINE_MS));
  CHECK(!get(&story.inside) && get(&story.calls) == 1 && get(&story.freed) == 1);
  CHECK_OK(mdnsreg_watch_stop(watch, 0));
  CHECK_OK(mdnsreg_watch_close(watch));
  pthread_mutex_destroy(&story.lock);
}

/* Closing waits for nobody; the user data outlives the callback. */
static void closed(mdnsreg_registry *registry) {
  struct story story;
  mdnsreg_watch *watch = open_watch(registry, "{\"service\":\"greeter\"}");
  int64_t began;
  begin(&story);
  CHECK_OK(mdnsreg_watch_start(watch, on_event, &story, on_free, NULL));
  AWAIT(get(&story.inside));
  began = now_ms();
  CHECK_OK(mdnsreg_watch_close(watch));
  CHECK(now_ms() - began < 5000);
  CHECK_STATUS(mdnsreg_watch_stop(watch, -1), MDNSREG_ERR_CLOSED);
  CHECK(get(&story.freed) == 0);
  pthread_mutex_unlock(&story.lock);
  set(&story.go_on, 1);
  AWAIT(get(&story.freed) == 1);
  CHECK(get(&story.calls) == 1);
  pthread_mutex_destroy(&story.lock);
}

struct loop {
  struct story *story;
  mdnsreg_watch *watch;
};

static void *dispatch(void *argument) {
  struct loop *loop = (struct loop *)argument;
  mdnsreg_status status = MDNSREG_EMPTY;
  int32_t n = 0;
  while (status == MDNSREG_EMPTY) status = mdnsreg_watch_dispatch(loop->watch, -1, on_event, loop->story, &n, NULL);
  CHECK_OK(status);
  CHECK(n == 1);
  CHECK_STATUS(mdnsreg_watch_dispatch(loop->watch, -1, on_event, loop->story, &n, NULL), MDNSREG_END);
  return NULL;
}

/* The same against a callback of dispatch on another thread. */
static void dispatched(mdnsreg_registry *registry) {
  struct story story;
  struct loop loop;
  pthread_t thread;
  int32_t n = 0;
  begin(&story);
  loop.story = &story;
  loop.watch = open_watch(registry, "{\"service\":\"greeter\"}");
  CHECK(pthread_create(&thread, NULL, dispatch, &loop) == 0);
  AWAIT(get(&story.inside));
  CHECK_STATUS(mdnsreg_watch_dispatch(loop.watch, 1, on_event, &story, &n, NULL), MDNSREG_ERR_BUSY);
  CHECK_STATUS(mdnsreg_watch_stop(loop.watch, 20), MDNSREG_ERR_BUSY);
  pthread_mutex_unlock(&story.lock);
  set(&story.go_on, 1);
  CHECK_OK(mdnsreg_watch_stop(loop.watch, DEADLINE_MS));
  CHECK(get(&story.calls) == 1);
  pthread_join(thread, NULL);
  CHECK_OK(mdnsreg_watch_close(loop.watch));
  pthread_mutex_destroy(&story.lock);
}

int main(void) {
  mdnsreg_registry *registry = open_registry();
  register_node(registry, "greeter", "1", 4711);
  register_node(registry, "greeter", "2", 4712);
  pushed(registry);
  closed(registry);
  dispatched(registry);
  CHECK_OK(mdnsreg_close(registry));
  return done();
}
