/* One value out of JSON by its place, and one text into it. */
#include "check.h"

static void check_get(const char *json, const char *pointer, const char *wanted) {
  char *got = NULL;
  CHECK_OK(mdnsreg_json_get(json, pointer, &got, NULL));
  CHECK_TEXT(got, wanted);
  mdnsreg_string_free(got);
}

static void check_refused(const char *json, const char *pointer, mdnsreg_status status, const char *named) {
  char *got = NULL;
  mdnsreg_error *err = NULL;
  CHECK_STATUS(mdnsreg_json_get(json, pointer, &got, &err), status);
  CHECK(got == NULL);
  CHECK(strstr(mdnsreg_error_message(err), named) != NULL);
  mdnsreg_error_free(err);
}

/* What is quoted reads back as it was. */
static void check_quote(const char *text) {
  char *quoted = NULL;
  CHECK_OK(mdnsreg_json_quote(text, &quoted, NULL));
  CHECK(quoted[0] == '"');
  check_get(quoted, "", text);
  mdnsreg_string_free(quoted);
}

int main(void) {
  const char *services = "[{\"name\":\"a\\\"b\",\"nodes\":[{\"port\":9090,\"metadata\":{\"x/y~z\":\"\\u00fc\\u0000\"}},"
                         "{\"up\":true,\"request\":null}]}]";
  char *none = NULL;
  check_get(services, "/0/name", "a\"b");
  check_get(services, "/0/nodes/0/port", "9090");
  check_get(services, "/0/nodes/0/metadata/x~1y~0z", "\xc3\xbc\xef\xbf\xbd");
  check_get(services, "/0/nodes/1", "{\"up\":true,\"request\":null}");
  check_get(services, "/0/nodes/1/request", "null");
  check_get("\"text\"", "", "text");
  /* As it stands there: the order of keys, numbers of any size, and the last of two keys. */
  check_get("[{\"z\":1, \"a\":[2 ]}]", "/0", "{\"z\":1, \"a\":[2 ]}");
  check_get("{\"n\":123456789012345678901234567890}", "/n", "123456789012345678901234567890");
  check_get("{\"n\":[1e999,-0,0.10]}", "/n", "[1e999,-0,0.10]");
  check_get("{\"a\":{\"b\":1},\"a\":{\"b\":2}}", "/a/b", "2");
  check_get("{\"a\\u0062\":{\"\":[0,1,2,3,4,5,6,7,8,9,\"ten\"]}}", "/ab//10", "ten");

  check_refused(services, "/0/nodes/2", MDNSREG_ERR_INVALID, "/0/nodes/2");
  check_refused(services, "0/nodes", MDNSREG_ERR_INVALID, "0/nodes");
  check_refused(services, "/0/nodes/01", MDNSREG_ERR_INVALID, "/0/nodes/01");
  check_refused(services, "/0/nodes/+1", MDNSREG_ERR_INVALID, "/0/nodes/+1");
  check_refused(services, "/0/nodes/-", MDNSREG_ERR_INVALID, "/0/nodes/-");
  check_refused(services, "/0/name/0", MDNSREG_ERR_INVALID, "/0/name/0");
  check_refused("{\"a\":{\"b\":1},\"a\":2}", "/a/b", MDNSREG_ERR_INVALID, "/a/b");
  check_refused("{\"a\":1,\"b\":}", "/a", MDNSREG_ERR_JSON, "column 12");
  check_refused("[1] 2", "/0", MDNSREG_ERR_JSON, "column 5");
  check_refused("[\"\\ud800\"]", "/0", MDNSREG_ERR_INVALID, "ud800");
  check_refused("{\"a\":}", "/a", MDNSREG_ERR_JSON, "column 6");
  check_refused("\"\xff\"", "", MDNSREG_ERR_UTF8, "byte 1 is 0xff");

  check_quote("");
  check_quote("a \"quoted\" \\ \b\f\n\r\t\x01\x1f\x7f text");
  check_quote("gr\xc3\xbc\xc3\x9f \xf0\x9f\x91\x8b \xe2\x80\xa8");
  CHECK_STATUS(mdnsreg_json_quote("\xff", &none, NULL), MDNSREG_ERR_UTF8);
  return done();
}
