/* What the C programs share. Each of them tests one concern, prints nothing when all is well, and compiles as
 * C99, C11 and C++17. */
#ifndef CHECK_H
#define CHECK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "mdns_registry.h"

#define CHECK(condition)                                                            \
  do {                                                                              \
    if (!(condition)) {                                                             \
      fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);       \
      abort();                                                                      \
    }                                                                               \
  } while (0)

#define CHECK_STATUS(call, wanted)                                                  \
  do {                                                                              \
    mdnsreg_status got_ = (call);                                                   \
    if (got_ != (wanted)) {                                                         \
      const char *name_ = mdnsreg_status_name(got_);                                \
      fprintf(stderr, "%s:%d: %s is %d (%s), not %s\n", __FILE__, __LINE__, #call,  \
              (int)got_, name_ ? name_ : "no status", #wanted);                     \
      abort();                                                                      \
    }                                                                               \
  } while (0)

#define CHECK_OK(call) CHECK_STATUS(call, MDNSREG_OK)

#define CHECK_TEXT(got, wanted)                                                     \
  do {                                                                              \
    const char *text_ = (got);                                                      \
    if (text_ == NULL || strcmp(text_, (wanted)) != 0) {                            \
      fprintf(stderr, "%s:%d: %s is \"%s\", not \"%s\"\n", __FILE__, __LINE__,      \
              #got, text_ ? text_ : "(NULL)", (wanted));                            \
      abort();                                                                      \
    }                                                                               \
  } while (0)

/* The longest any wait may take, far more than any needs. */
#define DEADLINE_MS 20000

static inline int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static inline void pause_ms(long ms) {
  struct timespec time;
  time.tv_sec = ms / 1000;
  time.tv_nsec = ms % 1000 * 1000000;
  nanosleep(&time, NULL);
}

/* Waits until the condition holds. */
#define AWAIT(condition)                                                            \
  do {                                                                              \
    int64_t until_ = now_ms() + DEADLINE_MS;                                        \
    while (!(condition)) {                                                          \
      if (now_ms() > until_) {                                                      \
        fprintf(stderr, "%s:%d: not in time: %s\n", __FILE__, __LINE__, #condition);\
        abort();                                                                    \
      }                                                                             \
      pause_ms(1);                                                                  \
    }                                                                               \
  } while (0)

/* Counters that several threads touch. */
static inline int get(const int *counter) { return __atomic_load_n(counter, __ATOMIC_SEQ_CST); }
static inline void set(int *counter, int value) { __atomic_store_n(counter, value, __ATOMIC_SEQ_CST); }
static inline int add(int *counter, int value) { return __atomic_add_fetch(counter, value, __ATOMIC_SEQ_CST); }

#define OPTIONS "{\"addrs\":[\"127.0.0.1\"],\"timeout_ms\":200}"

static inline mdnsreg_registry *open_registry(void) {
  mdnsreg_registry *registry = NULL;
  mdnsreg_error *err = NULL;
  mdnsreg_status status = mdnsreg_open(OPTIONS, &registry, &err);
  if (status != MDNSREG_OK) {
    fprintf(stderr, "mdnsreg_open: %s\n", mdnsreg_error_message(err));
    abort();
  }
  CHECK(registry != NULL && err == NULL);
  return registry;
}

static inline mdnsreg_watch *open_watch(mdnsreg_registry *registry, const char *options) {
  mdnsreg_watch *watch = NULL;
  CHECK_OK(mdnsreg_watch_open(registry, options, &watch, NULL));
  CHECK(watch != NULL);
  return watch;
}

/* Registers one node of `name`. */
static inline void register_node(mdnsreg_registry *registry, const char *name, const char *id, int port) {
  char json[512];
  mdnsreg_error *err = NULL;
  mdnsreg_status status;
  snprintf(json, sizeof json,
           "{\"name\":\"%s\",\"version\":\"1\",\"nodes\":[{\"id\":\"%s\",\"address\":\"127.0.0.1\",\"port\":%d}]}",
           name, id, port);
  status = mdnsreg_register(registry, json, NULL, &err);
  if (status != MDNSREG_OK) {
    fprintf(stderr, "mdnsreg_register: %s\n", mdnsreg_error_message(err));
    abort();
  }
}

/* The number argument of the program, so that valgrind can be given less to do. */
static inline int argument(int argc, char **argv, int otherwise) {
  return argc > 1 ? atoi(argv[1]) : otherwise;
}

/* Descriptors this process has open. */
static inline int count_fds(void) {
  int count = 0, fd;
  for (fd = 0; fd < 1024; fd++) {
    char path[64], target[256];
    ssize_t length;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    length = readlink(path, target, sizeof target);
    if (length > 0) count++;
  }
  return count;
}

/* Threads this process has. */
static inline int count_threads(void) {
  char line[256];
  int count = -1;
  FILE *file = fopen("/proc/self/status", "r");
  CHECK(file != NULL);
  while (fgets(line, sizeof line, file) != NULL) {
    if (strncmp(line, "Threads:", 8) == 0) count = atoi(line + 8);
  }
  fclose(file);
  return count;
}

/* The end of main: the library's threads are gone soon after the last close, with all they held. */
static inline int done(void) {
  AWAIT(count_threads() == 1);
  return 0;
}

#endif
