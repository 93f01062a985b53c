// What goes in typed comes out the same: through the JSON of the header, through a lookup and through an event.
#include "check.hpp"

using namespace std::string_literals;

static const std::string hostile[] = {
    "",
    "\"",
    "\\",
    "\\\"\\",
    "\\u0041",
    "\"}],\"nodes\":[{",
    "a\0b"s,
    "\x01\x1f\x7f\b\f\n\r\t",
    "gr\u00fc\u00df \U0001f44b \u2028\u2029 \uffff",
    "{}[]:,null true 1e9",
    " leading and trailing ",
    std::string(2000, '\\'),
};

static mr::service everything() {
  mr::service service{"front \"desk\" \\ \U0001f44b", "1.0 \"beta\"", {}, {}, {{"node.1/\\\"", "127.0.0.1", 65535, {}}}};
  mr::value nested{"leaf", "string", {}};
  for (int depth = 0; depth < 12; ++depth) nested = {"level", "message", {nested, {"\"", "\\", {}}}};
  service.endpoints = {{"Greeter.Hello", nested, {}, {{"stream", "true"}}}, {"Greeter.Wave", {}, mr::value{}, {}}};
  for (const std::string& text : hostile) {
    if (!text.empty()) service.metadata[text] = "key";
    service.metadata["value " + std::to_string(service.metadata.size())] = text;
    service.nodes[0].metadata["value " + std::to_string(service.nodes[0].metadata.size())] = text;
    service.endpoints[0].metadata["text" + std::to_string(service.endpoints[0].metadata.size())] = text;
  }
  return service;
}

template <class T>
static bool reads(std::string_view json, T& into) {
  return mr::detail::reader::read(json, into);
}

static void through_the_network(const mr::service& service) {
  mr::registry registry = got(mr::registry::try_open(on_loopback()));
  got(registry.try_register(service));
  const auto found = got(registry.try_get_service(service.name));
  CHECK(found.size() == 1 && found[0] == service);

  mr::watch watch = got(registry.try_watch({service.name}));
  const auto event = got(watch.try_next(20s));
  CHECK(event && event->type == mr::event_type::service && event->action == mr::action::create);
  CHECK(event->service == service && !event->key.empty() && event->reason == "announced");

  mr::registry other = got(mr::registry::try_open(on_loopback()));
  mr::watch seen = got(other.try_watch({service.name}));
  const auto heard = got(seen.try_next(20s));
  CHECK(heard && heard->service == service);
}

static void what_is_no_json_is_refused(const std::string& json) {
  mr::service service;
  CHECK(reads(json, service));
  for (std::size_t length = 0; length < json.size(); ++length) CHECK(!reads(json.substr(0, length), service));
  CHECK(!reads(json + "x", service));
  for (const char* bad : {"{\"name\":\"\\ud83d\"}", "{\"name\":\"\\udc4b\"}", "{\"name\":\"\\ud83d\\u0041\"}",
                          "{\"name\":\"\\u12g4\"}", "{\"name\":\"\\x\"}", "{\"name\":null}", "{\"name\":1}", "{\"name\"}",
                          "[]", "{\"nodes\":[{\"port\":65536}]}", "{\"nodes\":[{\"port\":-1}]}", "{\"nodes\":[,]}",
                          "{\"nodes\":[{\"port\":1.5}]}", "{\"metadata\":[]}", "{,}"}) {
    CHECK(!reads(bad, service));
  }
  std::string deep;
  for (int depth = 0; depth < 100000; ++depth) deep += "{\"values\":[";
  mr::value value;
  CHECK(!reads(deep, value));
  CHECK(!reads("{\"unknown\":" + std::string(100000, '['), service));
}

// Bytes changed at random: read or refused, under the sanitizers.
static void no_bytes_break_the_reader(const std::string& json) {
  std::uint32_t dice = 1;
  for (int round = 0; round < 20000; ++round) {
    std::string changed = json.substr(0, 400);
    for (int change = 0; change < 3; ++change) {
      dice = dice * 1664525 + 1013904223;
      changed[(dice >> 8) % changed.size()] = "{}[]\",:\\u0n9\x80"[dice % 13];
    }
    mr::service service;
    (void)reads(changed, service);
  }
}

int main() {
  const mr::service service = everything();
  const std::string json = mr::detail::to_json(service);
  mr::service back;
  CHECK(reads(json, back) && back == service);

  mr::service spaced;
  CHECK(reads(" { \"later\" : [ { \"x\" : -1.5e3 } , null ] , \"name\" : \"\\ud83d\\udc4b\\u00fc\\/\" } ", spaced));
  CHECK(spaced.name == "\U0001f44b\u00fc/" && spaced.nodes.empty());

  mr::service small = service;
  small.endpoints.clear();
  what_is_no_json_is_refused(mr::detail::to_json(small));
  no_bytes_break_the_reader(json);
  through_the_network(service);
  return done();
}
