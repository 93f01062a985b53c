/* Calls in random order, with random handles (live, stale, of any type, garbage), random texts and NULL for any pointer,
 * from several threads and from inside callbacks: each returns a status that its comment lists, none is a defect, and nothing is left behind.
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

/* Every handle that is open, by its kind, and the registry of a watch. */
#define LEDGER 1024
static struct entry {
  void *handle, *registry;
} ledger[KINDS][LEDGER];
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
static const char quick[] = "{\"addrs\":[\"127.0.0.1\"],\"timeout_ms\":2}";

/* What can be registered. */
#define ONE "{\"name\":\"greeter\",\"nodes\":[{\"id\":\"1\",\"address\":\"127.0.0.1\",\"port\":4711}]}"
#define NEW "{\"name\":\"greeter\",\"version\":\"2\",\"nodes\":[{\"id\":\"1\",\"address\":\"127.0.0.1\",\"port\":4712}]}"
#define ODD "{\"name\":\"other\",\"nodes\":[{\"id\":\"\xf0\x9f\x98\x80\",\"address\":\"127.0.0.1\",\"port\":1}]}"
static const char *const descriptors[] = {ONE, NEW, ODD};

/* The texts: good, bad, and NULL. */
static const char *const texts[] = {
    NULL, "", "{", "{}", "[]", "null", "greeter", "\xff", "{\"service\":\"greeter\"}", "{\"queue\":1}",
    "{\"service\":\"\"}", "{\"timeout_ms\":5}", "{\"timeout_ms\":-1}", "{\"ttl_ms\":5000,\"auto_renew\":false}",
    "{\"name\":\"greeter\"}", "{\"name\":\"greeter\",\"nodes\":[]}",
    ONE, NEW, ODD, "{\"name\":\"greeter\",\"nodes\":[{\"id\":\"1\",\"address\":\"\",\"port\":0}]}", "{\"link\":\"native\"}",
    "{\"addrs\":5}", "{\"addrs\":[5]}", "{\"domain\":1}", "{\"wire\":[]}", "{\"timeout_ms\":\"2\"}",
    "{\"queue\":\"1\"}", "{\"service\":1}", "{\"ttl_ms\":true}", "{\"auto_renew\":1}",
};

#define TEXT 20000

/* A pointer, or one time in twenty NULL. */
#define OR_NULL(dice, pointer) (roll(dice, 20) == 0 ? NULL : (pointer))

static char *too_long; /* A descriptor: more than may be read. */

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
  if (written[kind] > 0) handle = ledger[kind][roll(dice, (uint32_t)written[kind])].handle;
  pthread_mutex_unlock(&ledger_lock);
  return handle;
}

/* The registry of a watch that is open. */
static void *registry_of(void *watch) {
  void *registry;
  int i;
  pthread_mutex_lock(&ledger_lock);
  for (i = 0; i < written[WATCH] && ledger[WATCH][i].handle != watch; i++) continue;
  registry = i < written[WATCH] ? ledger[WATCH][i].registry : NULL;
  pthread_mutex_unlock(&ledger_lock);
  return registry;
}

/* A handle of this kind, or anything else. */
static void *pick(struct dice *dice, enum kind kind) {
  uintptr_t garbage;
  void *handle = roll(dice, 3) != 0 ? pick_open(dice, kind) : NULL;
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

static void own(enum kind kind, void *handle, void *registry) {
  add(&opened[kind], 1);
  pthread_mutex_lock(&ledger_lock);
  CHECK(written[kind] < LEDGER);
  ledger[kind][written[kind]].handle = handle;
  ledger[kind][written[kind]++].registry = registry;
  pthread_mutex_unlock(&ledger_lock);
}

static void put(struct dice *dice, enum kind kind, void *handle, void *registry) {
  if (handle == NULL) return;
  own(kind, handle, registry);
  show(dice, handle);
}

static void forget(enum kind kind, void *handle) {
  struct entry *all = ledger[kind];
  int i;
  pthread_mutex_lock(&ledger_lock);
  for (i = 0; i < written[kind] && all[i].handle != handle; i++) continue;
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

/* That, or half the time what the call takes. */
static const char *text_or(struct dice *dice, const char *good) { return roll(dice, 2) == 0 ? text(dice) : good; }

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

/* What was written, if it was asked for: on success only. */
#define CHECK_OUTPUT(out, written)                                                  \
  do {                                                                              \
    CHECK((status == MDNSREG_OK) == ((written) != NULL));                           \
    CHECK((out) != NULL || status == MDNSREG_ERR_NULL);                             \
  } while (0)

/* Of every call with a handle. */
#define MISUSE MDNSREG_ERR_NULL, MDNSREG_ERR_HANDLE, MDNSREG_ERR_CLOSED, MDNSREG_ERR_TYPE
/* Of every call with JSON. */
#define BAD_JSON MDNSREG_ERR_UTF8, MDNSREG_ERR_JSON, MDNSREG_ERR_TOO_LARGE

/* What a callback has: dice of its own, and the watch that calls it with the registry of that. */
struct user {
  struct dice dice;
  void *watch, *registry;
};

static struct user *make_user(struct dice *dice, void *watch) {
  struct user *user = (struct user *)malloc(sizeof *user);
  CHECK(user != NULL);
  user->dice.state = roll(dice, UINT32_MAX);
  user->dice.turn = 0;
  user->watch = watch;
  user->registry = registry_of(watch);
  return user;
}

/* Makes calls from inside. */
static void on_event(const mdnsreg_event *event, void *user_data);

static void on_free(void *user_data) {
  free(user_data);
  add(&freed, 1);
}

static void start(struct dice *dice, mdnsreg_error **err) {
  void *watch = pick(dice, WATCH), *user = NULL;
  mdnsreg_event_fn callback = OR_NULL(dice, on_event);
  mdnsreg_free_fn user_free = OR_NULL(dice, on_free);
  mdnsreg_status status;
  if (user_free != NULL) {
    user = OR_NULL(dice, make_user(dice, watch));
    add(&users, 1);
  }
  LISTED(mdnsreg_watch_start((mdnsreg_watch *)watch, callback, user, user_free, err), MISUSE, MDNSREG_ERR_NETWORK,
         MDNSREG_ERR_BUSY);
  CHECK(callback != NULL || status < 0);
}

static void dispatch(struct dice *dice, mdnsreg_error **err) {
  void *watch = pick(dice, WATCH), *user = OR_NULL(dice, make_user(dice, watch));
  mdnsreg_event_fn callback = OR_NULL(dice, on_event);
  int32_t most = (int32_t)roll(dice, 5) - 1, told = -1, *out = OR_NULL(dice, &told);
  mdnsreg_status status;
  LISTED(mdnsreg_watch_dispatch((mdnsreg_watch *)watch, most, callback, user, out, err), MISUSE, MDNSREG_EMPTY,
         MDNSREG_END, MDNSREG_ERR_INVALID, MDNSREG_ERR_NOMEM, MDNSREG_ERR_BUSY);
  CHECK(callback != NULL || status < 0);
  CHECK(out == NULL || (status == MDNSREG_OK) == (told > 0));
  free(user);
}

static void open_one(struct dice *dice, mdnsreg_error **err) {
  mdnsreg_registry *registry = NULL, **out = OR_NULL(dice, &registry);
  mdnsreg_status status;
  if (roll(dice, 4) == 0) {
    LISTED(mdnsreg_default(out, err), MDNSREG_ERR_NULL, MDNSREG_ERR_JSON, MDNSREG_ERR_OPTION,
           MDNSREG_ERR_TOO_LARGE, MDNSREG_ERR_NETWORK, MDNSREG_ERR_NOMEM, MDNSREG_ERR_UNSUPPORTED);
    CHECK(out == NULL || status == MDNSREG_OK);
  } else {
    const char *options = text_or(dice, quick);
    LISTED(mdnsreg_open(options, out, err), MDNSREG_ERR_NULL, BAD_JSON, MDNSREG_ERR_OPTION,
           MDNSREG_ERR_NETWORK, MDNSREG_ERR_NOMEM, MDNSREG_ERR_UNSUPPORTED);
    CHECK(out == NULL || options != quick || status == MDNSREG_OK);
  }
  CHECK_OUTPUT(out, registry);
  if (registry != NULL) (void)mdnsreg_init(registry, "{\"timeout_ms\":2}", NULL);
  put(dice, REGISTRY, registry, NULL);
}

static void watch_one(struct dice *dice, mdnsreg_error **err) {
  mdnsreg_watch *watch = NULL, **out = OR_NULL(dice, &watch);
  void *registry = pick(dice, REGISTRY);
  mdnsreg_status status;
  LISTED(mdnsreg_watch_open((mdnsreg_registry *)registry, text_or(dice, NULL), out, err), MISUSE, BAD_JSON,
         MDNSREG_ERR_OPTION, MDNSREG_ERR_INVALID, MDNSREG_ERR_NETWORK, MDNSREG_ERR_NOMEM);
  CHECK_OUTPUT(out, watch);
  put(dice, WATCH, watch, registry);
}

static void close_registry(void *handle) {
  mdnsreg_status status;
  LISTED(mdnsreg_close((mdnsreg_registry *)handle), MISUSE, MDNSREG_DEFERRED);
  if (status == MDNSREG_OK || status == MDNSREG_DEFERRED) forget(REGISTRY, handle);
}

static mdnsreg_status stop_watch(struct dice *dice, void *handle) {
  mdnsreg_status status;
  LISTED(mdnsreg_watch_stop((mdnsreg_watch *)handle, (int64_t)roll(dice, 3)), MISUSE, MDNSREG_DEFERRED,
         MDNSREG_ERR_INVALID, MDNSREG_ERR_BUSY);
  return status;
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
  mdnsreg_event *event = NULL, **out = OR_NULL(dice, &event);
  mdnsreg_status status;
  int64_t limit = roll(dice, 50) == 0 ? -2 : (int64_t)roll(dice, 3);
  LISTED(mdnsreg_watch_next((mdnsreg_watch *)pick(dice, WATCH), limit, out, err), MISUSE, MDNSREG_EMPTY, MDNSREG_END,
         MDNSREG_ERR_INVALID, MDNSREG_ERR_NOMEM, MDNSREG_ERR_BUSY);
  CHECK_OUTPUT(out, event);
  put(dice, EVENT, event, NULL);
  if (event != NULL && (is_full(EVENT) || roll(dice, 2) == 0)) free_event(event);
}

/* A verb that gives text. */
static void ask(struct dice *dice, mdnsreg_error **err) {
  mdnsreg_registry *registry = (mdnsreg_registry *)pick(dice, REGISTRY);
  mdnsreg_status status;
  char *json = NULL, **out = OR_NULL(dice, &json);
  switch (roll(dice, 8)) {
    case 6:
      LISTED(mdnsreg_json_get(text(dice), text(dice), out, err), MDNSREG_ERR_NULL, MDNSREG_ERR_UTF8, MDNSREG_ERR_JSON,
             MDNSREG_ERR_INVALID, MDNSREG_ERR_NOMEM);
      break;
    case 7:
      LISTED(mdnsreg_json_quote(text(dice), out, err), MDNSREG_ERR_NULL, MDNSREG_ERR_UTF8, MDNSREG_ERR_NOMEM);
      break;
    case 0:
      LISTED(mdnsreg_options(registry, out, err), MISUSE, MDNSREG_ERR_NOMEM);
      break;
    case 1:
      LISTED(mdnsreg_stats(registry, out, err), MISUSE, MDNSREG_ERR_NOMEM);
      break;
    case 2:
      LISTED(mdnsreg_list_services(registry, out, err), MISUSE, MDNSREG_ERR_CANCELLED, MDNSREG_ERR_NETWORK, MDNSREG_ERR_NOMEM);
      break;
    default:
      LISTED(mdnsreg_get_service(registry, roll(dice, 4) == 0 ? text(dice) : "greeter", out, err), MISUSE,
             MDNSREG_ERR_UTF8, MDNSREG_ERR_INVALID, MDNSREG_ERR_TOO_LARGE, MDNSREG_ERR_NOT_FOUND,
             MDNSREG_ERR_CANCELLED, MDNSREG_ERR_NETWORK, MDNSREG_ERR_NOMEM);
      break;
  }
  CHECK_OUTPUT(out, json);
  mdnsreg_string_free(json);
  if (json != NULL && roll(dice, 4) == 0) mdnsreg_string_free(json);
}

/* What reads a handle. Another thread may free it at any time, so the texts are not looked at. */
static void read_one(struct dice *dice) {
  mdnsreg_event *event = (mdnsreg_event *)pick(dice, EVENT);
  mdnsreg_error *error = (mdnsreg_error *)pick(dice, EVENT);
  const char *action, *type;
  switch (roll(dice, 8)) {
    case 0:
      type = mdnsreg_event_type(event);
      action = mdnsreg_event_action(event);
      CHECK((type == NULL || strlen(type) > 4) && (action == NULL || strlen(action) == 6));
      break;
    case 1:
      (void)mdnsreg_event_reason(event);
      (void)mdnsreg_event_key(event);
      break;
    case 2:
      (void)mdnsreg_event_service(event);
      (void)mdnsreg_event_json(event);
      break;
    case 3:
      CHECK(mdnsreg_status_name(mdnsreg_error_code(error)) != NULL);
      break;
    case 4:
      (void)mdnsreg_error_message(error);
      (void)mdnsreg_error_json(error);
      break;
    case 5:
      (void)mdnsreg_string((mdnsreg_registry *)pick(dice, REGISTRY));
      break;
    case 6:
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
  mdnsreg_free_fn user_free = OR_NULL(dice, on_free);
  mdnsreg_status status;
  if (roll(dice, 8) != 0) {
    LISTED(mdnsreg_abi_check((int32_t)roll(dice, 3) - 1, err), MDNSREG_ERR_VERSION);
    return;
  }
  add(&users, user_free != NULL);
  LISTED(mdnsreg_log_set((int32_t)roll(dice, 8) - 1, roll(dice, 4) == 0 ? on_line : NULL,
                         user_free == NULL ? NULL : malloc(1), user_free, err), MDNSREG_ERR_OPTION, MDNSREG_ERR_UNSUPPORTED);
}

static void one_call(struct dice *dice, mdnsreg_error **err) {
  const char *options = "{\"timeout_ms\":2}", *good;
  mdnsreg_status status;
  int32_t fd = 0, *out_fd = OR_NULL(dice, &fd);
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
    case 6:
      roll(dice, 2) == 0 ? close_watch(pick(dice, WATCH)) : start(dice, err);
      break;
    case 8: case 9:
      good = descriptors[roll(dice, sizeof descriptors / sizeof descriptors[0])];
      LISTED(mdnsreg_register((mdnsreg_registry *)pick(dice, REGISTRY), text_or(dice, good), text_or(dice, NULL), err),
             MISUSE, BAD_JSON, MDNSREG_ERR_OPTION, MDNSREG_ERR_INVALID, MDNSREG_ERR_CANCELLED, MDNSREG_ERR_NETWORK,
             MDNSREG_ERR_NOMEM);
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
    case 7: case 14: case 15:
      next(dice, err);
      break;
    case 16:
      dispatch(dice, err);
      break;
    case 17: case 18:
      stop_watch(dice, pick(dice, WATCH));
      break;
    case 19:
      LISTED(mdnsreg_watch_fd((mdnsreg_watch *)pick(dice, WATCH), out_fd, err), MISUSE, MDNSREG_ERR_NETWORK,
             MDNSREG_ERR_BUSY);
      CHECK(out_fd == NULL ? status == MDNSREG_ERR_NULL : (status == MDNSREG_OK) == (fd >= 0));
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
  one_call(dice, OR_NULL(dice, &err));
  if (err == NULL) return;
  CHECK(mdnsreg_error_code(err) != MDNSREG_ERR_NOMEM);
  /* Some are kept for others to misuse. */
  if (roll(dice, 30) == 0) show(dice, err);
  mdnsreg_error_free(err);
}

static void on_event(const mdnsreg_event *event, void *user_data) {
  struct user *user = (struct user *)user_data;
  mdnsreg_status status;
  uint32_t what;
  CHECK(mdnsreg_event_type(event) != NULL && strlen(mdnsreg_event_json(event)) > 0);
  if (user == NULL || get(&over)) return;
  what = roll(&user->dice, 32);
  if (what < 2) {
    status = stop_watch(&user->dice, user->watch);
    CHECK(status == MDNSREG_DEFERRED || status == MDNSREG_ERR_CLOSED);
  } else if (what == 2) {
    close_registry(user->registry);
  } else if (what < 11) {
    play_once(&user->dice);
  }
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
  CHECK(setenv("MDNS_REGISTRY_OPTIONS", quick, 1) == 0);
  CHECK_OK(mdnsreg_open(quick, &stays, NULL));
  /* A handle near it may still close it. */
  own(REGISTRY, stays, NULL);
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
