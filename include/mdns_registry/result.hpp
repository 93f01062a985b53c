/// Errors, and results for those who want no exceptions.

#ifndef MDNS_REGISTRY_RESULT_HPP
#define MDNS_REGISTRY_RESULT_HPP

#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <variant>

#include "../mdns_registry.h"
#include "json.hpp"

namespace mdns_registry {
inline namespace MDNSREG_CPP_FORM {

namespace detail {

struct error_json {
  std::string name{};
  std::string message{};
  std::string field{};
  std::optional<scalar> value{};
  std::optional<std::uint64_t> limit{};
  std::string unit{};

  template <class Self, class Tell>
  static void fields(Self& self, Tell tell) {
    tell("name", self.name);
    tell("message", self.message);
    tell("field", self.field);
    tell("value", self.value);
    tell("limit", self.limit);
    tell("unit", self.unit);
  }
};

}  // namespace detail

/// The statuses of the C ABI as a category of std::error_code.
inline const std::error_category& category() noexcept {
  static const struct final_category final : std::error_category {
    const char* name() const noexcept override { return "mdns_registry"; }
    std::string message(int status) const override {
      const char* const text = mdnsreg_status_text(status);
      return text != nullptr ? text : "unknown status";
    }
  } it{};
  return it;
}

/// Why a call failed. Nothing of a refused call took effect.
class error : public std::runtime_error {
 public:
  error(mdnsreg_status status, detail::error_json said)
      : std::runtime_error(said.message),
        status_(status),
        said_(std::make_shared<const detail::error_json>(std::move(said))) {}

  /// One of the constants MDNSREG_ERR_*.
  mdnsreg_status status() const noexcept { return status_; }
  /// The name of the status, as in "NOT_FOUND".
  const std::string& name() const noexcept { return said_->name; }
  /// Path of the field, option or argument, as in "nodes[3].port"; empty where there is none.
  const std::string& field() const noexcept { return said_->field; }
  /// What it held, or how large it was; empty where there is none.
  std::string value() const { return said_->value ? said_->value->text : std::string(); }
  std::optional<std::uint64_t> limit() const noexcept { return said_->limit; }
  /// What limit and value count.
  const std::string& unit() const noexcept { return said_->unit; }
  std::error_code code() const noexcept { return {status_, category()}; }

  /// Of a status and the error object that a C function returned, which it frees.
  static error taken(mdnsreg_status status, mdnsreg_error* raised) {
    detail::error_json said;
    const char* const json = raised != nullptr ? mdnsreg_error_json(raised) : nullptr;
    const bool read = json != nullptr && detail::reader::read(json, said);
    mdnsreg_error_free(raised);
    return read ? error(status, std::move(said)) : of(status, category().message(status));
  }

  static error of(mdnsreg_status status, std::string message, std::string field = {}) {
    detail::error_json said;
    const char* const name = mdnsreg_status_name(status);
    said.name = name != nullptr ? name : "";
    said.message = std::move(message);
    said.field = std::move(field);
    return {status, std::move(said)};
  }

 private:
  mdnsreg_status status_;
  std::shared_ptr<const detail::error_json> said_;
};

/// A value, or why there is none.
template <class T>
class [[nodiscard]] result {
 public:
  result(T value) : either_(std::move(value)) {}
  result(mdns_registry::error why) : either_(std::move(why)) {}

  explicit operator bool() const noexcept { return either_.index() == 0; }

  T& operator*() & { return *std::get_if<0>(&either_); }
  const T& operator*() const& { return *std::get_if<0>(&either_); }
  T&& operator*() && { return std::move(*std::get_if<0>(&either_)); }
  T* operator->() { return std::get_if<0>(&either_); }
  const T* operator->() const { return std::get_if<0>(&either_); }

  /// Only where there is no value.
  const mdns_registry::error& error() const { return *std::get_if<1>(&either_); }

#if MDNSREG_CPP_EXCEPTIONS
  /// The value; throws the error.
  T& value() & {
    if (!*this) throw error();
    return **this;
  }
  T value() && { return std::move(value()); }
#endif

 private:
  std::variant<T, mdns_registry::error> either_;
};

/// Done, or why not.
template <>
class [[nodiscard]] result<void> {
 public:
  result() = default;
  result(mdns_registry::error why) : error_(std::move(why)) {}

  explicit operator bool() const noexcept { return !error_; }

  const mdns_registry::error& error() const { return *error_; }

#if MDNSREG_CPP_EXCEPTIONS
  void value() const {
    if (error_) throw *error_;
  }
#endif

 private:
  std::optional<mdns_registry::error> error_{};
};

namespace detail {

/// Calls a function of the C ABI with a place for its error.
template <class Call>
result<mdnsreg_status> call(Call function) {
  mdnsreg_error* raised = nullptr;
  const mdnsreg_status status = function(&raised);
  if (status < MDNSREG_OK) return error::taken(status, raised);
  return status;
}

/// The same where only an error matters.
template <class Call>
result<void> done(Call function) {
  const auto status = call(function);
  if (!status) return status.error();
  return {};
}

template <class T>
result<T> parsed(const char* json) {
  T data;
  if (reader::read(json, data)) return data;
  return error::of(MDNSREG_ERR_VERSION, std::string("this header cannot read what library ") + mdnsreg_version() +
                                            " says: " + std::string(json).substr(0, 80));
}

struct free_string {
  void operator()(char* string) const noexcept { mdnsreg_string_free(string); }
};
using owned_string = std::unique_ptr<char, free_string>;

/// The text that a function of the C ABI returns.
template <class Call>
result<owned_string> text(Call function) {
  char* json = nullptr;
  const auto status = call([&](mdnsreg_error** raised) { return function(&json, raised); });
  owned_string owned(json);
  if (!status) return status.error();
  return owned;
}

/// C would see the text end at a NUL.
inline result<void> check_text(const std::string& text, const char* argument) {
  const auto at = text.find('\0');
  if (at == std::string::npos) return {};
  return error::of(MDNSREG_ERR_INVALID,
                   std::string(argument) + ": must have no control characters, got U+0000 at byte " + std::to_string(at),
                   argument);
}

}  // namespace detail

}  // namespace MDNSREG_CPP_FORM
}  // namespace mdns_registry

#endif
