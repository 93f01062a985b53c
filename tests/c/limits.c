/* Under the limits of the system each call works or says what is missing; with them lifted all goes on, and nothing is
 * left behind. Each case is a process of its own. */
#include "check.h"

#include <sys/resource.h>
#include <sys/wait.h>

#define KIB 1024L
#define MIB (1024L * KIB)

static void limit(int resource, rlim_t soft) {
  struct rlimit limit;
  CHECK(getrlimit((__rlimit_resource_t)resource, &limit) == 0);
  limit.rlim_cur = soft < limit.rlim_max ? soft : limit.rlim_max;
  CHECK(setrlimit((__rlimit_resource_t)resource, &limit) == 0);
}

/* The number that the next descriptor would have. */
static int next_fd(void) {
  int fd = dup(STDERR_FILENO);
  CHECK(fd >= 0 && close(fd) == 0);
  return fd;
}

/* Bytes of address space in use. */
static rlim_t address_space(void) {
  long pages = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  CHECK(file != NULL && fscanf(file, "%ld", &pages) == 1);
  fclose(file);
  return (rlim_t)(pages * sysconf(_SC_PAGESIZE));
}

static void run(int (*play)(long), long argument) {
  int status;
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) _exit(play(argument));
  CHECK(waitpid(child, &status, 0) == child);
  if (status != 0) fprintf(stderr, "with %ld: status %d\n", argument, status);
  CHECK(status == 0);
}

/* A call that is refused says so by status and, where it names it, by the limit. */
static mdnsreg_status open_with(mdnsreg_registry **registry, const char *wanted) {
  mdnsreg_error *err = NULL;
  mdnsreg_status status = mdnsreg_open(OPTIONS, registry, &err);
  CHECK((status == MDNSREG_OK) == (*registry != NULL) && (status == MDNSREG_OK) == (err == NULL));
  if (err != NULL && status == MDNSREG_ERR_NETWORK && strstr(mdnsreg_error_message(err), wanted) == NULL) {
    fprintf(stderr, "%s\n", mdnsreg_error_message(err));
    abort();
  }
  mdnsreg_error_free(err);
  return status;
}

static void all_is_well(void) {
  mdnsreg_registry *registry = open_registry();
  mdnsreg_watch *watch = open_watch(registry, NULL);
  mdnsreg_event *event = NULL;
  register_node(registry, "greeter", "1", 4711);
  CHECK_OK(mdnsreg_watch_next(watch, DEADLINE_MS, &event, NULL));
  CHECK_OK(mdnsreg_event_free(event));
  CHECK_OK(mdnsreg_watch_close(watch));
  CHECK_OK(mdnsreg_close(registry));
  AWAIT(count_threads() == 1);
}

/* So many descriptors are to be had. */
static int few_descriptors(long spare) {
  int fds = count_fds();
  mdnsreg_registry *registry = NULL;
  mdnsreg_status status;
  limit(RLIMIT_NOFILE, (rlim_t)(next_fd() + spare));
  status = open_with(&registry, "RLIMIT_NOFILE");
  CHECK(status == MDNSREG_ERR_NETWORK || status == MDNSREG_OK);
  if (spare < 4) CHECK(status == MDNSREG_ERR_NETWORK);
  if (status == MDNSREG_OK) CHECK_OK(mdnsreg_close(registry));
  /* What closed under the limit has closed. */
  AWAIT(count_fds() == fds);
  limit(RLIMIT_NOFILE, 1024);
  all_is_well();
  return 0;
}

/* A registry that is open lacks them for a descriptor of a watch and for other sockets. */
static int no_descriptor_later(long unused) {
  mdnsreg_registry *registry = open_registry();
  mdnsreg_watch *watch = open_watch(registry, NULL);
  mdnsreg_error *err = NULL;
  int fds = count_fds();
  int32_t fd = 0;
  (void)unused;
  limit(RLIMIT_NOFILE, (rlim_t)next_fd());
  CHECK_STATUS(mdnsreg_watch_fd(watch, &fd, &err), MDNSREG_ERR_NETWORK);
  CHECK(fd == -1 && strstr(mdnsreg_error_message(err), "RLIMIT_NOFILE") != NULL);
  mdnsreg_error_free(err);
  err = NULL;
  CHECK_STATUS(mdnsreg_init(registry, "{\"port\":5354}", &err), MDNSREG_ERR_BUSY);
  mdnsreg_error_free(err);
  err = NULL;
  CHECK_OK(mdnsreg_watch_close(watch));
  CHECK_STATUS(mdnsreg_init(registry, "{\"port\":5354}", &err), MDNSREG_ERR_NETWORK);
  CHECK(strstr(mdnsreg_error_message(err), "RLIMIT_NOFILE") != NULL);
  mdnsreg_error_free(err);
  register_node(registry, "greeter", "1", 4711);
  CHECK(count_fds() == fds);
  limit(RLIMIT_NOFILE, 1024);
  watch = open_watch(registry, NULL);
  CHECK_OK(mdnsreg_watch_fd(watch, &fd, NULL));
  CHECK_OK(mdnsreg_watch_close(watch));
  CHECK_OK(mdnsreg_close(registry));
  all_is_well();
  return 0;
}

/* The limit is none for root; a user namespace has nobody else, and its root is not the system's. */
static void no_more_threads(void) {
  if (setresuid(65534, 65534, 0) != 0) CHECK(geteuid() == 0);
  limit(RLIMIT_NPROC, 0);
}

static int no_thread(long unused) {
  int fds = count_fds();
  mdnsreg_registry *registry = NULL;
  (void)unused;
  no_more_threads();
  CHECK_STATUS(open_with(&registry, "RLIMIT_NPROC"), MDNSREG_ERR_NETWORK);
  AWAIT(count_fds() == fds);
  limit(RLIMIT_NPROC, RLIM_INFINITY);
  all_is_well();
  return 0;
}

static int no_callback_thread(long unused) {
  mdnsreg_registry *registry = open_registry();
  mdnsreg_watch *watch = open_watch(registry, NULL);
  mdnsreg_error *err = NULL;
  mdnsreg_event *event = NULL;
  (void)unused;
  no_more_threads();
  CHECK_STATUS(mdnsreg_watch_start(watch, (mdnsreg_event_fn)abort, NULL, NULL, &err), MDNSREG_ERR_NETWORK);
  CHECK(strstr(mdnsreg_error_message(err), "RLIMIT_NPROC") != NULL);
  mdnsreg_error_free(err);
  /* The watch is left to another face. */
  CHECK_OK(mdnsreg_watch_next(watch, DEADLINE_MS, &event, NULL));
  CHECK_OK(mdnsreg_event_free(event));
  CHECK_OK(mdnsreg_watch_close(watch));
  CHECK_OK(mdnsreg_close(registry));
  AWAIT(count_threads() == 1);
  return 0;
}

/* A descriptor of many nodes; the caller frees it. */
static char *many_nodes(int nodes) {
  size_t room = (size_t)nodes * 160 + 64;
  char *json = (char *)malloc(room), *end;
  int i;
  CHECK(json != NULL);
  end = json + sprintf(json, "{\"name\":\"many\",\"nodes\":[");
  for (i = 0; i < nodes; i++) {
    end += sprintf(end, "%s{\"id\":\"%d\",\"address\":\"127.0.0.1\",\"port\":1,\"metadata\":{\"zone\":\"%d\"}}",
                   i == 0 ? "" : ",", i, i);
  }
  strcpy(end, "]}");
  return json;
}

/* So much address space is left: every verb of a registry that is open works or is refused, and the process lives. */
static int little_memory(long spare) {
  char *many = many_nodes(1024), *json = NULL;
  mdnsreg_registry *registry = open_registry(), *other = NULL;
  mdnsreg_watch *watch = NULL;
  mdnsreg_error *err = NULL;
  mdnsreg_status status;
  register_node(registry, "greeter", "1", 4711);
  limit(RLIMIT_AS, address_space() + (rlim_t)spare);
  status = mdnsreg_register(registry, many, NULL, &err);
  CHECK(status == MDNSREG_OK || status == MDNSREG_ERR_NOMEM);
  if (status == MDNSREG_ERR_NOMEM) CHECK(mdnsreg_error_code(err) == status && mdnsreg_error_message(err) != NULL);
  mdnsreg_error_free(err);
  status = mdnsreg_get_service(registry, status == MDNSREG_OK ? "many" : "greeter", &json, NULL);
  CHECK(status == MDNSREG_OK || status == MDNSREG_ERR_NOMEM);
  mdnsreg_string_free(json);
  status = mdnsreg_watch_open(registry, NULL, &watch, NULL);
  CHECK(status == MDNSREG_OK || status == MDNSREG_ERR_NOMEM);
  if (status == MDNSREG_OK) CHECK_OK(mdnsreg_watch_close(watch));
  status = open_with(&other, "RLIMIT_AS");
  CHECK(status == MDNSREG_OK || status == MDNSREG_ERR_NOMEM || status == MDNSREG_ERR_NETWORK);
  if (status == MDNSREG_OK) CHECK_OK(mdnsreg_close(other));
  limit(RLIMIT_AS, RLIM_INFINITY);
  CHECK_OK(mdnsreg_register(registry, many, NULL, NULL));
  CHECK_OK(mdnsreg_get_service(registry, "many", &json, NULL));
  mdnsreg_string_free(json);
  free(many);
  CHECK_OK(mdnsreg_close(registry));
  AWAIT(count_threads() == 1);
  return 0;
}

/* So much is left before the first is opened. */
static int little_memory_to_open(long spare) {
  int fds = count_fds();
  mdnsreg_registry *registry = NULL;
  mdnsreg_status status;
  limit(RLIMIT_AS, address_space() + (rlim_t)spare);
  status = open_with(&registry, "RLIMIT_AS");
  CHECK(status == MDNSREG_OK || status == MDNSREG_ERR_NOMEM || status == MDNSREG_ERR_NETWORK);
  if (spare == 0) CHECK(status != MDNSREG_OK);
  if (status == MDNSREG_OK) CHECK_OK(mdnsreg_close(registry));
  AWAIT(count_fds() == fds);
  limit(RLIMIT_AS, RLIM_INFINITY);
  all_is_well();
  return 0;
}

int main(int argc, char **argv) {
  /* Under valgrind the address space and the threads are its own. */
  int bare = argument(argc, argv, 1);
  long spare;
  for (spare = 0; spare < 12; spare += bare ? 1 : 6) run(few_descriptors, spare);
  run(no_descriptor_later, 0);
  if (!bare) return 0;
  run(no_thread, 0);
  run(no_callback_thread, 0);
  for (spare = 0; spare <= 32 * MIB; spare = spare < MIB ? spare + 128 * KIB : spare * 2) {
    run(little_memory, spare);
    run(little_memory_to_open, spare);
  }
  return 0;
}
