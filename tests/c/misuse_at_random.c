/* Calls in random order, with random handles (live, stale, of any type, garbage) and random texts, from several threads:
 * each returns a documented status, none is a defect, and nothing is left behind. */
#include "check.h"

#define THREADS 4
#define SLOTS 48

#define LEDGER 1000000

static void *slots[SLOTS];
/* Every handle there was, to be closed at the end. */
static void *ledger[LEDGER];
static int written;
static int opened[2], closed[2], users, freed;

/* The texts: good, bad, and NULL. */
static const char *const texts[] = {
    NULL, "", "{", "{}", "[]", "null", "greeter", "\xff", "{\"service\":\"greeter\"}", "{\"queue\":1}",
    "{\"service\":\"\"}", "{\"timeout_ms\":5}", "{\"timeout_ms\":-1}", "{\"ttl_ms\":5000,\"auto_renew\":false}",
    "{\"name\":\"greeter\"}", "{\"name\":\"greeter\",\"nodes\":[]}",
    "{\"name\":\"greeter\",\"nodes\":[{\"id\":\"1\",\"address\":\"127.0.0.1\",\"port\":4711}]}",
    "{\"name\":\"greeter\",\"version\":\"2\",\"nodes\":[{\"id\":\"1\",\"address\":\"127.0.0.1\",\"port\":4712}]}",
    "{\"name\":\"other\",\"nodes\":[{\"id\":\"\xf0\x9f\x98\x80\",\"address\":\"127.0.0.1\",\"port\":1}]}",
    "{\"name\":\"greeter\",\"nodes\":[{\"id\":\"1\",\"address\":\"\",\"port\":0}]}", "{\"link\":\"native\"}",
};

struct dice {
  uint64_t state;
};

static uint32_t roll(struct dice *dice, uint32_t sides) {
  dice->state = dice->state * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(dice->state >> 33) % sides;
}

static void *pick(struct dice *dice) {
  uintptr_t garbage;
  if (roll(dice, 10) == 0) return NULL;
  if (roll(dice, 20) == 0) {
    garbage = (uintptr_t)roll(dice, UINT32_MAX) << roll(dice, 32);
    return (void *)garbage;
  }
  if (roll(dice, 20) == 0) {
    char *near_one = (char *)__atomic_load_n(&slots[roll(dice, SLOTS)], __ATOMIC_SEQ_CST);
    garbage = (uintptr_t)near_one + roll(dice, 64) - 32;
    return (void *)garbage;
  }
  return __atomic_load_n(&slots[roll(dice, SLOTS)], __ATOMIC_SEQ_CST);
}

static void put(struct dice *dice, void *handle) {
  int line;
  if (handle == NULL) return;
  line = add(&written, 1) - 1;
  CHECK(line < LEDGER);
  ledger[line] = handle;
  __atomic_store_n(&slots[roll(dice, SLOTS)], handle, __ATOMIC_SEQ_CST);
}

static const char *text(struct dice *dice) { return texts[roll(dice, sizeof texts / sizeof texts[0])]; }

static void on_event(const mdnsreg_event *event, void *user_data) {
  (void)user_data;
  CHECK(mdnsreg_event_json(event) != NULL);
}

/* Starts, stops and closes from inside: the user data are dice of its own. */
static void on_event_act(const mdnsreg_event *event, void *user_data) {
  struct dice *dice = (struct dice *)user_data;
  mdnsreg_status status;
  CHECK(mdnsreg_event_type(event) != NULL);
  if (roll(dice, 4) != 0) return;
  status = mdnsreg_watch_stop((mdnsreg_watch *)pick(dice), 0);
  CHECK(mdnsreg_status_name(status) != NULL && status != MDNSREG_ERR_PANIC);
}

static void on_free(void *user_data) {
  free(user_data);
  add(&freed, 1);
}

static mdnsreg_status start(struct dice *dice, mdnsreg_error **err) {
  struct dice *own = (struct dice *)malloc(sizeof *own);
  CHECK(own != NULL);
  own->state = roll(dice, UINT32_MAX);
  add(&users, 1);
  return mdnsreg_watch_start((mdnsreg_watch *)pick(dice), on_event_act, own, on_free, err);
}

static mdnsreg_status open_one(struct dice *dice, mdnsreg_error **err) {
  mdnsreg_registry *registry = NULL;
  mdnsreg_status status;
  if (get(&opened[0]) - get(&closed[0]) > 6) return MDNSREG_OK;
  status = mdnsreg_open(OPTIONS, &registry, err);
  CHECK_OK(status);
  add(&opened[0], 1);
  put(dice, registry);
  return status;
}

static mdnsreg_status watch_one(struct dice *dice, mdnsreg_error **err) {
  mdnsreg_watch *watch = NULL;
  mdnsreg_status status;
  if (get(&opened[1]) - get(&closed[1]) > 60) return MDNSREG_OK;
  status = mdnsreg_watch_open((mdnsreg_registry *)pick(dice), text(dice), &watch, err);
  CHECK((status == MDNSREG_OK) == (watch != NULL));
  if (status == MDNSREG_OK) add(&opened[1], 1);
  put(dice, watch);
  return status;
}

static mdnsreg_status close_one(struct dice *dice, int which) {
  void *handle = pick(dice);
  mdnsreg_status status =
      which == 0 ? mdnsreg_close((mdnsreg_registry *)handle) : mdnsreg_watch_close((mdnsreg_watch *)handle);
  if (status == MDNSREG_OK || status == MDNSREG_DEFERRED) add(&closed[which], 1);
  return status;
}

static mdnsreg_status one_call(struct dice *dice, mdnsreg_error **err) {
  mdnsreg_event *event = NULL;
  mdnsreg_status status = MDNSREG_OK;
  char *json = NULL;
  int32_t n = 0;
  switch (roll(dice, 22)) {
    case 0: case 1:
      return open_one(dice, err);
    case 2: case 3: case 4:
      return watch_one(dice, err);
    case 5:
      return roll(dice, 4) == 0 ? close_one(dice, 0) : MDNSREG_OK;
    case 6: case 7:
      return close_one(dice, 1);
    case 8: case 9:
      status = mdnsreg_register((mdnsreg_registry *)pick(dice), text(dice), text(dice), err);
      break;
    case 10:
      status = mdnsreg_deregister((mdnsreg_registry *)pick(dice), text(dice), err);
      break;
    case 11:
      status = mdnsreg_init((mdnsreg_registry *)pick(dice), "{\"timeout_ms\":2}", err);
      break;
    case 12:
      status = mdnsreg_get_service((mdnsreg_registry *)pick(dice), "greeter", &json, err);
      break;
    case 13:
      status = mdnsreg_stats((mdnsreg_registry *)pick(dice), &json, err);
      break;
    case 14: case 15:
      status = mdnsreg_watch_next((mdnsreg_watch *)pick(dice), (int64_t)roll(dice, 3), &event, err);
      CHECK((status == MDNSREG_OK) == (event != NULL));
      put(dice, event);
      if (event != NULL && roll(dice, 2) == 0) mdnsreg_event_free(event);
      break;
    case 16:
      status = mdnsreg_watch_dispatch((mdnsreg_watch *)pick(dice), 3, on_event, NULL, &n, err);
      break;
    case 17:
      return start(dice, err);
    case 18:
      status = mdnsreg_watch_stop((mdnsreg_watch *)pick(dice), (int64_t)roll(dice, 3));
      break;
    case 19:
      status = mdnsreg_watch_fd((mdnsreg_watch *)pick(dice), &n, err);
      break;
    case 20:
      status = mdnsreg_event_free((mdnsreg_event *)pick(dice));
      break;
    default:
      mdnsreg_error_free((mdnsreg_error *)pick(dice));
      break;
  }
  if (roll(dice, 4) != 0) mdnsreg_string_free(json);
  else if (json != NULL) mdnsreg_string_free(json), mdnsreg_string_free(json);
  return status;
}

static int calls;

static void *play(void *argument) {
  struct dice dice;
  int i;
  dice.state = (uint64_t)(uintptr_t)argument;
  for (i = 0; i < calls; i++) {
    mdnsreg_error *err = NULL;
    mdnsreg_status status = one_call(&dice, &err);
    CHECK(mdnsreg_status_name(status) != NULL);
    if (status == MDNSREG_ERR_PANIC) fprintf(stderr, "%s\n", err ? mdnsreg_error_message(err) : "a defect");
    CHECK(status != MDNSREG_ERR_PANIC && status != MDNSREG_ERR_FORKED && status != MDNSREG_ERR_NOMEM);
    /* Some are kept for others to misuse. */
    if (err != NULL && roll(&dice, 3) == 0) put(&dice, err);
    mdnsreg_error_free(err);
  }
  return NULL;
}

int main(int argc, char **argv) {
  int fds = count_fds(), threads = count_threads(), i;
  mdnsreg_registry *stays = open_registry();
  pthread_t players[THREADS];
  calls = argument(argc, argv, 20000);
  CHECK_OK(mdnsreg_init(stays, "{\"timeout_ms\":2}", NULL));
  for (i = 0; i < THREADS; i++) {
    CHECK(pthread_create(&players[i], NULL, play, (void *)(uintptr_t)(i + 1)) == 0);
  }
  for (i = 0; i < THREADS; i++) pthread_join(players[i], NULL);
  CHECK_OK(mdnsreg_close(stays));
  for (i = 0; i < written; i++) {
    if (mdnsreg_close((mdnsreg_registry *)ledger[i]) == MDNSREG_OK) add(&closed[0], 1);
    if (mdnsreg_watch_close((mdnsreg_watch *)ledger[i]) == MDNSREG_OK) add(&closed[1], 1);
    mdnsreg_event_free((mdnsreg_event *)ledger[i]);
  }
  /* Each was closed exactly once, however many tried. */
  CHECK(opened[0] == closed[0] && opened[1] == closed[1]);
  AWAIT(get(&users) == get(&freed));
  AWAIT(count_threads() == threads && count_fds() == fds);
  return done();
}
