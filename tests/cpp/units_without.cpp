// The unit without exceptions and run-time types: every verb by its result.
#include "check.hpp"

#if MDNSREG_CPP_EXCEPTIONS
#error this is compiled with -fno-exceptions
#endif

int without_exceptions(const char* name) {
  mr::registry registry = got(mr::registry::try_open(on_loopback()));
  CHECK(registry.try_get_service("nobody").error().status() == MDNSREG_ERR_NOT_FOUND);
  got(registry.try_init_json("{\"timeout_ms\":1000}"));
  got(registry.try_register(one_node("other", "other-1", 1), {30s, false}));
  CHECK(got(registry.try_list_services()).size() == 2);
  got(registry.try_deregister("other"));
  CHECK(got(registry.try_options()).find("1000") != std::string::npos && got(registry.try_stats()).front() == '{');

  int live = 0, told = 0, port = 0;
  mr::watch pushed = got(registry.try_watch({name}, [&told, captured = counted(&live)](const mr::event&) { add(&told, 1); }));
  AWAIT(get(&told) == 2);
  got(pushed.try_stop());
  CHECK(get(&live) == 0);

  mr::watch pulled = got(registry.try_watch({name}));
  CHECK(got(pulled.try_fd()) >= 0);
  auto events = pulled.events(20s);
  for (const auto& event : events) {
    if (event.type == mr::event_type::synced) break;
    port = event.service.nodes[0].port;
  }
  CHECK(!events.error());
  auto refused = pushed.events(0ms);
  for (const auto& event : refused) CHECK(event.key.empty());
  CHECK(refused.error() && refused.error()->status() == MDNSREG_ERR_BUSY);
  got(mr::try_set_log(MDNSREG_LOG_ERROR, [](std::int32_t, const char*, const char*) {}));
  got(mr::try_set_log_off());
  return port;
}
