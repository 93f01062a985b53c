// A watch by its faces, and what becomes of a listener: its captures, what it throws, stopping and closing inside it.
#include <poll.h>

#include <atomic>
#include <thread>

#include "check.hpp"

static std::string short_of(const mr::event& event) {
  if (event.type == mr::event_type::synced) return "synced";
  if (event.type == mr::event_type::resync) return "resync";
  return std::string(mr::to_string(*event.action)) + ":" + std::to_string(event.service.nodes.at(0).port);
}

static const std::string story = "create:1 synced update:2 delete:2 ";

static void tell(mr::registry& registry) {
  registry.register_(one_node("told", "a", 2));
  registry.deregister("told");
}

static void pulled(mr::registry& registry) {
  registry.register_(one_node("told", "a", 1));
  mr::watch watch = registry.watch({"told"});
  std::string log;
  for (const auto& event : watch.events(20s)) {
    log += short_of(event) + " ";
    if (event.type == mr::event_type::synced) tell(registry);
    if (event.action == mr::action::delete_) break;
  }
  CHECK_TEXT(log.c_str(), story.c_str());
  CHECK(!watch.next(0ms) && !watch.ended());
  int after = 0;
  for (const auto& event : watch.events(1ms)) after += event.key.empty() ? 0 : 1;
  CHECK(after == 0);

  std::thread stopper([&] { watch.stop(); });
  CHECK(!watch.next());
  stopper.join();
  for (const auto& event : watch.events()) CHECK(event.key.empty());
  CHECK(watch.ended());
}

static void looped(mr::registry& registry) {
  registry.register_(one_node("told", "a", 1));
  mr::watch watch = registry.watch({"told"});
  std::string log;
  const int fd = watch.fd();
  for (bool deleted = false; !deleted;) {
    pollfd waiting{fd, POLLIN, 0};
    CHECK(poll(&waiting, 1, DEADLINE_MS) == 1);
    watch.dispatch([&](const mr::event& event) {
      log += short_of(event) + " ";
      deleted = event.action == mr::action::delete_;
      if (event.type == mr::event_type::synced) tell(registry);
    });
  }
  CHECK_TEXT(log.c_str(), story.c_str());

  registry.register_(one_node("told", "a", 1));
  AWAIT([&] {
    try {
      return watch.dispatch([](const mr::event&) { throw 42; }) > 0;
    } catch (int thrown) {
      return thrown == 42;
    }
  }());
  registry.deregister("told");
}

// A listener that makes an event for each that it is told would never let the loop go on.
static void a_producer_as_fast_as_the_loop(mr::registry& registry) {
  mr::watch watch = registry.watch({"busy"});
  const int fd = watch.fd();
  std::uint16_t port = 1;
  registry.register_(one_node("busy", "a", port));
  const auto busy = [&](const mr::event&) { registry.register_(one_node("busy", "a", ++port)); };
  const auto readable = [&] {
    pollfd waiting{fd, POLLIN, 0};
    return poll(&waiting, 1, DEADLINE_MS) == 1;
  };
  for (const std::size_t max : {std::size_t(1), std::size_t(3), std::size_t(3)}) {
    CHECK(readable());
    const auto told = watch.dispatch(busy, max);
    CHECK(told >= 1 && told <= max);
  }
  CHECK(readable() && watch.dispatch(busy) <= mr::watch::batch);
  const auto none = watch.try_dispatch(busy, 0);
  CHECK(!none && none.error().status() == MDNSREG_ERR_INVALID && none.error().field() == "max");

  std::thread stopper([&] { watch.stop(); });
  while (!watch.ended()) {
    CHECK(readable());
    watch.dispatch([](const mr::event&) {});
  }
  stopper.join();
  CHECK(readable() && watch.dispatch(busy) == 0 && watch.ended());
  registry.deregister("busy");
}

static void pushed(mr::registry& registry) {
  registry.register_(one_node("told", "a", 1));
  int live = 0;
  std::string log;
  std::atomic<bool> deleted{false}, synced{false};
  {
    mr::watch watch = registry.watch({"told"}, [&, captured = counted(&live)](const mr::event& event) {
      log += short_of(event) + " ";
      if (event.type == mr::event_type::synced) synced = true;
      if (event.action == mr::action::delete_) deleted = true;
    });
    AWAIT(synced);
    tell(registry);
    AWAIT(deleted);
    CHECK(get(&live) == 1);
    mr::watch moved = std::move(watch);
    moved.stop();
    CHECK(get(&live) == 0);
    moved.stop();
  }
  CHECK_TEXT(log.c_str(), story.c_str());
}

static void a_listener_that_throws(mr::registry& registry) {
  int live = 0, calls = 0;
  mr::watch watch = registry.watch({}, [&calls, captured = counted(&live)](const mr::event&) {
    add(&calls, 1);
    throw std::out_of_range("the listener's own");
  });
  AWAIT(get(&live) == 0);
  CHECK(get(&calls) == 1);
  registry.register_(one_node("told", "a", 1));
  registry.deregister("told");
  const auto returned = watch.try_stop();
  CHECK(!returned && returned.error().status() == MDNSREG_END);
  CHECK(std::string(returned.error().what()).find("the listener's own") != std::string::npos);
  for (int time = 0; time < 2; ++time) {
    bool same = false;
    try {
      watch.stop();
    } catch (const std::out_of_range& thrown) {
      same = std::string(thrown.what()) == "the listener's own";
    }
    CHECK(same);
  }
  CHECK(get(&calls) == 1);

  int called = 0, thrown = 0;
  mr::watch odd = registry.watch({}, [&called](const mr::event&) {
    set(&called, 1);
    throw 42;
  });
  AWAIT(get(&called) == 1);
  try {
    odd.stop();
  } catch (int what) {
    thrown = what;
  }
  CHECK(thrown == 42);
}

static void a_start_that_fails_frees_the_listener_once(mr::registry& registry) {
  int live = 0;
  mr::watch watch = registry.watch();
  CHECK(watch.next(20s));
  const auto refused = watch.try_start([captured = counted(&live)](const mr::event&) {});
  CHECK(!refused && refused.error().status() == MDNSREG_ERR_BUSY);
  CHECK(get(&live) == 0);
}

// Stopping and destroying inside the listener do not wait for it; destroying outside does.
static void the_end_of_a_watch(mr::registry& registry) {
  int live = 0;
  mr::watch stopped = registry.watch();
  stopped.start([&stopped, captured = counted(&live)](const mr::event&) { stopped.stop(); });
  AWAIT(get(&live) == 0);

  auto own = std::make_unique<mr::watch>(registry.watch());
  std::atomic<bool> destroyed{false};
  own->start([&own, &destroyed, captured = counted(&live)](const mr::event&) {
    own.reset();
    destroyed = true;
  });
  AWAIT(destroyed && get(&live) == 0);

  std::atomic<bool> running{false}, ended{false};
  {
    mr::watch slow = registry.watch({}, [&](const mr::event&) {
      running = true;
      pause_ms(50);
      ended = true;
    });
    AWAIT(running);
    const auto busy = slow.try_stop(0ms);
    CHECK(ended || (!busy && busy.error().status() == MDNSREG_ERR_BUSY));
  }
  CHECK(ended);

  mr::watch closed = registry.watch({}, [captured = counted(&live)](const mr::event&) {});
  closed.close();
  AWAIT(get(&live) == 0);
  CHECK(closed.try_next(0ms).error().status() == MDNSREG_ERR_NULL);
}

int main() {
  mr::registry registry(on_loopback());
  pulled(registry);
  looped(registry);
  a_producer_as_fast_as_the_loop(registry);
  pushed(registry);
  a_listener_that_throws(registry);
  a_start_that_fails_frees_the_listener_once(registry);
  the_end_of_a_watch(registry);

  mr::watch outlives = registry.watch();
  registry.close();
  for (const auto& event : outlives.events(20s)) CHECK(event.type == mr::event_type::synced);
  CHECK(outlives.ended());
  return done();
}
