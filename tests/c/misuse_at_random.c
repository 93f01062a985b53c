/* Calls in random order, with random handles (live, stale, of any type, garbage) and random texts, from several threads:
 * each returns a status that its comment lists, none is a defect, and nothing is left behind. */
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
    "{\"addrs\":5}", "{\"addrs\":[5]}", "{\"domain\":1}", "{\"wire\":[]}", "{\"timeout_ms\":\"2\"}",
    "{\"queue\":\"1\"}", "{\"service\":1}", "{\"ttl_ms\":true}", "{\"auto_renew\":1}",
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

/* The status of a call, which must be among those that the comment of the function lists. Left out are those which
 * nothing here may cause: FORKED, PANIC, and BUSY where it says that the log callback made the call. */
static mdnsreg_status among(const char *call, mdnsreg_status status, const mdnsreg_status *listed, size_t count) {
  size_t i;
  for (i = 0; i < count; i++) {
    if (listed[i] == status) return status;
  }
  fprintf(stderr, "%s is %d, which its comment does not list\n", call, (int)status);
  abort();
}

#define LISTED(call, ...)                                                           \
  do {                                                                              \
    static const mdnsreg_status listed_[] = {MDNSREG_OK, __VA_ARGS__};              \
    status = among(#call, (call), listed_, sizeof listed_ / sizeof listed_[0]);     \
    (void)status;                                                                   \
  } while (0)

/* Of every call with a handle. */
#define MISUSE MDNSREG_ERR_NULL, MDNSREG_ERR_HANDLE, MDNSREG_ERR_CLOSED, MDNSREG_ERR_TYPE
/* Of every call with JSON. */
#define BAD_JSON MDNSREG_ERR_UTF8, MDNSREG_ERR_JSON, MDNSREG_ERR_TOO_LARGE

/* Starts, stops and closes from inside: the user data are dice of its own. */
static void on_event_act(const mdnsreg_event *event, void *user_data) {
  struct dice *dice = (struct dice *)user_data;
  mdnsreg_status status;
  CHECK(mdnsreg_event_type(event) != NULL);
  if (roll(dice, 4) != 0) return;
  LISTED(mdnsreg_watch_stop((mdnsreg_watch *)pick(dice), 0), MISUSE, MDNSREG_DEFERRED, MDNSREG_ERR_INVALID,
         MDNSREG_ERR_BUSY);
}

static void on_free(void *user_data) {
  free(user_data);
  add(&freed, 1);
}

static void start(struct dice *dice, mdnsreg_error **err) {
  struct dice *own = (struct dice *)malloc(sizeof *own);
  mdnsreg_status status;
  CHECK(own != NULL);
  own->state = roll(dice, UINT32_MAX);
  add(&users, 1);
  LISTED(mdnsreg_watch_start((mdnsreg_watch *)pick(dice), on_event_act, own, on_free, err), MISUSE,
         MDNSREG_ERR_NETWORK, MDNSREG_ERR_BUSY);
}

static void open_one(struct dice *dice, mdnsreg_error **err) {
  mdnsreg_registry *registry = NULL;
  mdnsreg_status status;
  if (get(&opened[0]) - get(&closed[0]) > 6) return;
  if (roll(dice, 4) == 0) {
    LISTED(mdnsreg_default(&registry, err), MDNSREG_ERR_NULL, MDNSREG_ERR_JSON, MDNSREG_ERR_OPTION,
           MDNSREG_ERR_TOO_LARGE, MDNSREG_ERR_NETWORK, MDNSREG_ERR_NOMEM, MDNSREG_ERR_UNSUPPORTED);
    CHECK_OK(status);
  } else {
    int any = roll(dice, 2) == 0;
    LISTED(mdnsreg_open(any ? text(dice) : OPTIONS, &registry, err), MDNSREG_ERR_NULL, BAD_JSON, MDNSREG_ERR_OPTION,
           MDNSREG_ERR_NETWORK, MDNSREG_ERR_NOMEM, MDNSREG_ERR_UNSUPPORTED);
    CHECK(any || status == MDNSREG_OK);
  }
  CHECK((status == MDNSREG_OK) == (registry != NULL));
  if (status == MDNSREG_OK) add(&opened[0], 1);
  put(dice, registry);
}

static void watch_one(struct dice *dice, mdnsreg_error **err) {
  mdnsreg_watch *watch = NULL;
  mdnsreg_status status;
  if (get(&opened[1]) - get(&closed[1]) > 60) return;
  LISTED(mdnsreg_watch_open((mdnsreg_registry *)pick(dice), text(dice), &watch, err), MISUSE, BAD_JSON,
         MDNSREG_ERR_OPTION, MDNSREG_ERR_INVALID, MDNSREG_ERR_NETWORK, MDNSREG_ERR_NOMEM);
  CHECK((status == MDNSREG_OK) == (watch != NULL));
  if (status == MDNSREG_OK) add(&opened[1], 1);
  put(dice, watch);
}

static void close_registry(struct dice *dice) {
  mdnsreg_status status;
  LISTED(mdnsreg_close((mdnsreg_registry *)pick(dice)), MISUSE, MDNSREG_DEFERRED);
  if (status == MDNSREG_OK || status == MDNSREG_DEFERRED) add(&closed[0], 1);
}

static void close_watch(struct dice *dice) {
  mdnsreg_status status;
  LISTED(mdnsreg_watch_close((mdnsreg_watch *)pick(dice)), MISUSE);
  if (status == MDNSREG_OK) add(&closed[1], 1);
}

static void next(struct dice *dice, mdnsreg_error **err) {
  mdnsreg_event *event = NULL;
  mdnsreg_status status;
  int64_t limit = roll(dice, 50) == 0 ? -2 : (int64_t)roll(dice, 3);
  LISTED(mdnsreg_watch_next((mdnsreg_watch *)pick(dice), limit, &event, err), MISUSE, MDNSREG_EMPTY, MDNSREG_END,
         MDNSREG_ERR_INVALID, MDNSREG_ERR_NOMEM, MDNSREG_ERR_BUSY);
  CHECK((status == MDNSREG_OK) == (event != NULL));
  put(dice, event);
  if (event != NULL && roll(dice, 2) == 0) mdnsreg_event_free(event);
}

/* A verb that gives text. */
static void ask(struct dice *dice, mdnsreg_error **err) {
  mdnsreg_registry *registry = (mdnsreg_registry *)pick(dice);
  mdnsreg_status status;
  char *json = NULL;
  switch (roll(dice, 8)) {
    case 6:
      LISTED(mdnsreg_json_get(text(dice), text(dice), &json, err), MDNSREG_ERR_NULL, MDNSREG_ERR_UTF8, MDNSREG_ERR_JSON,
             MDNSREG_ERR_INVALID);
      break;
    case 7:
      LISTED(mdnsreg_json_quote(text(dice), &json, err), MDNSREG_ERR_NULL, MDNSREG_ERR_UTF8);
      break;
    case 0:
      LISTED(mdnsreg_options(registry, &json, err), MISUSE);
      break;
    case 1:
      LISTED(mdnsreg_stats(registry, &json, err), MISUSE);
      break;
    case 2:
      LISTED(mdnsreg_list_services(registry, &json, err), MISUSE, MDNSREG_ERR_CANCELLED, MDNSREG_ERR_NETWORK);
      break;
    default:
      LISTED(mdnsreg_get_service(registry, roll(dice, 4) == 0 ? text(dice) : "greeter", &json, err), MISUSE,
             MDNSREG_ERR_UTF8, MDNSREG_ERR_INVALID, MDNSREG_ERR_TOO_LARGE, MDNSREG_ERR_NOT_FOUND,
             MDNSREG_ERR_CANCELLED, MDNSREG_ERR_NETWORK);
      break;
  }
  CHECK((status == MDNSREG_OK) == (json != NULL));
  mdnsreg_string_free(json);
  if (json != NULL && roll(dice, 4) == 0) mdnsreg_string_free(json);
}

static void one_call(struct dice *dice, mdnsreg_error **err) {
  const char *options = "{\"timeout_ms\":2}";
  mdnsreg_status status;
  int32_t n = 0;
  switch (roll(dice, 22)) {
    case 0: case 1:
      open_one(dice, err);
      break;
    case 2: case 3: case 4:
      watch_one(dice, err);
      break;
    case 5:
      if (roll(dice, 4) == 0) close_registry(dice);
      break;
    case 6: case 7:
      close_watch(dice);
      break;
    case 8: case 9:
      LISTED(mdnsreg_register((mdnsreg_registry *)pick(dice), text(dice), text(dice), err), MISUSE, BAD_JSON,
             MDNSREG_ERR_OPTION, MDNSREG_ERR_INVALID, MDNSREG_ERR_CANCELLED, MDNSREG_ERR_NETWORK);
      break;
    case 10:
      LISTED(mdnsreg_deregister((mdnsreg_registry *)pick(dice), text(dice), err), MISUSE, BAD_JSON,
             MDNSREG_ERR_INVALID, MDNSREG_ERR_CANCELLED, MDNSREG_ERR_NETWORK);
      break;
    case 11:
      if (roll(dice, 4) == 0) options = text(dice);
      LISTED(mdnsreg_init((mdnsreg_registry *)pick(dice), options, err), MISUSE, BAD_JSON, MDNSREG_ERR_OPTION,
             MDNSREG_ERR_NETWORK, MDNSREG_ERR_UNSUPPORTED, MDNSREG_ERR_BUSY);
      break;
    case 12: case 13:
      ask(dice, err);
      break;
    case 14: case 15:
      next(dice, err);
      break;
    case 16:
      n = (int32_t)roll(dice, 4);
      LISTED(mdnsreg_watch_dispatch((mdnsreg_watch *)pick(dice), n, on_event, NULL, &n, err), MISUSE, MDNSREG_EMPTY,
             MDNSREG_END, MDNSREG_ERR_INVALID, MDNSREG_ERR_NOMEM, MDNSREG_ERR_BUSY);
      break;
    case 17:
      start(dice, err);
      break;
    case 18:
      LISTED(mdnsreg_watch_stop((mdnsreg_watch *)pick(dice), (int64_t)roll(dice, 3)), MISUSE, MDNSREG_DEFERRED,
             MDNSREG_ERR_INVALID, MDNSREG_ERR_BUSY);
      break;
    case 19:
      LISTED(mdnsreg_watch_fd((mdnsreg_watch *)pick(dice), &n, err), MISUSE, MDNSREG_ERR_NETWORK, MDNSREG_ERR_BUSY);
      break;
    case 20:
      LISTED(mdnsreg_event_free((mdnsreg_event *)pick(dice)), MISUSE, MDNSREG_ERR_BUSY);
      break;
    default:
      mdnsreg_error_free((mdnsreg_error *)pick(dice));
      break;
  }
}

static int calls;

static void *play(void *argument) {
  struct dice dice;
  int i;
  dice.state = (uint64_t)(uintptr_t)argument;
  for (i = 0; i < calls; i++) {
    mdnsreg_error *err = NULL;
    one_call(&dice, &err);
    if (err != NULL) CHECK(mdnsreg_error_code(err) != MDNSREG_ERR_NOMEM);
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
