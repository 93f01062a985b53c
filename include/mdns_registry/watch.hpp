/// Watches: pull with `next` and `events`, in an event loop with `fd` and `dispatch`, or push with `start`.

#ifndef MDNS_REGISTRY_WATCH_HPP
#define MDNS_REGISTRY_WATCH_HPP

#include <atomic>
#include <cstddef>
#include <exception>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "../mdns_registry.h"
#include "data.hpp"
#include "result.hpp"

namespace mdns_registry {
inline namespace MDNSREG_CPP_FORM {

namespace detail {

inline result<event> read_event(const mdnsreg_event* from) {
  const auto text = [](const char* maybe) { return std::string(maybe != nullptr ? maybe : ""); };
  const std::string type = text(mdnsreg_event_type(from));
  event read;
  if (type == "synced" || type == "resync") {
    read.type = type == "synced" ? event_type::synced : event_type::resync;
    return read;
  }
  const std::string action = text(mdnsreg_event_action(from));
  for (const auto known : {action::create, action::update, action::delete_}) {
    if (action == to_string(known)) read.action = known;
  }
  if (type != "service" || !read.action) {
    return error::of(MDNSREG_ERR_VERSION, "this header does not know the event " + text(mdnsreg_event_json(from)));
  }
  auto service = parsed<mdns_registry::service>(text(mdnsreg_event_service(from)).c_str());
  if (!service) return service.error();
  read.key = text(mdnsreg_event_key(from));
  read.reason = text(mdnsreg_event_reason(from));
  read.service = *std::move(service);
  return read;
}

struct free_event {
  void operator()(mdnsreg_event* event) const noexcept { mdnsreg_event_free(event); }
};
using owned_event = std::unique_ptr<mdnsreg_event, free_event>;

/// What a watch and its callback share.
struct watch_state {
  std::atomic<bool> ended{false};
  std::mutex lock{};
  std::optional<error> failed{};
  std::exception_ptr thrown{};

  void fail(error why, std::exception_ptr exception = nullptr) {
    const std::lock_guard<std::mutex> held(lock);
    failed = std::move(why);
    thrown = std::move(exception);
  }
};

template <class Listener>
struct push {
  mdnsreg_watch* watch;
  std::shared_ptr<watch_state> state;
  Listener listener;

  void tell(const mdnsreg_event* from) {
    auto event = read_event(from);
    if (event) return listener(std::as_const(*event));
    state->fail(event.error());
    mdnsreg_watch_stop(watch, 0);
  }

  static void told(const mdnsreg_event* from, void* user) noexcept {
    auto& self = *static_cast<push*>(user);
#if MDNSREG_CPP_EXCEPTIONS
    try {
      return self.tell(from);
    } catch (const std::exception& thrown) {
      self.end(thrown.what());
    } catch (...) {
      self.end("something that is no std::exception");
    }
#else
    self.tell(from);
#endif
  }

  static void free(void* user) noexcept { delete static_cast<push*>(user); }

#if MDNSREG_CPP_EXCEPTIONS
  /// Inside a catch: ends the watch and keeps the exception.
  void end(const char* what) {
    state->fail(error::of(MDNSREG_END, std::string("the listener threw: ") + what), std::current_exception());
    mdnsreg_watch_stop(watch, 0);
  }
#endif
};

}  // namespace detail

class event_range;

/// One queue of events; one face at a time. Ends at the end of its life, and then waits for a listener that runs, as
/// std::jthread does: hold no lock there that the listener wants, or `stop` with a limit first. Inside its own listener
/// it does not wait.
class watch {
 public:
  /// The next event; nothing when none came in time or the watch has ended. `stop`, `close` and the end of the registry
  /// wake it.
  result<std::optional<event>> try_next(milliseconds timeout = forever) {
    mdnsreg_event* raw = nullptr;
    const auto status = detail::call(
        [&](mdnsreg_error** err) { return mdnsreg_watch_next(handle(), timeout.count(), &raw, err); });
    if (!status) return status.error();
    if (*status == MDNSREG_END) state_->ended = true;
    if (*status != MDNSREG_OK) return std::optional<event>();
    const detail::owned_event owned(raw);
    auto read = detail::read_event(raw);
    if (!read) return read.error();
    return std::optional<event>(*std::move(read));
  }

  /// Whether `next` or `dispatch` found the watch at its end: stopped, or its registry closed.
  bool ended() const noexcept { return state_->ended; }

  /// Events to iterate over, until the watch ends or none comes within the timeout.
  event_range events(milliseconds timeout = forever) &;

  /// Readable while events wait and when the watch has ended; for poll and epoll. It is the watch's.
  result<int> try_fd() {
    std::int32_t fd = -1;
    const auto got = detail::done([&](mdnsreg_error** err) { return mdnsreg_watch_fd(handle(), &fd, err); });
    if (!got) return got.error();
    return static_cast<int>(fd);
  }

  /// How many events `dispatch` tells at most where it is not said.
  static constexpr std::size_t batch = 1024;

  /// Tells `listener` the events that wait now, at most `max`, on this thread; returns how many. Less than `max`: none
  /// waits, or the watch has `ended`, after which the descriptor stays readable: leave the loop. What the listener
  /// throws comes out here.
  template <class Listener>
  result<std::size_t> try_dispatch(Listener listener, std::size_t max = batch) {
    if (max == 0) return error::of(MDNSREG_ERR_INVALID, "max: must be at least 1, not 0", "max");
    std::size_t told = 0;
    for (; told < max; ++told) {
      const auto event = try_next(milliseconds(0));
      if (!event) return event.error();
      if (!*event) break;
      listener(**event);
    }
    return told;
  }

  /// Calls `listener(const event&)` for every event from now on, on a thread of the library's, never before this has
  /// returned. The watch owns it and destroys it once, after its last call. One that throws ends the watch; `stop` then
  /// throws the same.
  template <class Listener>
  result<void> try_start(Listener listener) {
    using push = detail::push<Listener>;
    auto* const user = new push{handle(), state_, std::move(listener)};
    return detail::done(
        [&](mdnsreg_error** err) { return mdnsreg_watch_start(handle(), &push::told, user, &push::free, err); });
  }

  /// Ends the watch and waits for a listener that runs: then none runs or will run. Busy when it has not returned in
  /// time; inside the listener it ends when that returns. An error also when the listener ended the watch by throwing.
  result<void> try_stop(milliseconds timeout = forever) {
    const mdnsreg_status status = mdnsreg_watch_stop(handle(), timeout.count());
    if (status < MDNSREG_OK) return error::taken(status, nullptr);
    const std::lock_guard<std::mutex> held(state_->lock);
    if (state_->failed) return *state_->failed;
    return {};
  }

  /// Ends and frees it without waiting for a listener that runs.
  void close() noexcept { mdnsreg_watch_close(handle_.release()); }

  /// For functions of mdns_registry.h; stays the watch's.
  mdnsreg_watch* handle() const noexcept { return handle_.get(); }

  static result<watch> try_open(mdnsreg_registry* registry, const watch_options& options) {
    const std::string json = detail::to_json(options);
    mdnsreg_watch* handle = nullptr;
    const auto opened = detail::done(
        [&](mdnsreg_error** err) { return mdnsreg_watch_open(registry, json.c_str(), &handle, err); });
    if (!opened) return opened.error();
    return watch(handle);
  }

#if MDNSREG_CPP_EXCEPTIONS
  std::optional<event> next(milliseconds timeout = forever) { return try_next(timeout).value(); }
  int fd() { return try_fd().value(); }
  template <class Listener>
  std::size_t dispatch(Listener listener, std::size_t max = batch) {
    return try_dispatch(std::move(listener), max).value();
  }
  template <class Listener>
  void start(Listener listener) {
    try_start(std::move(listener)).value();
  }
  void stop(milliseconds timeout = forever) {
    const auto stopped = try_stop(timeout);
    std::exception_ptr thrown;
    {
      const std::lock_guard<std::mutex> held(state_->lock);
      if (!stopped) thrown = state_->thrown;
    }
    if (thrown) std::rethrow_exception(thrown);
    stopped.value();
  }
#endif

 private:
  struct closer {
    void operator()(mdnsreg_watch* watch) const noexcept {
      mdnsreg_watch_stop(watch, forever.count());
      mdnsreg_watch_close(watch);
    }
  };

  std::unique_ptr<mdnsreg_watch, closer> handle_;
  std::shared_ptr<detail::watch_state> state_ = std::make_shared<detail::watch_state>();

  explicit watch(mdnsreg_watch* handle) : handle_(handle) {}
};

/// For range-for. Errors are thrown; without exceptions they end the range, and `error` tells.
class event_range {
 public:
  class iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = event;
    using difference_type = std::ptrdiff_t;
    using pointer = const event*;
    using reference = const event&;

    explicit iterator(event_range* of = nullptr) : of_(of) {}

    reference operator*() const { return *of_->current_; }
    pointer operator->() const { return &*of_->current_; }
    iterator& operator++() {
      if (!of_->advance()) of_ = nullptr;
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const iterator& a, const iterator& b) { return a.of_ == b.of_; }
    friend bool operator!=(const iterator& a, const iterator& b) { return a.of_ != b.of_; }

   private:
    event_range* of_;
  };

  event_range(watch& from, milliseconds timeout) : watch_(&from), timeout_(timeout) {}
  event_range(const event_range&) = delete;
  event_range& operator=(const event_range&) = delete;

  iterator begin() { return iterator(advance() ? this : nullptr); }
  iterator end() { return iterator(); }

  const std::optional<mdns_registry::error>& error() const { return error_; }

 private:
  watch* watch_;
  milliseconds timeout_;
  std::optional<event> current_{};
  std::optional<mdns_registry::error> error_{};

  bool advance() {
    auto next = watch_->try_next(timeout_);
    current_.reset();
    if (next) {
      current_ = *std::move(next);
    } else {
      error_ = next.error();
#if MDNSREG_CPP_EXCEPTIONS
      throw *error_;
#endif
    }
    return current_.has_value();
  }
};

inline event_range watch::events(milliseconds timeout) & { return event_range(*this, timeout); }

}  // namespace MDNSREG_CPP_FORM
}  // namespace mdns_registry

#endif
