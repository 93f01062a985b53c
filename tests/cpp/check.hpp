// What the C++ programs share, beside what the C programs do. Each tests one concern and prints nothing when all is well.
#ifndef CHECK_HPP
#define CHECK_HPP

#include <string>
#include <utility>

#include "check.h"
#include "mdns_registry.hpp"

using namespace std::chrono_literals;
namespace mr = mdns_registry;

inline mr::options on_loopback() {
  mr::options options;
  options.addrs = {"127.0.0.1"};
  options.timeout = 200ms;
  return options;
}

inline mr::service one_node(const std::string& name, const std::string& id, std::uint16_t port) {
  return {name, "1", {}, {}, {{id, "127.0.0.1", port, {}}}};
}

// The value of a result that has one.
template <class T>
T got(mr::result<T> result) {
  if (!result) std::fprintf(stderr, "%s\n", result.error().what());
  CHECK(result);
  return *std::move(result);
}

inline void got(mr::result<void> result) {
  if (!result) std::fprintf(stderr, "%s\n", result.error().what());
  CHECK(result);
}

// Counts its copies that live, and those that ever did not end.
struct counted {
  int* live;
  explicit counted(int* live_) : live(live_) { add(live, 1); }
  counted(const counted& other) : live(other.live) { add(live, 1); }
  counted(counted&& other) noexcept : live(other.live) { add(live, 1); }
  counted& operator=(const counted&) = delete;
  ~counted() { add(live, -1); }
};

#endif
