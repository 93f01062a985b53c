/// mdns-registry from C++17, over mdns_registry.h: typed data, handles that close themselves, lambdas for watching.
///
/// Every verb has two forms: `get_service` returns its value and throws `error`; `try_get_service` returns a `result`.
/// With -fno-exceptions there is only the second. A name that is a keyword of C++ ends in an underscore: `register_`,
/// `default_`, `action::delete_`. Threads: as in C, any function may be called on any thread; what is moved from is
/// used no more.

#ifndef MDNS_REGISTRY_HPP
#define MDNS_REGISTRY_HPP

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "mdns_registry.h"
#include "mdns_registry/data.hpp"
#include "mdns_registry/json.hpp"
#include "mdns_registry/result.hpp"
#include "mdns_registry/watch.hpp"

namespace mdns_registry {
inline namespace MDNSREG_CPP_FORM {

/// What this program registers, and its view of what others do. Closes at the end of its life: the nodes are withdrawn,
/// in at most 250 ms.
class registry {
 public:
  static result<registry> try_open(const mdns_registry::options& options = {}) {
    return try_open_json(detail::to_json(options));
  }

  /// With options as JSON, for keys that the struct does not have.
  static result<registry> try_open_json(const std::string& options) {
    if (const auto text = detail::check_text(options, "options"); !text) return text.error();
    return made([&](mdnsreg_registry** out, mdnsreg_error** err) { return mdnsreg_open(options.c_str(), out, err); });
  }

  /// A reference to the process's own registry, whose options are in MDNS_REGISTRY_OPTIONS.
  static result<registry> try_default() { return made(mdnsreg_default); }

  result<void> try_init(const mdns_registry::options& options) { return try_init_json(detail::to_json(options)); }

  result<void> try_init_json(const std::string& options) {
    if (const auto text = detail::check_text(options, "options"); !text) return text;
    return detail::done([&](mdnsreg_error** err) { return mdnsreg_init(handle(), options.c_str(), err); });
  }

  /// Publishes every node, all or none. One that is registered is replaced.
  result<void> try_register(const service& service, const register_options& options = {}) {
    const std::string descriptor = detail::to_json(service), how = detail::to_json(options);
    return detail::done(
        [&](mdnsreg_error** err) { return mdnsreg_register(handle(), descriptor.c_str(), how.c_str(), err); });
  }

  /// Withdraws the nodes in the service, by id; none where it has none.
  result<void> try_deregister(const service& service) { return deregister_json(detail::to_json(service)); }

  /// Withdraws all nodes of this name, and of this version if it is not empty.
  result<void> try_deregister(const std::string& name, const std::string& version = {}) {
    return deregister_json(detail::to_json(detail::all_of{name, version}));
  }

  /// One service per version, with its nodes sorted by id.
  result<std::vector<service>> try_get_service(const std::string& name) const {
    if (const auto text = detail::check_text(name, "name"); !text) return text.error();
    return services([&](char** out, mdnsreg_error** err) {
      return mdnsreg_get_service(handle(), name.c_str(), out, err);
    });
  }

  /// The names there are, sorted, each as a service without more.
  result<std::vector<service>> try_list_services() const {
    return services([&](char** out, mdnsreg_error** err) { return mdnsreg_list_services(handle(), out, err); });
  }

  /// Tells the present state as `create`, then `synced`, then every change.
  result<mdns_registry::watch> try_watch(const watch_options& options = {}) const {
    return mdns_registry::watch::try_open(handle(), options);
  }

  /// The same, told to `listener` on a thread of the library's, as `void(const event&)`.
  template <class Listener>
  result<mdns_registry::watch> try_watch(const watch_options& options, Listener listener) const {
    auto watch = try_watch(options);
    if (!watch) return watch;
    if (const auto started = watch->try_start(std::move(listener)); !started) return started.error();
    return watch;
  }

  /// Every option in force, as JSON; secrets as "***".
  result<std::string> try_options() const {
    return json([&](char** out, mdnsreg_error** err) { return mdnsreg_options(handle(), out, err); });
  }

  /// What was done and dropped, counted, as JSON.
  result<std::string> try_stats() const {
    return json([&](char** out, mdnsreg_error** err) { return mdnsreg_stats(handle(), out, err); });
  }

  /// "mdns"; empty where there is no registry.
  std::string string() const {
    const char* const kind = mdnsreg_string(handle());
    return kind != nullptr ? kind : "";
  }

  /// Withdraws what was registered. Watches end, and are closed by themselves.
  void close() noexcept { handle_.reset(); }

  /// For functions of mdns_registry.h; stays the registry's.
  mdnsreg_registry* handle() const noexcept { return handle_.get(); }

#if MDNSREG_CPP_EXCEPTIONS
  explicit registry(const mdns_registry::options& options = {}) : registry(try_open(options).value()) {}
  static registry open_json(const std::string& options) { return try_open_json(options).value(); }
  static registry default_() { return try_default().value(); }
  void init(const mdns_registry::options& options) { try_init(options).value(); }
  void init_json(const std::string& options) { try_init_json(options).value(); }
  void register_(const service& service, const register_options& options = {}) {
    try_register(service, options).value();
  }
  void deregister(const service& service) { try_deregister(service).value(); }
  void deregister(const std::string& name, const std::string& version = {}) { try_deregister(name, version).value(); }
  std::vector<service> get_service(const std::string& name) const { return try_get_service(name).value(); }
  std::vector<service> list_services() const { return try_list_services().value(); }
  mdns_registry::watch watch(const watch_options& options = {}) const { return try_watch(options).value(); }
  template <class Listener>
  mdns_registry::watch watch(const watch_options& options, Listener listener) const {
    return try_watch(options, std::move(listener)).value();
  }
  std::string options() const { return try_options().value(); }
  std::string stats() const { return try_stats().value(); }
#endif

 private:
  struct closer {
    void operator()(mdnsreg_registry* registry) const noexcept { mdnsreg_close(registry); }
  };

  std::unique_ptr<mdnsreg_registry, closer> handle_;

  explicit registry(mdnsreg_registry* handle) noexcept : handle_(handle) {}

  template <class Open>
  static result<registry> made(Open open) {
    if (auto fits = detail::done([](mdnsreg_error** err) { return mdnsreg_abi_check(MDNSREG_ABI_VERSION, err); }); !fits)
      return fits.error();
    mdnsreg_registry* handle = nullptr;
    if (auto opened = detail::done([&](mdnsreg_error** err) { return open(&handle, err); }); !opened)
      return opened.error();
    return registry(handle);
  }

  result<void> deregister_json(const std::string& selection) {
    return detail::done([&](mdnsreg_error** err) { return mdnsreg_deregister(handle(), selection.c_str(), err); });
  }

  template <class Ask>
  static result<std::string> json(Ask ask) {
    const auto text = detail::text(ask);
    if (!text) return text.error();
    return std::string(text->get());
  }

  template <class Ask>
  static result<std::vector<service>> services(Ask ask) {
    const auto text = detail::text(ask);
    if (!text) return text.error();
    return detail::parsed<std::vector<service>>(text->get());
  }
};

/// Hands the log to `log(int32_t level, const char* target, const char* message)`, on any thread, on several at once,
/// until the next call. It calls nothing of this library, and what it throws is dropped.
template <class Log>
result<void> try_set_log(std::int32_t level, Log log) {
  const auto line = [](std::int32_t at, const char* target, const char* message, void* user) noexcept {
#if MDNSREG_CPP_EXCEPTIONS
    try {
      (*static_cast<Log*>(user))(at, target, message);
    } catch (...) {
    }
#else
    (*static_cast<Log*>(user))(at, target, message);
#endif
  };
  const auto free = [](void* user) noexcept { delete static_cast<Log*>(user); };
  auto* const user = new Log(std::move(log));
  return detail::done([&](mdnsreg_error** err) { return mdnsreg_log_set(level, line, user, free, err); });
}

/// No log, as at first.
inline result<void> try_set_log_off() {
  return detail::done(
      [](mdnsreg_error** err) { return mdnsreg_log_set(MDNSREG_LOG_OFF, nullptr, nullptr, nullptr, err); });
}

#if MDNSREG_CPP_EXCEPTIONS
template <class Log>
void set_log(std::int32_t level, Log log) {
  try_set_log(level, std::move(log)).value();
}
inline void set_log_off() { try_set_log_off().value(); }
#endif

}  // namespace MDNSREG_CPP_FORM
}  // namespace mdns_registry

#endif
