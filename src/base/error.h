// How the library fails: fail(code, parts...) throws Error with the parts joined; OCTAVO_CHECK is for our own bugs.
#pragma once
#include <locale>
#include <sstream>
#include <string>
#include <string_view>

#include "octavo/error.h"

namespace octavo {

// Joins its arguments as a stream would print them, whatever the process's locale: headers of files are made with it.
template <class... T>
std::string cat(const T&... part) {
  std::ostringstream out;
  out.exceptions(std::ios_base::badbit);  // or a stream that runs out of memory drops text in silence
  out.imbue(std::locale::classic());
  (out << ... << part);
  return std::move(out).str();
}

// `'text'` with control characters, quotes and invalid UTF-8 escaped, cut at 200 bytes: safe in a terminal or log.
std::string quoted(std::string_view text);
// Without these, std::quoted, found through its argument, would win for a std::string.
inline std::string quoted(const std::string& text) { return quoted(std::string_view(text)); }
inline std::string quoted(std::string& text) { return quoted(std::string_view(text)); }
inline std::string quoted(const char* text) { return quoted(std::string_view(text)); }

template <class... T>
[[noreturn]] void fail(Code code, const T&... part) {
  throw Error(code, cat(part...));
}

namespace detail {
template <class... T>
[[noreturn]] void check_failed(const char* file, int line, const char* text, const T&... part) {
  fail(Code::kInternal, "internal error at ", file, ":", line, ": ", text, " ", part...);
}
}  // namespace detail

// A condition that only a bug in Octavo can break. Always on.
#define OCTAVO_CHECK(cond, ...)                                                          \
  do {                                                                                   \
    if (!(cond)) ::octavo::detail::check_failed(__FILE__, __LINE__, #cond, ##__VA_ARGS__); \
  } while (0)

}  // namespace octavo
