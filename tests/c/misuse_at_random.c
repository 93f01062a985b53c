/* Calls in random order, with random handles (live, stale, of any type, garbage) and random texts, from several threads
 * and from inside callbacks: each returns a status that its comment lists, none is a defect, and nothing is left behind.
 *
 * misuse_at_random [CALLS [SEED [report]]]: with a third argument it says how often each status was returned. One seed
 * gives each thread the same dice; how the threads meet is not in it. */
#include "check.h"

#include <signal.h>

#define THREADS 4
#define SLOTS 48

enum kind { REGISTRY, WATCH, EVENT, KINDS };

/* How many may be open at once. */
static const int most[KINDS] = {7, 60, 400};

static void *slots[SLOTS];
static int opened[KINDS], closed[KINDS], users, freed, over;

/* Every handle that is open, by its kind. */
#define LEDGER 1024
static void *ledger[KINDS][LEDGER];
static int written[KINDS];
static pthread_mutex_t ledger_lock = PTHREAD_MUTEX_INITIALIZER;

/* How often each status was returned. */
#define STATUSES 64
static uint64_t returned[STATUSES];

static unsigned long long seed = 1;

static void on_abort(int number) {
  (void)number;
  fprintf(stderr, "misuse_at_random failed with seed %llu\n", seed);
}

/* Lookups that nobody answers are to take no time. */
#define QUICK "{\"addrs\":[\"127.0.0.1\"],\"timeout_ms\":2}"

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

#define TEXT 20000

/* A long descriptor: more than may be read. */
static char *too_long;

struct dice {
  uint64_t state;
  int turn;
  char made[2][TEXT];
};

static uint32_t roll(struct dice *dice, uint32_t sides) {
  dice->state = dice->state * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(dice->state >> 33) % sides;
}

static void *pick_open(struct dice *dice, enum kind kind) {
  void *handle = NULL;
  pthread_mutex_lock(&ledger_lock);
  if (written[kind] > 0) handle = ledger[kind][roll(dice, (uint32_t)written[kind])];
  pthread_mutex_unlock(&ledger_lock);
  return handle;
}

/* A handle of this kind, or anything else. */
static void *pick(struct dice *dice, enum kind kind) {
  uintptr_t garbage;
  void *handle = roll(dice, 2) == 0 ? pick_open(dice, kind) : NULL;
  if (handle != NULL) return handle;
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

static void show(struct dice *dice, void *handle) {
  __atomic_store_n(&slots[roll(dice, SLOTS)], handle, __ATOMIC_SEQ_CST);
}

static void own(enum kind kind, void *handle) {
  add(&opened[kind], 1);
  pthread_mutex_lock(&ledger_lock);
  CHECK(written[kind] < LEDGER);
  ledger[kind][written[kind]++] = handle;
  pthread_mutex_unlock(&ledger_lock);
}

static void put(struct dice *dice, enum kind kind, void *handle) {
  if (handle == NULL) return;
  own(kind, handle);
  show(dice, handle);
}

static void forget(enum kind kind, void *handle) {
  void **all = ledger[kind];
  int i;
  pthread_mutex_lock(&ledger_lock);
  for (i = 0; i < written[kind] && all[i] != handle; i++) continue;
  if (i < written[kind]) all[i] = all[--written[kind]];
  pthread_mutex_unlock(&ledger_lock);
  add(&closed[kind], 1);
}

static int is_full(enum kind kind) { return get(&opened[kind]) - get(&closed[kind]) >= most[kind]; }

/* Brackets, objects in objects, or a string without end. */
static void make_deep(struct dice *dice, char *made) {
  static const char *const parts[] = {"[", "{\"name\":", "{\"nodes\":[", "a", "\xc3\xa4", "\\ud800"};
  const char *part = parts[roll(dice, sizeof parts / sizeof parts[0])];
  size_t length = strlen(part), used = 0, wanted = roll(dice, roll(dice, 8) == 0 ? TEXT - 64 : 600);
  if (roll(dice, 2) == 0) used = (size_t)sprintf(made, "{\"name\":\"");
  for (; used + length < wanted; used += length) memcpy(made + used, part, length);
  strcpy(made + used, roll(dice, 2) == 0 ? "\"}" : "");
}

/* A good text cut short, with bytes changed, or twice. */
static void make_broken(struct dice *dice, const char *good, char *made) {
  size_t length = strlen(good), flips;
  memcpy(made, good, length + 1);
  if (length == 0) return;
  switch (roll(dice, 3)) {
    case 0:
      made[roll(dice, (uint32_t)length)] = 0;
      break;
    case 1:
      for (flips = roll(dice, 4) + 1; flips > 0; flips--) {
        made[roll(dice, (uint32_t)length)] ^= (char)(1 << roll(dice, 8));
      }
      break;
    default:
      memcpy(made + length, good, length + 1);
      break;
  }
}

static const char *text(struct dice *dice) {
  const char *good = texts[roll(dice, sizeof texts / sizeof texts[0])];
  char *made = dice->made[dice->turn ^= 1];
  if (roll(dice, 4000) == 0) return too_long;
  switch (roll(dice, 8)) {
    case 0:
      make_deep(dice, made);
      return made;
    case 1: case 2: case 3:
      if (good == NULL) return NULL;
      make_broken(dice, good, made);
      return made;
    default:
      return good;
  }
}

static void on_event(const mdnsreg_event *event, void *user_data) {
  (void)user_data;
  CHECK(strlen(mdnsreg_event_json(event)) > 0);
}

/* The status of a call, which must be among those that the comment of the function lists. Left out are those which
 * nothing here may cause: FORKED, PANIC, and BUSY where it says that the log callback made the call. */
static mdnsreg_status among(const char *call, mdnsreg_status status, const mdnsreg_status *listed, size_t count) {
  size_t i;
  for (i = 0; i < count; i++) {
    if (listed[i] == status) {
      __atomic_add_fetch(&returned[status + STATUSES / 2], 1, __ATOMIC_RELAXED);
      return status;
    }
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

/* Makes calls from inside: the user data are dice of its own. */
static void on_event_act(const mdnsreg_event *event, void *user_data);

static void on_free(void *user_data) {
  free(user_data);
  add(&freed, 1);
}

static void start(struct dice *dice, mdnsreg_error **err) {
  struct dice *own = (struct dice *)malloc(sizeof *own);
  mdnsreg_status status;
  CHECK(own != NULL);
  own->state = roll(dice, UINT32_MAX);
  own->turn = 0;
  add(&users, 1);
  LISTED(mdnsreg_watch_start((mdnsreg_watch *)pick(dice, WATCH), on_event_act, own, on_free, err), MISUSE,
         MDNSREG_ERR_NETWORK, MDNSREG_ERR_BUSY);
}

static void open_one(struct dice *dice, mdnsreg_error **err) {
  mdnsreg_registry *registry = NULL;
  mdnsreg_status status;
  if (roll(dice, 4) == 0) {
    LISTED(mdnsreg_default(&registry, err), MDNSREG_ERR_NULL, MDNSREG_ERR_JSON, MDNSREG_ERR_OPTION,
           MDNSREG_ERR_TOO_LARGE, MDNSREG_ERR_NETWORK, MDNSREG_ERR_NOMEM, MDNSREG_ERR_UNSUPPORTED);
    CHECK_OK(status);
  } else {
    int any = roll(dice, 2) == 0;
    LISTED(mdnsreg_open(any ? text(dice) : QUICK, &registry, err), MDNSREG_ERR_NULL, BAD_JSON, MDNSREG_ERR_OPTION,
           MDNSREG_ERR_NETWORK, MDNSREG_ERR_NOMEM, MDNSREG_ERR_UNSUPPORTED);
    CHECK(any || status == MDNSREG_OK);
  }
  CHECK((status == MDNSREG_OK) == (registry != NULL));
  if (registry != NULL) (void)mdnsreg_init(registry, "{\"timeout_ms\":2}", NULL);
  put(dice, REGISTRY, registry);
}

static void watch_one(struct dice *dice, mdnsreg_error **err) {
  mdnsreg_watch *watch = NULL;
  mdnsreg_status status;
  LISTED(mdnsreg_watch_open((mdnsreg_registry *)pick(dice, REGISTRY), text(dice), &watch, err), MISUSE, BAD_JSON,
         MDNSREG_ERR_OPTION, MDNSREG_ERR_INVALID, MDNSREG_ERR_NETWORK, MDNSREG_ERR_NOMEM);
  CHECK((status == MDNSREG_OK) == (watch != NULL));
  put(dice, WATCH, watch);
}

static void close_registry(void *handle) {
  mdnsreg_status status;
  LISTED(mdnsreg_close((mdnsreg_registry *)handle), MISUSE, MDNSREG_DEFERRED);
  if (status == MDNSREG_OK || status == MDNSREG_DEFERRED) forget(REGISTRY, handle);
}

static void close_watch(void *handle) {
  mdnsreg_status status;
  LISTED(mdnsreg_watch_close((mdnsreg_watch *)handle), MISUSE);
  if (status == MDNSREG_OK) forget(WATCH, handle);
}

static void free_event(void *handle) {
  mdnsreg_status status;
  LISTED(mdnsreg_event_free((mdnsreg_event *)handle), MISUSE, MDNSREG_ERR_BUSY);
  if (status == MDNSREG_OK) forget(EVENT, handle);
}

static void next(struct dice *dice, mdnsreg_error **err) {
  mdnsreg_event *event = NULL;
  mdnsreg_status status;
  int64_t limit = roll(dice, 50) == 0 ? -2 : (int64_t)roll(dice, 3);
  LISTED(mdnsreg_watch_next((mdnsreg_watch *)pick(dice, WATCH), limit, &event, err), MISUSE, MDNSREG_EMPTY, MDNSREG_END,
         MDNSREG_ERR_INVALID, MDNSREG_ERR_NOMEM, MDNSREG_ERR_BUSY);
  CHECK((status == MDNSREG_OK) == (event != NULL));
  put(dice, EVENT, event);
  if (event != NULL && (is_full(EVENT) || roll(dice, 2) == 0)) free_event(event);
}

/* A verb that gives text. */
static void ask(struct dice *dice, mdnsreg_error **err) {
  mdnsreg_registry *registry = (mdnsreg_registry *)pick(dice, REGISTRY);
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
      LISTED(mdnsreg_options(registry, &json, err), MISUSE, MDNSREG_ERR_NOMEM);
      break;
    case 1:
      LISTED(mdnsreg_stats(registry, &json, err), MISUSE, MDNSREG_ERR_NOMEM);
      break;
    case 2:
      LISTED(mdnsreg_list_services(registry, &json, err), MISUSE, MDNSREG_ERR_CANCELLED, MDNSREG_ERR_NETWORK, MDNSREG_ERR_NOMEM);
      break;
    default:
      LISTED(mdnsreg_get_service(registry, roll(dice, 4) == 0 ? text(dice) : "greeter", &json, err), MISUSE,
             MDNSREG_ERR_UTF8, MDNSREG_ERR_INVALID, MDNSREG_ERR_TOO_LARGE, MDNSREG_ERR_NOT_FOUND,
             MDNSREG_ERR_CANCELLED, MDNSREG_ERR_NETWORK, MDNSREG_ERR_NOMEM);
      break;
  }
  CHECK((status == MDNSREG_OK) == (json != NULL));
  mdnsreg_string_free(json);
  if (json != NULL && roll(dice, 4) == 0) mdnsreg_string_free(json);
}

/* What reads a handle. Another thread may free it at any time, so the texts are not looked at. */
static void read_one(struct dice *dice) {
  mdnsreg_event *event = (mdnsreg_event *)pick(dice, EVENT);
  mdnsreg_error *error = (mdnsreg_error *)pick(dice, EVENT);
  const char *action, *type;
  switch (roll(dice, 12)) {
    case 0:
      type = mdnsreg_event_type(event);
      CHECK(type == NULL || strlen(type) > 4);
      break;
    case 1:
      action = mdnsreg_event_action(event);
      CHECK(action == NULL || strlen(action) == 6);
      break;
    case 2:
      (void)mdnsreg_event_reason(event);
      break;
    case 3:
      (void)mdnsreg_event_key(event);
      break;
    case 4:
      (void)mdnsreg_event_service(event);
      break;
    case 5:
      (void)mdnsreg_event_json(event);
      break;
    case 6:
      CHECK(mdnsreg_status_name(mdnsreg_error_code(error)) != NULL);
      break;
    case 7:
      (void)mdnsreg_error_message(error);
      break;
    case 8:
      (void)mdnsreg_error_json(error);
      break;
    case 9:
      (void)mdnsreg_string((mdnsreg_registry *)pick(dice, REGISTRY));
      break;
    case 10:
      mdnsreg_string_free((char *)pick(dice, EVENT));
      break;
    default:
      CHECK((mdnsreg_status_name((int32_t)roll(dice, 64) - 32) == NULL) ||
            mdnsreg_status_text(MDNSREG_OK) != NULL);
      CHECK(mdnsreg_version() != NULL && mdnsreg_abi_version() == MDNSREG_ABI_VERSION);
      break;
  }
}

static void on_line(int32_t level, const char *target, const char *message, void *user_data) {
  (void)user_data;
  CHECK(level >= MDNSREG_LOG_ERROR && level <= MDNSREG_LOG_TRACE && target != NULL && message != NULL);
}

/* Which library this is, and its log. */
static void set_log(struct dice *dice, mdnsreg_error **err) {
  mdnsreg_status status;
  if (roll(dice, 8) != 0) {
    LISTED(mdnsreg_abi_check((int32_t)roll(dice, 3) - 1, err), MDNSREG_ERR_VERSION);
    return;
  }
  add(&users, 1);
  LISTED(mdnsreg_log_set((int32_t)roll(dice, 8) - 1, roll(dice, 4) == 0 ? on_line : NULL, malloc(1), on_free, err),
         MDNSREG_ERR_OPTION, MDNSREG_ERR_UNSUPPORTED);
}

static void one_call(struct dice *dice, mdnsreg_error **err) {
  const char *options = "{\"timeout_ms\":2}";
  mdnsreg_status status;
  int32_t n = 0;
  switch (roll(dice, 26)) {
    case 0: case 1:
      is_full(REGISTRY) ? close_registry(pick(dice, REGISTRY)) : open_one(dice, err);
      break;
    case 2: case 3: case 4:
      is_full(WATCH) ? close_watch(pick(dice, WATCH)) : watch_one(dice, err);
      break;
    case 5:
      roll(dice, 4) == 0 ? close_registry(pick(dice, REGISTRY)) : read_one(dice);
      break;
    case 6: case 7:
      close_watch(pick(dice, WATCH));
      break;
    case 8: case 9:
      LISTED(mdnsreg_register((mdnsreg_registry *)pick(dice, REGISTRY), text(dice), text(dice), err), MISUSE, BAD_JSON,
             MDNSREG_ERR_OPTION, MDNSREG_ERR_INVALID, MDNSREG_ERR_CANCELLED, MDNSREG_ERR_NETWORK, MDNSREG_ERR_NOMEM);
      break;
    case 10:
      LISTED(mdnsreg_deregister((mdnsreg_registry *)pick(dice, REGISTRY), text(dice), err), MISUSE, BAD_JSON,
             MDNSREG_ERR_INVALID, MDNSREG_ERR_CANCELLED, MDNSREG_ERR_NETWORK, MDNSREG_ERR_NOMEM);
      break;
    case 11:
      if (roll(dice, 4) == 0) options = text(dice);
      LISTED(mdnsreg_init((mdnsreg_registry *)pick(dice, REGISTRY), options, err), MISUSE, BAD_JSON, MDNSREG_ERR_OPTION,
             MDNSREG_ERR_NETWORK, MDNSREG_ERR_UNSUPPORTED, MDNSREG_ERR_BUSY, MDNSREG_ERR_NOMEM);
      break;
    case 12: case 13:
      ask(dice, err);
      break;
    case 14: case 15:
      next(dice, err);
      break;
    case 16:
      n = (int32_t)roll(dice, 4);
      LISTED(mdnsreg_watch_dispatch((mdnsreg_watch *)pick(dice, WATCH), n, on_event, NULL, &n, err), MISUSE, MDNSREG_EMPTY,
             MDNSREG_END, MDNSREG_ERR_INVALID, MDNSREG_ERR_NOMEM, MDNSREG_ERR_BUSY);
      break;
    case 17:
      start(dice, err);
      break;
    case 18:
      LISTED(mdnsreg_watch_stop((mdnsreg_watch *)pick(dice, WATCH), (int64_t)roll(dice, 3)), MISUSE, MDNSREG_DEFERRED,
             MDNSREG_ERR_INVALID, MDNSREG_ERR_BUSY);
      break;
    case 19:
      LISTED(mdnsreg_watch_fd((mdnsreg_watch *)pick(dice, WATCH), &n, err), MISUSE, MDNSREG_ERR_NETWORK, MDNSREG_ERR_BUSY);
      break;
    case 20:
      free_event(pick(dice, EVENT));
      break;
    case 21:
      set_log(dice, err);
      break;
    case 22: case 23: case 24:
      read_one(dice);
      break;
    default:
      mdnsreg_error_free((mdnsreg_error *)pick(dice, EVENT));
      break;
  }
}

static void play_once(struct dice *dice) {
  mdnsreg_error *err = NULL;
  one_call(dice, &err);
  if (err == NULL) return;
  CHECK(mdnsreg_error_code(err) != MDNSREG_ERR_NOMEM);
  /* Some are kept for others to misuse. */
  if (roll(dice, 30) == 0) show(dice, err);
  mdnsreg_error_free(err);
}

static void on_event_act(const mdnsreg_event *event, void *user_data) {
  struct dice *dice = (struct dice *)user_data;
  CHECK(mdnsreg_event_type(event) != NULL);
  if (!get(&over) && roll(dice, 4) == 0) play_once(dice);
}

static int calls;

static void *play(void *argument) {
  struct dice *dice = (struct dice *)calloc(1, sizeof *dice);
  int i;
  CHECK(dice != NULL);
  dice->state = (uint64_t)(uintptr_t)argument;
  for (i = 0; i < calls / THREADS; i++) play_once(dice);
  free(dice);
  return NULL;
}

/* Closes what is open; whether anything was. */
static int close_all(void) {
  static void (*const closes[KINDS])(void *) = {close_registry, close_watch, free_event};
  struct dice dice;
  int kind, any = 0;
  memset(&dice, 0, sizeof dice);
  for (kind = 0; kind < KINDS; kind++) {
    void *handle = pick_open(&dice, (enum kind)kind), *before = NULL;
    for (; handle != before; before = handle, handle = pick_open(&dice, (enum kind)kind)) closes[kind](handle);
    any |= get(&opened[kind]) != get(&closed[kind]);
  }
  return any;
}

static void report(int64_t begun) {
  int64_t passed = now_ms() - begun;
  const char *between = "";
  int i;
  printf("%d calls in %d.%d s, seed %llu: ", calls, (int)(passed / 1000), (int)(passed % 1000 / 100), seed);
  for (i = 0; i < STATUSES; i++) {
    if (returned[i] == 0) continue;
    printf("%s%s %llu", between, mdnsreg_status_name(i - STATUSES / 2), (unsigned long long)returned[i]);
    between = ", ";
  }
  printf("\n");
}

static char *long_text(size_t length) {
  char *text = (char *)malloc(length + 1);
  CHECK(text != NULL);
  memset(text, 'a', length);
  memcpy(text, "{\"name\":\"", 9);
  memcpy(text + length - 2, "\"}", 3);
  return text;
}

int main(int argc, char **argv) {
  int fds = count_fds(), threads = count_threads(), i;
  mdnsreg_registry *stays = NULL;
  pthread_t players[THREADS];
  int64_t begun = now_ms();
  calls = argument(argc, argv, 80000);
  if (argc > 2) seed = strtoull(argv[2], NULL, 10);
  signal(SIGABRT, on_abort);
  too_long = long_text(1200000);
  CHECK(setenv("MDNS_REGISTRY_OPTIONS", QUICK, 1) == 0);
  CHECK_OK(mdnsreg_open(QUICK, &stays, NULL));
  /* A handle near it may still close it. */
  own(REGISTRY, stays);
  for (i = 0; i < THREADS; i++) {
    CHECK(pthread_create(&players[i], NULL, play, (void *)(uintptr_t)(seed * THREADS + (unsigned)i + 1)) == 0);
  }
  for (i = 0; i < THREADS; i++) pthread_join(players[i], NULL);
  set(&over, 1);
  /* Callbacks may still open some. */
  AWAIT(!close_all());
  CHECK_OK(mdnsreg_log_set(MDNSREG_LOG_OFF, NULL, NULL, NULL, NULL));
  /* Each was closed exactly once, however many tried. */
  AWAIT(get(&users) == get(&freed) && !close_all());
  free(too_long);
  AWAIT(count_threads() == threads && count_fds() == fds);
  if (argc > 3) report(begun);
  return done();
}
