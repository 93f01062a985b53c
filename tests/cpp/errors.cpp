// Errors, thrown and returned: status, field, limit, value; and what the header itself refuses.
#include "check.hpp"

template <class Call>
static mr::error thrown(Call call) {
  try {
    call();
  } catch (const mr::error& error) {
    return error;
  }
  std::fprintf(stderr, "nothing was thrown\n");
  abort();
}

static void check_says(const mr::error& error, mdnsreg_status status, const std::string& field) {
  CHECK_STATUS(error.status(), status);
  CHECK_TEXT(error.name().c_str(), mdnsreg_status_name(status));
  CHECK_TEXT(error.field().c_str(), field.c_str());
  CHECK(*error.what() != '\0');
  CHECK(error.code() == std::error_code(status, mr::category()));
  CHECK(error.code().message() == mdnsreg_status_text(status));
}

int main() {
  mr::registry registry(on_loopback());
  CHECK(registry.string() == "mdns");
  CHECK(registry.options().find("\"addrs\":[\"127.0.0.1\"]") != std::string::npos);
  CHECK(registry.stats().front() == '{');

  const auto long_id = thrown([&] { registry.register_(one_node("greeter", std::string(300, 'x'), 9090)); });
  check_says(long_id, MDNSREG_ERR_TOO_LARGE, "nodes[0].id");
  CHECK(long_id.limit() == 255 && long_id.value() == "300" && long_id.unit() == "bytes");

  const auto port = thrown([&] { registry.register_(one_node("greeter", "a", 0)); });
  check_says(port, MDNSREG_ERR_INVALID, "nodes[0].port");
  CHECK(!port.limit() && port.value() == "0" && port.unit().empty());

  check_says(thrown([&] { registry.get_service("nobody"); }), MDNSREG_ERR_NOT_FOUND, "");
  check_says(thrown([&] { registry.get_service(std::string("a\0b", 3)); }), MDNSREG_ERR_INVALID, "name");
  check_says(thrown([&] { registry.get_service("\xff"); }), MDNSREG_ERR_UTF8, "name");
  check_says(thrown([&] { registry.register_(one_node("\xff", "a", 1)); }), MDNSREG_ERR_UTF8, "service_json");
  check_says(thrown([&] { registry.register_(one_node("a", "a", 1), {1ms}); }), MDNSREG_ERR_OPTION, "ttl_ms");
  check_says(thrown([&] { registry.init({{}, 0ms}); }), MDNSREG_ERR_OPTION, "timeout_ms");
  check_says(thrown([&] { mr::registry::open_json("{\"timeout\":1}"); }), MDNSREG_ERR_OPTION, "timeout");
  check_says(thrown([&] { mr::registry::open_json(std::string("{}\0", 3)); }), MDNSREG_ERR_INVALID, "options");
  check_says(thrown([&] { registry.watch({"greeter", 0}); }), MDNSREG_ERR_OPTION, "queue");
  check_says(thrown([&] { mr::registry closed(std::move(registry)); closed.close(); closed.list_services(); }),
             MDNSREG_ERR_NULL, "registry");

  auto kept = mr::registry::try_open(on_loopback());
  CHECK(kept.value().string() == "mdns" && kept->handle() == kept.value().handle());
  kept.value().close();
  const auto refused = mr::registry::try_open_json("[]");
  CHECK(!refused && refused.error().status() == MDNSREG_ERR_OPTION);
  CHECK(mr::category().message(12345) == "unknown status");

  mr::registry shared = mr::registry::default_();
  shared.init(on_loopback());
  shared.register_(one_node("greeter", "greeter-1", 9090));
  shared.register_(one_node("greeter", "greeter-2", 9091));
  mr::service second = one_node("greeter", "greeter-2", 1);
  second.nodes.clear();
  shared.deregister(second);
  CHECK(mr::registry::default_().get_service("greeter").at(0).nodes.size() == 2);
  second.nodes = {{"greeter-2"}};
  shared.deregister(second);
  CHECK(shared.get_service("greeter").at(0).nodes.size() == 1);
  shared.deregister("greeter", "2");
  CHECK(shared.list_services().size() == 1 && shared.list_services()[0] == mr::service{"greeter"});
  shared.deregister("greeter", "1");
  CHECK(shared.list_services().empty());
  shared.close();

  int live = 0, lines = 0;
  mr::set_log(MDNSREG_LOG_TRACE, [captured = counted(&live), &lines](std::int32_t level, const char* target, const char*) {
    CHECK(level >= MDNSREG_LOG_ERROR && level <= MDNSREG_LOG_TRACE && target != nullptr);
    add(&lines, 1);
    throw level;
  });
  mr::registry(on_loopback()).register_(one_node("greeter", "greeter-1", 9090));
  AWAIT(get(&lines) > 0);
  mr::set_log_off();
  AWAIT(get(&live) == 0);
  return done();
}
