/* The constants of the header are those of the library that is loaded. */
#include "check.h"

static const struct {
  mdnsreg_status status;
  const char *name;
} statuses[] = {
    {MDNSREG_OK, "OK"},
    {MDNSREG_END, "END"},
    {MDNSREG_EMPTY, "EMPTY"},
    {MDNSREG_DEFERRED, "DEFERRED"},
    {MDNSREG_ERR_NULL, "NULL"},
    {MDNSREG_ERR_HANDLE, "HANDLE"},
    {MDNSREG_ERR_CLOSED, "CLOSED"},
    {MDNSREG_ERR_TYPE, "TYPE"},
    {MDNSREG_ERR_UTF8, "UTF8"},
    {MDNSREG_ERR_JSON, "JSON"},
    {MDNSREG_ERR_OPTION, "OPTION"},
    {MDNSREG_ERR_INVALID, "INVALID"},
    {MDNSREG_ERR_TOO_LARGE, "TOO_LARGE"},
    {MDNSREG_ERR_NOT_FOUND, "NOT_FOUND"},
    {MDNSREG_ERR_TIMEOUT, "TIMEOUT"},
    {MDNSREG_ERR_CANCELLED, "CANCELLED"},
    {MDNSREG_ERR_NETWORK, "NETWORK"},
    {MDNSREG_ERR_BUSY, "BUSY"},
    {MDNSREG_ERR_FORKED, "FORKED"},
    {MDNSREG_ERR_NOMEM, "NOMEM"},
    {MDNSREG_ERR_UNSUPPORTED, "UNSUPPORTED"},
    {MDNSREG_ERR_VERSION, "VERSION"},
    {MDNSREG_ERR_PANIC, "PANIC"},
};

int main(void) {
  size_t known = sizeof statuses / sizeof statuses[0], i;
  size_t seen = 0;
  mdnsreg_status status;
  char version[64];
  mdnsreg_error *err = NULL;

  for (i = 0; i < known; i++) {
    CHECK_TEXT(mdnsreg_status_name(statuses[i].status), statuses[i].name);
    CHECK(strlen(mdnsreg_status_text(statuses[i].status)) > 3);
  }
  for (status = -1000; status <= 1000; status++) {
    const char *name = mdnsreg_status_name(status);
    CHECK((name == NULL) == (mdnsreg_status_text(status) == NULL));
    if (name != NULL) seen++;
  }
  CHECK(seen == known);

  CHECK_TEXT(mdnsreg_version(), MDNSREG_VERSION);
  snprintf(version, sizeof version, "%d.%d.%d", MDNSREG_VERSION_MAJOR, MDNSREG_VERSION_MINOR, MDNSREG_VERSION_PATCH);
  CHECK_TEXT(version, MDNSREG_VERSION);
  CHECK(MDNSREG_VERSION_NUMBER ==
        MDNSREG_VERSION_MAJOR * 1000000 + MDNSREG_VERSION_MINOR * 1000 + MDNSREG_VERSION_PATCH);
  CHECK(mdnsreg_abi_version() == MDNSREG_ABI_VERSION);

  CHECK_OK(mdnsreg_abi_check(MDNSREG_ABI_VERSION, &err));
  CHECK(err == NULL);
  CHECK_STATUS(mdnsreg_abi_check(MDNSREG_ABI_VERSION + 1, &err), MDNSREG_ERR_VERSION);
  CHECK_STATUS(mdnsreg_error_code(err), MDNSREG_ERR_VERSION);
  CHECK(strstr(mdnsreg_error_message(err), "ABI") != NULL);
  mdnsreg_error_free(err);
  return done();
}
