/* After a fork every call in the child is refused, freeing does nothing, and the parent goes on. */
#include "check.h"
#include <signal.h>
#include <sys/wait.h>

static void on_event(const mdnsreg_event *event, void *user_data) {
  (void)event;
  add((int *)user_data, 1);
}

static void on_free(void *user_data) { add((int *)user_data, 1000); }

static mdnsreg_registry *registry;
static mdnsreg_watch *watch, *started;
static mdnsreg_event *event;
static mdnsreg_error *error;
static char *text;

#define CHECK_FORKED(call)                                  \
  do {                                                      \
    mdnsreg_error *err = NULL;                              \
    CHECK_STATUS(call, MDNSREG_ERR_FORKED);                 \
    CHECK_STATUS(mdnsreg_error_code(err), MDNSREG_ERR_FORKED); \
    CHECK(strstr(mdnsreg_error_message(err), "fork") != NULL); \
    CHECK(mdnsreg_error_json(err) != NULL);                 \
    mdnsreg_error_free(err);                                \
    CHECK_STATUS(mdnsreg_error_code(err), MDNSREG_ERR_FORKED); \
  } while (0)

static void in_child(void) {
  mdnsreg_registry *out = NULL;
  mdnsreg_watch *out_watch = NULL;
  mdnsreg_event *out_event = NULL;
  char *json = NULL;
  int32_t n = 0;
  int freed = 0;
  alarm(20);
  CHECK_FORKED(mdnsreg_open(OPTIONS, &out, &err));
  CHECK_FORKED(mdnsreg_default(&out, &err));
  CHECK_FORKED(mdnsreg_init(registry, "{}", &err));
  CHECK_FORKED(mdnsreg_options(registry, &json, &err));
  CHECK_FORKED(mdnsreg_register(registry, "{}", NULL, &err));
  CHECK_FORKED(mdnsreg_deregister(registry, "{}", &err));
  CHECK_FORKED(mdnsreg_get_service(registry, "greeter", &json, &err));
  CHECK_FORKED(mdnsreg_list_services(registry, &json, &err));
  CHECK_FORKED(mdnsreg_stats(registry, &json, &err));
  CHECK_FORKED(mdnsreg_watch_open(registry, NULL, &out_watch, &err));
  CHECK_FORKED(mdnsreg_watch_next(watch, -1, &out_event, &err));
  CHECK_FORKED(mdnsreg_watch_fd(watch, &n, &err));
  CHECK_FORKED(mdnsreg_watch_dispatch(watch, -1, on_event, &freed, &n, &err));
  CHECK_FORKED(mdnsreg_watch_start(watch, on_event, &freed, on_free, &err));
  CHECK(freed == 1000);
  CHECK_FORKED(mdnsreg_log_set(MDNSREG_LOG_TRACE, NULL, &freed, on_free, &err));
  CHECK(freed == 2000);
  CHECK_FORKED(mdnsreg_abi_check(MDNSREG_ABI_VERSION, &err));
  CHECK_STATUS(mdnsreg_watch_stop(started, -1), MDNSREG_ERR_FORKED);
  CHECK_STATUS(mdnsreg_watch_close(started), MDNSREG_ERR_FORKED);
  CHECK_STATUS(mdnsreg_watch_close(watch), MDNSREG_ERR_FORKED);
  CHECK_STATUS(mdnsreg_event_free(event), MDNSREG_ERR_FORKED);
  CHECK_STATUS(mdnsreg_close(registry), MDNSREG_ERR_FORKED);
  mdnsreg_error_free(error);
  mdnsreg_string_free(text);
  CHECK(text[0] == '[' && out == NULL && out_watch == NULL && out_event == NULL && json == NULL);
  CHECK_TEXT(mdnsreg_version(), MDNSREG_VERSION);
}

/* How a child ends that has found all well. A leak checker would take what only the parent's threads know for
 * lost; it is given no end to check at. */
static void leave(int checked, int round) {
  if (checked) kill(getpid(), SIGKILL);
  /* Whatever the library left to the end of the process must not hang either. */
  if (round % 2 == 0) exit(0);
  _exit(0);
}

static void check_child(pid_t child, int checked) {
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child);
  if (checked) {
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  } else {
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
}

int main(int argc, char **argv) {
  int rounds = argument(argc, argv, 20), round, told = 0;
  registry = open_registry();
  register_node(registry, "greeter", "1", 4711);
  watch = open_watch(registry, "{\"service\":\"greeter\"}");
  started = open_watch(registry, "{\"service\":\"greeter\"}");
  CHECK_OK(mdnsreg_watch_next(watch, DEADLINE_MS, &event, NULL));
  CHECK_OK(mdnsreg_watch_start(started, on_event, &told, on_free, NULL));
  CHECK_OK(mdnsreg_get_service(registry, "greeter", &text, NULL));
  CHECK_STATUS(mdnsreg_open("{", NULL, &error), MDNSREG_ERR_NULL);

  /* The library is at work in its threads while we fork: whatever lock one holds, no child hangs. */
  for (round = 0; round < rounds; round++) {
    pid_t child;
    char id[16];
    snprintf(id, sizeof id, "%d", round);
    register_node(registry, "busy", id, 5000);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
      in_child();
      leave(argc > 1, round);
    }
    check_child(child, argc > 1);
  }

  /* The parent has lost nothing, and what the children freed is live. */
  mdnsreg_string_free(text);
  CHECK_STATUS(mdnsreg_error_code(error), MDNSREG_ERR_NULL);
  mdnsreg_error_free(error);
  CHECK_TEXT(mdnsreg_event_action(event), "create");
  CHECK_OK(mdnsreg_event_free(event));
  AWAIT(get(&told) >= 2);
  CHECK(get(&told) < 1000);
  register_node(registry, "greeter", "2", 4712);
  AWAIT(get(&told) >= 3);
  CHECK_OK(mdnsreg_watch_stop(started, DEADLINE_MS));
  CHECK(get(&told) >= 1003);
  CHECK_OK(mdnsreg_watch_close(started));
  CHECK_OK(mdnsreg_watch_close(watch));
  CHECK_OK(mdnsreg_close(registry));
  return done();
}
