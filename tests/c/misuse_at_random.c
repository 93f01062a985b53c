/* Calls in random order, with random handles (live, stale, of any type, garbage) and random texts, from several threads:
 * each returns a status that its comment lists, none is a defect, and nothing is left behind.
 *
 * misuse_at_random [CALLS [SEED [THREADS]]]: with a seed it prints how often each status was seen. One thread plays the
 * same game for the same seed again, but for what the library's own threads do meanwhile. */
#include "hostile.h"

#include <signal.h>

#define MOST_THREADS 64
#define QUICK "{\"addrs\":[\"127.0.0.1\"],\"timeout_ms\":2}"
#define NODE "{\"name\":\"greeter\",\"nodes\":[{\"id\":\"3\",\"port\":1}]}"
/* Handles of each type that the players share. For a new one an old one is closed, unless somebody has. */
#define SLOTS 32

enum kind { REGISTRY, WATCH, EVENT, ERROR, KINDS };

static void *slots[KINDS][SLOTS];
static int opened[KINDS], closed[KINDS], users, freed;
static int64_t made, seen[STATUSES];
static int seed = 1;

static void *slot(struct dice *dice, enum kind kind) {
  return __atomic_load_n(&slots[kind][roll(dice, SLOTS)], __ATOMIC_SEQ_CST);
}

/* Mostly of the type that is wanted, live or stale. */
static void *pick(struct dice *dice, enum kind kind) {
  switch (roll(dice, 20)) {
    case 0:
      return NULL;
    case 1:
      return (void *)((uintptr_t)roll(dice, UINT32_MAX) << roll(dice, 32));
    case 2:
      return (void *)((uintptr_t)slot(dice, kind) + roll(dice, 64) - 32);
    case 3: case 4:
      return slot(dice, (enum kind)roll(dice, KINDS));
    default:
      return slot(dice, kind);
  }
}

static mdnsreg_registry *registry(struct dice *dice) { return (mdnsreg_registry *)pick(dice, REGISTRY); }
static mdnsreg_watch *watch(struct dice *dice) { return (mdnsreg_watch *)pick(dice, WATCH); }
static mdnsreg_event *event(struct dice *dice) { return (mdnsreg_event *)pick(dice, EVENT); }
static mdnsreg_error *error(struct dice *dice) { return (mdnsreg_error *)pick(dice, ERROR); }

/* Each was closed exactly once, however many try. */
static void let_go(void *handle) {
  mdnsreg_status status;
  if (handle == NULL) return;
  status = mdnsreg_close((mdnsreg_registry *)handle);
  if (status == MDNSREG_OK || status == MDNSREG_DEFERRED) add(&closed[REGISTRY], 1);
  if (mdnsreg_watch_close((mdnsreg_watch *)handle) == MDNSREG_OK) add(&closed[WATCH], 1);
  mdnsreg_event_free((mdnsreg_event *)handle);
  mdnsreg_error_free((mdnsreg_error *)handle);
}

static void put(struct dice *dice, enum kind kind, void *handle) {
  if (handle != NULL) let_go(__atomic_exchange_n(&slots[kind][roll(dice, SLOTS)], handle, __ATOMIC_SEQ_CST));
}

/* Adds what a player has counted to the sums. */
static void sum_up(const struct dice *dice) {
  int i;
  __atomic_add_fetch(&made, dice->calls, __ATOMIC_SEQ_CST);
  for (i = 0; i < STATUSES; i++) __atomic_add_fetch(&seen[i], dice->seen[i], __ATOMIC_SEQ_CST);
}

/* The status of a call, which must be among those that the comment of the function lists. Left out are those which
 * nothing here may cause: FORKED, PANIC, and BUSY where it says that the log callback made the call. */
static mdnsreg_status among(struct dice *dice, const char *call, mdnsreg_status status, const mdnsreg_status *listed,
                            size_t count) {
  size_t i;
  for (i = 0; i < count; i++) {
    if (listed[i] == status) {
      dice->calls++;
      dice->seen[status - MDNSREG_ERR_PANIC]++;
      return status;
    }
  }
  fprintf(stderr, "%s is %d, which its comment does not list\n", call, (int)status);
  abort();
}

#define LISTED(call, ...)                                                           \
  do {                                                                              \
    static const mdnsreg_status listed_[] = {MDNSREG_OK, __VA_ARGS__};              \
    status = among(dice, #call, (call), listed_, sizeof listed_ / sizeof listed_[0]);\
    (void)status;                                                                   \
  } while (0)

/* Of every call with a handle. */
#define MISUSE MDNSREG_ERR_NULL, MDNSREG_ERR_HANDLE, MDNSREG_ERR_CLOSED, MDNSREG_ERR_TYPE
/* Of every call with JSON. */
#define BAD_JSON MDNSREG_ERR_UTF8, MDNSREG_ERR_JSON, MDNSREG_ERR_TOO_LARGE

/* What an accessor gave for a handle that others may be closing: there or not, and not to be read. */
static void accessed(struct dice *dice, const void *text) {
  (void)text;
  dice->calls++;
}

static void access_error(struct dice *dice, const mdnsreg_error *error) {
  accessed(dice, mdnsreg_error_message(error));
  accessed(dice, mdnsreg_error_json(error));
  CHECK(mdnsreg_status_name(mdnsreg_error_code(error)) != NULL);
  dice->calls += 2;
}

static void access_event(struct dice *dice, const mdnsreg_event *event) {
  accessed(dice, mdnsreg_event_type(event));
  accessed(dice, mdnsreg_event_action(event));
  accessed(dice, mdnsreg_event_reason(event));
  accessed(dice, mdnsreg_event_key(event));
  accessed(dice, mdnsreg_event_service(event));
  accessed(dice, mdnsreg_event_json(event));
}

/* What asks for no handle. */
static void constants(struct dice *dice) {
  int32_t number = (int32_t)roll(dice, 64) - 40;
  const char *name = mdnsreg_status_name(number), *meaning = mdnsreg_status_text(number);
  mdnsreg_status status;
  CHECK((name == NULL) == (meaning == NULL));
  CHECK_TEXT(mdnsreg_version(), MDNSREG_VERSION);
  CHECK(mdnsreg_abi_version() == MDNSREG_ABI_VERSION);
  dice->calls += 4;
  LISTED(mdnsreg_abi_check(number, NULL), MDNSREG_ERR_VERSION);
  CHECK((status == MDNSREG_OK) == (number == MDNSREG_ABI_VERSION));
}

/* In the event's own callback its texts are there to be read. */
static void on_event(const mdnsreg_event *event, void *user_data) {
  access_event((struct dice *)user_data, event);
  CHECK(strlen(mdnsreg_event_json(event)) > 0);
}

/* Starts, stops and closes from inside: the user data are dice of its own. */
static void on_event_act(const mdnsreg_event *event, void *user_data) {
  struct dice *dice = (struct dice *)user_data;
  mdnsreg_status status;
  on_event(event, dice);
  if (roll(dice, 4) != 0) return;
  LISTED(mdnsreg_watch_stop(watch(dice), 0), MISUSE, MDNSREG_DEFERRED, MDNSREG_ERR_INVALID,
         MDNSREG_ERR_BUSY);
}

static void on_free(void *user_data) {
  sum_up((struct dice *)user_data);
  free(user_data);
  add(&freed, 1);
}

/* User data for a callback of this game. */
static struct dice *new_dice(struct dice *dice) {
  struct dice *own = (struct dice *)calloc(1, sizeof *own);
  CHECK(own != NULL);
  own->state = roll(dice, UINT32_MAX);
  add(&users, 1);
  return own;
}

static void start(struct dice *dice, mdnsreg_error **err) {
  mdnsreg_status status;
  LISTED(mdnsreg_watch_start(watch(dice), on_event_act, new_dice(dice), on_free, err), MISUSE,
         MDNSREG_ERR_NETWORK, MDNSREG_ERR_BUSY);
}

/* Breaks the rule of the log callback, on several threads at once. */
static void on_log(int32_t level, const char *target, const char *message, void *user_data) {
  void *handle = __atomic_load_n(&slots[WATCH][strlen(message) % SLOTS], __ATOMIC_SEQ_CST);
  CHECK(level > MDNSREG_LOG_OFF && target != NULL && user_data != NULL);
  CHECK_STATUS(mdnsreg_watch_close((mdnsreg_watch *)handle), MDNSREG_ERR_BUSY);
}

static void set_log(struct dice *dice, mdnsreg_error **err) {
  mdnsreg_status status;
  LISTED(mdnsreg_log_set((int32_t)roll(dice, 8) - 1, on_log, new_dice(dice), on_free, err), MDNSREG_ERR_OPTION,
         MDNSREG_ERR_UNSUPPORTED);
}

static void open_one(struct dice *dice, mdnsreg_error **err) {
  mdnsreg_registry *opening = NULL;
  mdnsreg_status status;
  if (roll(dice, 4) == 0) {
    LISTED(mdnsreg_default(&opening, err), MDNSREG_ERR_NULL, MDNSREG_ERR_JSON, MDNSREG_ERR_OPTION,
           MDNSREG_ERR_TOO_LARGE, MDNSREG_ERR_NETWORK, MDNSREG_ERR_NOMEM, MDNSREG_ERR_UNSUPPORTED);
    CHECK_OK(status);
  } else {
    int any = roll(dice, 2) == 0;
    LISTED(mdnsreg_open(any ? text(dice) : QUICK, &opening, err), MDNSREG_ERR_NULL, BAD_JSON, MDNSREG_ERR_OPTION,
           MDNSREG_ERR_NETWORK, MDNSREG_ERR_NOMEM, MDNSREG_ERR_UNSUPPORTED);
    CHECK(any || status == MDNSREG_OK);
  }
  CHECK((status == MDNSREG_OK) == (opening != NULL));
  if (status == MDNSREG_OK) add(&opened[REGISTRY], 1);
  put(dice, REGISTRY, opening);
}

static void watch_one(struct dice *dice, mdnsreg_error **err) {
  mdnsreg_watch *opening = NULL;
  mdnsreg_status status;
  LISTED(mdnsreg_watch_open(registry(dice), roll(dice, 2) == 0 ? NULL : text(dice), &opening, err), MISUSE, BAD_JSON,
         MDNSREG_ERR_OPTION, MDNSREG_ERR_INVALID, MDNSREG_ERR_NETWORK, MDNSREG_ERR_NOMEM);
  CHECK((status == MDNSREG_OK) == (opening != NULL));
  if (status == MDNSREG_OK) add(&opened[WATCH], 1);
  put(dice, WATCH, opening);
}

static void close_registry(struct dice *dice) {
  mdnsreg_status status;
  LISTED(mdnsreg_close(registry(dice)), MISUSE, MDNSREG_DEFERRED);
  if (status == MDNSREG_OK || status == MDNSREG_DEFERRED) add(&closed[REGISTRY], 1);
}

static void close_watch(struct dice *dice) {
  mdnsreg_status status;
  LISTED(mdnsreg_watch_close(watch(dice)), MISUSE);
  if (status == MDNSREG_OK) add(&closed[WATCH], 1);
}

static void take(struct dice *dice, mdnsreg_error **err) {
  mdnsreg_event *next = NULL;
  mdnsreg_status status;
  int64_t limit = roll(dice, 50) == 0 ? -2 : (int64_t)roll(dice, 3);
  LISTED(mdnsreg_watch_next(watch(dice), limit, &next, err), MISUSE, MDNSREG_EMPTY, MDNSREG_END,
         MDNSREG_ERR_INVALID, MDNSREG_ERR_NOMEM, MDNSREG_ERR_BUSY);
  CHECK((status == MDNSREG_OK) == (next != NULL));
  put(dice, EVENT, next);
}

/* A verb that gives text. */
static void ask(struct dice *dice, mdnsreg_error **err) {
  mdnsreg_status status;
  char *json = NULL;
  switch (roll(dice, 8)) {
    case 6:
      LISTED(mdnsreg_json_get(text(dice), text(dice), &json, err), MDNSREG_ERR_NULL, MDNSREG_ERR_UTF8, MDNSREG_ERR_JSON,
             MDNSREG_ERR_INVALID, MDNSREG_ERR_NOMEM);
      break;
    case 7:
      LISTED(mdnsreg_json_quote(text(dice), &json, err), MDNSREG_ERR_NULL, MDNSREG_ERR_UTF8, MDNSREG_ERR_NOMEM);
      break;
    case 0:
      LISTED(mdnsreg_options(registry(dice), &json, err), MISUSE, MDNSREG_ERR_NOMEM);
      break;
    case 1:
      LISTED(mdnsreg_stats(registry(dice), &json, err), MISUSE, MDNSREG_ERR_NOMEM);
      break;
    case 2:
      LISTED(mdnsreg_list_services(registry(dice), &json, err), MISUSE, MDNSREG_ERR_CANCELLED, MDNSREG_ERR_NETWORK, MDNSREG_ERR_NOMEM);
      break;
    default:
      LISTED(mdnsreg_get_service(registry(dice), roll(dice, 4) == 0 ? text(dice) : "greeter", &json, err), MISUSE,
             MDNSREG_ERR_UTF8, MDNSREG_ERR_INVALID, MDNSREG_ERR_TOO_LARGE, MDNSREG_ERR_NOT_FOUND,
             MDNSREG_ERR_CANCELLED, MDNSREG_ERR_NETWORK, MDNSREG_ERR_NOMEM);
      break;
  }
  CHECK((status == MDNSREG_OK) == (json != NULL));
  dice->calls++;
  mdnsreg_string_free(json);
  if (json != NULL && roll(dice, 4) == 0) mdnsreg_string_free(json);
}

static void one_call(struct dice *dice, mdnsreg_error **err) {
  mdnsreg_status status;
  int32_t n = 0;
  switch (roll(dice, 26)) {
    case 0:
      if (roll(dice, 8) == 0) open_one(dice, err);
      break;
    case 1:
      if (roll(dice, 50) == 0) close_registry(dice);
      break;
    case 2: case 3:
      watch_one(dice, err);
      break;
    case 4:
      if (roll(dice, 8) == 0) close_watch(dice);
      break;
    case 5: case 6: case 7:
      take(dice, err);
      break;
    case 8: case 9:
      LISTED(mdnsreg_register(registry(dice), roll(dice, 2) == 0 ? NODE : text(dice), roll(dice, 2) == 0 ? NULL : text(dice),
                              err), MISUSE, BAD_JSON,
             MDNSREG_ERR_OPTION, MDNSREG_ERR_INVALID, MDNSREG_ERR_CANCELLED, MDNSREG_ERR_NETWORK, MDNSREG_ERR_NOMEM);
      break;
    case 10:
      LISTED(mdnsreg_deregister(registry(dice), text(dice), err), MISUSE, BAD_JSON,
             MDNSREG_ERR_INVALID, MDNSREG_ERR_CANCELLED, MDNSREG_ERR_NETWORK, MDNSREG_ERR_NOMEM);
      break;
    case 11:
      LISTED(mdnsreg_init(registry(dice), roll(dice, 4) == 0 ? text(dice) : QUICK, err), MISUSE, BAD_JSON, MDNSREG_ERR_OPTION,
             MDNSREG_ERR_NETWORK, MDNSREG_ERR_UNSUPPORTED, MDNSREG_ERR_BUSY, MDNSREG_ERR_NOMEM);
      break;
    case 12: case 13:
      ask(dice, err);
      break;
    case 14: case 15: case 16:
      n = (int32_t)roll(dice, 4);
      LISTED(mdnsreg_watch_dispatch(watch(dice), n, on_event, dice, &n, err), MISUSE, MDNSREG_EMPTY,
             MDNSREG_END, MDNSREG_ERR_INVALID, MDNSREG_ERR_NOMEM, MDNSREG_ERR_BUSY);
      break;
    case 17:
      start(dice, err);
      break;
    case 18:
      LISTED(mdnsreg_watch_stop(watch(dice), (int64_t)roll(dice, 3)), MISUSE, MDNSREG_DEFERRED,
             MDNSREG_ERR_INVALID, MDNSREG_ERR_BUSY);
      break;
    case 19:
      LISTED(mdnsreg_watch_fd(watch(dice), &n, err), MISUSE, MDNSREG_ERR_NETWORK, MDNSREG_ERR_BUSY);
      break;
    case 20:
      LISTED(mdnsreg_event_free(event(dice)), MISUSE, MDNSREG_ERR_BUSY);
      break;
    case 21:
      mdnsreg_string_free((char *)pick(dice, EVENT));
      accessed(dice, mdnsreg_string(registry(dice)));
      break;
    case 22:
      access_event(dice, event(dice));
      break;
    case 23:
      access_error(dice, error(dice));
      break;
    case 24:
      if (roll(dice, 8) == 0) set_log(dice, err);
      constants(dice);
      break;
    default:
      dice->calls++;
      mdnsreg_error_free(error(dice));
      break;
  }
}

static int64_t calls_each;

static void *play(void *argument) {
  struct dice dice;
  memset(&dice, 0, sizeof dice);
  dice.state = (uint64_t)(uintptr_t)argument;
  while (dice.calls < calls_each) {
    mdnsreg_error *err = NULL;
    one_call(&dice, &err);
    if (err != NULL) CHECK(mdnsreg_error_code(err) != MDNSREG_ERR_NOMEM);
    /* Some are kept for others to misuse. */
    if (roll(&dice, 3) == 0) {
      put(&dice, ERROR, err);
    } else {
      mdnsreg_error_free(err);
    }
  }
  sum_up(&dice);
  return NULL;
}

static void say_seed(int signal) {
  char line[64];
  int length = snprintf(line, sizeof line, "misuse_at_random: the seed was %d\n", seed);
  if (write(STDERR_FILENO, line, (size_t)length) < 0) _exit(signal);
}

static void report(void) {
  int i;
  printf("calls %lld\n", (long long)made);
  for (i = 0; i < STATUSES; i++) {
    if (seen[i] > 0) printf("%-12s %lld\n", mdnsreg_status_name(i + MDNSREG_ERR_PANIC), (long long)seen[i]);
  }
}

int main(int argc, char **argv) {
  int fds = count_fds(), alone = count_threads(), threads = argc > 3 ? atoi(argv[3]) : 4, i;
  mdnsreg_registry *stays = open_registry();
  pthread_t players[MOST_THREADS];
  CHECK(threads > 0 && threads <= MOST_THREADS);
  calls_each = argument(argc, argv, 80000) / threads;
  if (argc > 2) seed = atoi(argv[2]);
  signal(SIGABRT, say_seed);
  make_giants();
  CHECK(setenv("MDNS_REGISTRY_OPTIONS", QUICK, 1) == 0);
  for (i = 0; i < threads; i++) {
    CHECK(pthread_create(&players[i], NULL, play, (void *)(uintptr_t)(seed * MOST_THREADS + i)) == 0);
  }
  for (i = 0; i < threads; i++) pthread_join(players[i], NULL);
  CHECK_OK(mdnsreg_close(stays));
  for (i = 0; i < KINDS * SLOTS; i++) let_go(slots[i / SLOTS][i % SLOTS]);
  CHECK(opened[REGISTRY] == closed[REGISTRY] && opened[WATCH] == closed[WATCH]);
  CHECK_OK(mdnsreg_log_set(MDNSREG_LOG_OFF, NULL, NULL, NULL, NULL));
  AWAIT(get(&users) == get(&freed));
  AWAIT(count_threads() == alone && count_fds() == fds);
  free_giants();
  if (argc > 2) report();
  return done();
}
