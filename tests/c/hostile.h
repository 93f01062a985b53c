/* Dice with a seed, and the texts that they make: good ones, bad ones, and good ones broken by chance. */
#ifndef HOSTILE_H
#define HOSTILE_H

#include "check.h"

/* The longest text that is broken by chance, with its NUL. */
#define TEXT_BYTES 1024
/* Statuses from MDNSREG_ERR_PANIC to MDNSREG_DEFERRED, at their distance from the first. */
#define STATUSES (MDNSREG_DEFERRED - MDNSREG_ERR_PANIC + 1)

/* One player: what it rolls follows from the seed, and what came of its calls is counted. */
struct dice {
  uint64_t state;
  int64_t calls;
  int64_t seen[STATUSES];
  /* The last two texts: a call takes at most two. */
  char texts[2][TEXT_BYTES];
  int text;
};

static inline uint32_t roll(struct dice *dice, uint32_t sides) {
  dice->state = dice->state * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(dice->state >> 33) % sides;
}

static const char *const fixed_texts[] = {
    NULL, "", "{", "{}", "[]", "null", "greeter", "\xff", "{\"service\":\"greeter\"}", "{\"queue\":1}",
    "{\"service\":\"\"}", "{\"timeout_ms\":5}", "{\"timeout_ms\":-1}", "{\"ttl_ms\":5000,\"auto_renew\":false}",
    "{\"name\":\"greeter\"}", "{\"name\":\"greeter\",\"nodes\":[]}",
    "{\"name\":\"greeter\",\"nodes\":[{\"id\":\"1\",\"address\":\"127.0.0.1\",\"port\":4711}]}",
    "{\"name\":\"greeter\",\"version\":\"2\",\"nodes\":[{\"id\":\"1\",\"address\":\"127.0.0.1\",\"port\":4712}]}",
    "{\"name\":\"other\",\"nodes\":[{\"id\":\"\xf0\x9f\x98\x80\",\"address\":\"127.0.0.1\",\"port\":1}]}",
    "{\"name\":\"greeter\",\"nodes\":[{\"id\":\"1\",\"address\":\"\",\"port\":0}]}", "{\"link\":\"native\"}",
    "{\"addrs\":5}", "{\"addrs\":[5]}", "{\"domain\":1}", "{\"wire\":[]}", "{\"timeout_ms\":\"2\"}",
    "{\"queue\":\"1\"}", "{\"service\":1}", "{\"ttl_ms\":true}", "{\"auto_renew\":1}",
    "{\"name\":\"greeter\",\"version\":\"3\",\"metadata\":{\"a\":\"b\"},\"endpoints\":[{\"name\":\"Say\",\"request\":"
    "{\"name\":\"Q\",\"type\":\"string\",\"values\":[{\"name\":\"x\",\"type\":\"y\",\"values\":null}]},\"response\":null,"
    "\"metadata\":{}}],\"nodes\":[{\"id\":\"2\",\"address\":\"[::1]:80\",\"metadata\":{\"zone\":\"\\ud83d\\ude00\"}}]}",
    "/nodes/0/id", "/nodes/0/port", "/endpoints/0/request/values/0", "/~1~0/18446744073709551616", "\xed\xa0\x80",
    "\xf4\x90\x80\x80", "\xc0\xaf", "\"\\ud800\"", "1e999", "{\"name\":\"a\",\"name\":\"b\"}", "{\"wire\":[\"dns-sd\"]}",
};

/* Too long, too many or too deep: made once, never broken. */
static char *giants[6];
#define GIANTS (int)(sizeof giants / sizeof giants[0])

/* `head`, then `middle` so many times, then `tail`. */
static inline char *repeated(const char *head, const char *middle, int times, const char *tail) {
  size_t length = strlen(middle);
  char *text = (char *)malloc(strlen(head) + length * (size_t)times + strlen(tail) + 1), *end;
  int i;
  CHECK(text != NULL);
  strcpy(text, head);
  end = text + strlen(head);
  for (i = 0; i < times; i++, end += length) memcpy(end, middle, length);
  strcpy(end, tail);
  return text;
}

static inline void make_giants(void) {
  giants[0] = repeated("", "[", 100000, "");
  giants[1] = repeated("{\"name\":\"deep\",\"endpoints\":[{\"name\":\"x\",\"request\":", "{\"values\":[", 33, "");
  giants[2] = repeated("", "a", 256, "");
  giants[3] = repeated("{\"name\":\"", "a", 1 << 20, "\"}");
  giants[4] = repeated("{\"name\":\"many\",\"nodes\":[", "{\"id\":\"1\",\"port\":1},", 1025, "{}]}");
  giants[5] = repeated("{\"name\":\"long\",\"nodes\":[{\"id\":\"1\",\"port\":1,\"metadata\":{\"k\":\"", "\xc3\xa9", 5000,
                       "\"}}]}");
}

static inline void free_giants(void) {
  int i;
  for (i = 0; i < GIANTS; i++) free(giants[i]);
}

/* Cuts the text, changes a byte, or puts something into it. */
static inline void break_text(struct dice *dice, char *text) {
  static const char *const pieces[] = {"\"", "{", "}", "[", ",", ":", "\\", "\\u0000", "\xff", "\xe2\x82", "\x01", "null",
                                       "\"\":", "-", "\xef\xbb\xbf"};
  const char *piece = pieces[roll(dice, sizeof pieces / sizeof pieces[0])];
  uint32_t length = (uint32_t)strlen(text), more = (uint32_t)strlen(piece), at;
  if (length == 0) return;
  at = roll(dice, length);
  switch (roll(dice, 3)) {
    case 0:
      text[at] = '\0';
      break;
    case 1:
      text[at] = (char)(1 + roll(dice, 255));
      break;
    default:
      if (length + more >= TEXT_BYTES) return;
      memmove(text + at + more, text + at, length - at + 1);
      memcpy(text + at, piece, more);
      break;
  }
}

/* NULL or a text that lives until the next but one. */
static inline const char *text(struct dice *dice) {
  const char *whole = fixed_texts[roll(dice, sizeof fixed_texts / sizeof fixed_texts[0])];
  char *broken;
  uint32_t times;
  if (roll(dice, 2000) == 0) return giants[roll(dice, (uint32_t)GIANTS)];
  if (whole == NULL || roll(dice, 2) == 0) return whole;
  broken = dice->texts[dice->text ^= 1];
  CHECK(strlen(whole) < TEXT_BYTES);
  strcpy(broken, whole);
  for (times = 1 + roll(dice, 3); times > 0; times--) break_text(dice, broken);
  return broken;
}

#endif
