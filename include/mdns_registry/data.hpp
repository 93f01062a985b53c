/// What a registry speaks of: plain structs, with the JSON key of each field.

#ifndef MDNS_REGISTRY_DATA_HPP
#define MDNS_REGISTRY_DATA_HPP

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

// Translation units with and without exceptions may be linked into one program: what differs has different names.
#if defined(__cpp_exceptions) || defined(_CPPUNWIND)
#define MDNSREG_CPP_EXCEPTIONS 1
#define MDNSREG_CPP_FORM with_exceptions
#else
#define MDNSREG_CPP_EXCEPTIONS 0
#define MDNSREG_CPP_FORM without_exceptions
#endif

namespace mdns_registry {
inline namespace MDNSREG_CPP_FORM {

using std::chrono::milliseconds;

/// As a timeout: no limit.
inline constexpr milliseconds forever{-1};

using metadata_map = std::map<std::string, std::string>;

/// The shape of a request or response.
struct value {
  std::string name{};
  std::string type{};
  std::vector<value> values{};

  template <class Self, class Tell>
  static void fields(Self& self, Tell tell) {
    tell("name", self.name);
    tell("type", self.type);
    tell("values", self.values);
  }
  friend bool operator==(const value& a, const value& b) {
    return a.name == b.name && a.type == b.type && a.values == b.values;
  }
  friend bool operator!=(const value& a, const value& b) { return !(a == b); }
};

/// One call that a service answers.
struct endpoint {
  std::string name{};
  std::optional<value> request{};
  std::optional<value> response{};
  metadata_map metadata{};

  template <class Self, class Tell>
  static void fields(Self& self, Tell tell) {
    tell("name", self.name);
    tell("request", self.request);
    tell("response", self.response);
    tell("metadata", self.metadata);
  }
  friend bool operator==(const endpoint& a, const endpoint& b) {
    return a.name == b.name && a.request == b.request && a.response == b.response && a.metadata == b.metadata;
  }
  friend bool operator!=(const endpoint& a, const endpoint& b) { return !(a == b); }
};

/// One place where a service runs. An empty address means this host.
struct node {
  std::string id{};
  std::string address{};
  std::uint16_t port{};
  metadata_map metadata{};

  template <class Self, class Tell>
  static void fields(Self& self, Tell tell) {
    tell("id", self.id);
    tell("address", self.address);
    tell("port", self.port);
    tell("metadata", self.metadata);
  }
  friend bool operator==(const node& a, const node& b) {
    return a.id == b.id && a.address == b.address && a.port == b.port && a.metadata == b.metadata;
  }
  friend bool operator!=(const node& a, const node& b) { return !(a == b); }
};

/// A service: one name, one version, any number of nodes.
struct service {
  std::string name{};
  std::string version{};
  metadata_map metadata{};
  std::vector<endpoint> endpoints{};
  std::vector<node> nodes{};

  template <class Self, class Tell>
  static void fields(Self& self, Tell tell) {
    tell("name", self.name);
    tell("version", self.version);
    tell("metadata", self.metadata);
    tell("endpoints", self.endpoints);
    tell("nodes", self.nodes);
  }
  friend bool operator==(const service& a, const service& b) {
    return a.name == b.name && a.version == b.version && a.metadata == b.metadata && a.endpoints == b.endpoints &&
           a.nodes == b.nodes;
  }
  friend bool operator!=(const service& a, const service& b) { return !(a == b); }
};

/// Options of a registry; what is empty keeps its default, or with `init` its present value.
struct options {
  std::vector<std::string> addrs{};
  std::optional<milliseconds> timeout{};
  std::vector<std::string> wire{};
  std::optional<std::string> domain{};
  std::optional<std::string> link{};
  std::optional<std::uint16_t> port{};

  template <class Self, class Tell>
  static void fields(Self& self, Tell tell) {
    if (!self.addrs.empty()) tell("addrs", self.addrs);
    if (!self.wire.empty()) tell("wire", self.wire);
    tell("timeout_ms", self.timeout);
    tell("domain", self.domain);
    tell("link", self.link);
    tell("port", self.port);
  }
};

struct register_options {
  std::optional<milliseconds> ttl{};
  bool auto_renew = true;

  template <class Self, class Tell>
  static void fields(Self& self, Tell tell) {
    tell("ttl_ms", self.ttl);
    tell("auto_renew", self.auto_renew);
  }
};

/// Without a service: all services. The queue is counted in changes.
struct watch_options {
  std::optional<std::string> service{};
  std::optional<std::uint32_t> queue{};

  template <class Self, class Tell>
  static void fields(Self& self, Tell tell) {
    tell("service", self.service);
    tell("queue", self.queue);
  }
};

namespace detail {

/// Every node of a name.
struct all_of {
  std::string name{};
  std::string version{};

  template <class Self, class Tell>
  static void fields(Self& self, Tell tell) {
    tell("name", self.name);
    tell("version", self.version);
  }
};

}  // namespace detail

enum class event_type { service, synced, resync };

enum class action { create, update, delete_ };

inline const char* to_string(action what) noexcept {
  return what == action::create ? "create" : what == action::update ? "update" : "delete";
}

/// What a watch tells. `action` and what follows it are those of a `service` event, whose service has exactly one node.
struct event {
  event_type type{};
  std::optional<mdns_registry::action> action{};
  /// Opaque, and the same in all events of one node: fold by it.
  std::string key{};
  std::string reason{};
  mdns_registry::service service{};
};

}  // namespace MDNSREG_CPP_FORM
}  // namespace mdns_registry

#endif
