/* What belongs to the process is left alone: signal dispositions, the caller's signal mask, and where signals are
 * delivered. */
#include "check.h"
#include <signal.h>

static int told = 0, elsewhere = 0;
static pthread_t main_thread;

static void on_event(const mdnsreg_event *event, void *user_data) {
  (void)event;
  (void)user_data;
  add(&told, 1);
}

static void on_signal(int number) {
  (void)number;
  if (!pthread_equal(pthread_self(), main_thread)) set(&elsewhere, 1);
}

static void dispositions(void (**handlers)(int)) {
  int number;
  for (number = 1; number < 32; number++) {
    struct sigaction action;
    CHECK(sigaction(number, NULL, &action) == 0);
    handlers[number] = action.sa_handler;
  }
}

int main(void) {
  void (*before[32])(int), (*after[32])(int);
  sigset_t mask, blocked, pending;
  mdnsreg_registry *registry;
  mdnsreg_watch *watch;
  struct sigaction action;
  int number;

  main_thread = pthread_self();
  memset(&action, 0, sizeof action);
  action.sa_handler = on_signal;
  CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
  dispositions(before);

  registry = open_registry();
  register_node(registry, "greeter", "1", 4711);
  watch = open_watch(registry, NULL);
  CHECK_OK(mdnsreg_watch_start(watch, on_event, NULL, NULL, NULL));
  AWAIT(get(&told) >= 2);

  CHECK(pthread_sigmask(SIG_BLOCK, NULL, &mask) == 0);
  for (number = 1; number < 32; number++) CHECK(sigismember(&mask, number) == 0);
  dispositions(after);
  for (number = 1; number < 32; number++) CHECK(before[number] == after[number]);

  /* Blocked here, a signal to the process stays pending: no thread of the library takes it. */
  CHECK(sigemptyset(&blocked) == 0 && sigaddset(&blocked, SIGUSR1) == 0);
  CHECK(pthread_sigmask(SIG_BLOCK, &blocked, NULL) == 0);
  CHECK(kill(getpid(), SIGUSR1) == 0);
  pause_ms(20);
  CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGUSR1) == 1);
  CHECK(pthread_sigmask(SIG_UNBLOCK, &blocked, NULL) == 0);
  CHECK(!get(&elsewhere));

  CHECK_OK(mdnsreg_watch_close(watch));
  CHECK_OK(mdnsreg_close(registry));
  return done();
}
