/// The structs of data.hpp to JSON and back.

#ifndef MDNS_REGISTRY_JSON_HPP
#define MDNS_REGISTRY_JSON_HPP

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#include "data.hpp"

namespace mdns_registry {
inline namespace MDNSREG_CPP_FORM {

namespace detail {

/// Typed data as JSON.
class writer {
 public:
  std::string text{};

  void put(const std::string& string) {
    constexpr char hex[] = "0123456789abcdef";
    text += '"';
    for (const char c : string) {
      const auto byte = static_cast<unsigned char>(c);
      if (byte < 0x20) {
        text += "\\u00";
        text += hex[byte >> 4];
        text += hex[byte & 15];
      } else {
        if (c == '"' || c == '\\') text += '\\';
        text += c;
      }
    }
    text += '"';
  }

  void put(milliseconds time) { put(time.count()); }

  template <class T>
  void put(const std::optional<T>& maybe) {
    if (maybe) {
      put(*maybe);
    } else {
      text += "null";
    }
  }

  template <class T>
  void put(const std::vector<T>& list) {
    text += '[';
    for (const T& item : list) {
      separate('[');
      put(item);
    }
    text += ']';
  }

  void put(const metadata_map& map) {
    text += '{';
    for (const auto& [key, item] : map) put_field(key, item);
    text += '}';
  }

  template <class T>
  void put(const T& it) {
    if constexpr (std::is_same_v<T, bool>) {
      text += it ? "true" : "false";
    } else if constexpr (std::is_integral_v<T>) {
      text += std::to_string(it);
    } else {
      text += '{';
      T::fields(it, [this](const char* key, const auto& field) { this->put_field(key, field); });
      text += '}';
    }
  }

 private:
  /// A comma, unless the last character opened the list or object: no value ends in one that does.
  void separate(char opened) {
    if (text.back() != opened) text += ',';
  }

  template <class T>
  void put_field(const std::string& key, const T& field) {
    separate('{');
    put(key);
    text += ':';
    put(field);
  }
};

template <class T>
std::string to_json(const T& data) {
  writer json;
  json.put(data);
  return std::move(json.text);
}

/// A string as it is, or a number as it is written.
struct scalar {
  std::string text{};
};

/// JSON as typed data. Unknown keys are passed over; after the first thing that does not fit nothing more is read.
class reader {
 public:
  explicit reader(std::string_view text) : rest_(text) {}

  template <class T>
  static bool read(std::string_view text, T& into) {
    reader json(text);
    json.get(into);
    return json.peek() == '\0' && json.good_ && json.rest_.empty();
  }

 private:
  static constexpr int deepest = 64;

  std::string_view rest_;
  bool good_ = true;
  int depth_ = 0;

  void fail() {
    good_ = false;
    rest_ = {};
  }

  char peek() {
    const auto start = rest_.find_first_not_of(" \t\r\n");
    rest_.remove_prefix(start == std::string_view::npos ? rest_.size() : start);
    return rest_.empty() ? '\0' : rest_.front();
  }

  bool take(char wanted) {
    if (peek() != wanted || rest_.empty()) return false;
    rest_.remove_prefix(1);
    return true;
  }

  void need(char wanted) {
    if (!take(wanted)) fail();
  }

  std::string_view token() {
    peek();
    const auto token = rest_.substr(0, rest_.find_first_of(",:]} \t\r\n"));
    rest_.remove_prefix(token.size());
    if (token.empty()) fail();
    return token;
  }

  template <class Each>
  void sequence(char open, char close, Each each) {
    need(open);
    if (++depth_ > deepest) fail();
    if (!take(close)) {
      do each();
      while (take(','));
      need(close);
    }
    --depth_;
  }

  template <class Each>
  void object(Each each) {
    sequence('{', '}', [&] {
      std::string key;
      get(key);
      need(':');
      if (good_) each(std::move(key));
    });
  }

  void get(std::string& into) {
    into.clear();
    need('"');
    while (good_) {
      const auto end = rest_.find_first_of("\"\\");
      if (end == std::string_view::npos) return fail();
      into.append(rest_.substr(0, end));
      const bool escaped = rest_[end] == '\\';
      rest_.remove_prefix(end + 1);
      if (!escaped) return;
      unescape(into);
    }
  }

  void unescape(std::string& into) {
    constexpr std::string_view names = "\"\\/bfnrt", meanings = "\"\\/\b\f\n\r\t";
    const char name = rest_.empty() ? '\0' : rest_.front();
    if (!rest_.empty()) rest_.remove_prefix(1);
    if (name == 'u') return unescape_unicode(into);
    const auto at = names.find(name);
    if (at == std::string_view::npos) return fail();
    into += meanings[at];
  }

  void unescape_unicode(std::string& into) {
    std::uint32_t point = four_digits();
    if (point >= 0xdc00 && point < 0xe000) return fail();
    if (point >= 0xd800 && point < 0xdc00) {
      if (rest_.substr(0, 2) != "\\u") return fail();
      rest_.remove_prefix(2);
      const std::uint32_t low = four_digits();
      if (low < 0xdc00 || low >= 0xe000) return fail();
      point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
    }
    if (!good_) return;
    const auto byte = [&](std::uint32_t bits) { into += static_cast<char>(static_cast<unsigned char>(bits)); };
    if (point < 0x80) return byte(point);
    if (point >= 0x10000) {
      byte(0xf0 | point >> 18);
      byte(0x80 | (point >> 12 & 0x3f));
    } else if (point >= 0x800) {
      byte(0xe0 | point >> 12);
    }
    byte(point >= 0x800 ? 0x80 | (point >> 6 & 0x3f) : 0xc0 | point >> 6);
    byte(0x80 | (point & 0x3f));
  }

  std::uint32_t four_digits() {
    std::uint32_t number = 0;
    const auto digits = rest_.substr(0, 4);
    const char* const end = digits.data() + digits.size();
    if (digits.size() < 4 || std::from_chars(digits.data(), end, number, 16).ptr != end) {
      fail();
      return 0;
    }
    rest_.remove_prefix(4);
    return number;
  }

  template <class T>
  void get(std::optional<T>& into) {
    if (peek() == 'n') {
      if (token() != "null") fail();
      return into.reset();
    }
    get(into.emplace());
  }

  template <class T>
  void get(std::vector<T>& into) {
    into.clear();
    sequence('[', ']', [&] { get(into.emplace_back()); });
  }

  void get(metadata_map& into) {
    into.clear();
    object([&](std::string key) { get(into[std::move(key)]); });
  }

  void get(scalar& into) {
    if (peek() == '"') return get(into.text);
    into.text = token();
  }

  template <class T>
  void get(T& into) {
    if constexpr (std::is_integral_v<T>) {
      const auto digits = token();
      const char* const end = digits.data() + digits.size();
      const auto [stopped, trouble] = std::from_chars(digits.data(), end, into);
      if (trouble != std::errc() || stopped != end) fail();
    } else {
      object([&](std::string found) {
        bool known = false;
        T::fields(into, [&](std::string_view key, auto& field) {
          if (known || key != found) return;
          known = true;
          get(field);
        });
        if (!known) skip();
      });
    }
  }

  void skip() {
    scalar passed_over;
    switch (peek()) {
      case '{': return object([this](const std::string&) { skip(); });
      case '[': return sequence('[', ']', [this] { skip(); });
      default: return get(passed_over);
    }
  }
};

}  // namespace detail

}  // namespace MDNSREG_CPP_FORM
}  // namespace mdns_registry

#endif
