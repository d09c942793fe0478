#include "terminal.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>

#include "octavo/error.h"

namespace octavo::cli {
namespace {

using Clock = std::chrono::steady_clock;
volatile std::sig_atomic_t g_signal = 0;

void on_signal(int number) {
  if (g_signal != 0) _exit(128 + number);
  g_signal = number;
}

bool is_terminal(int fd) {
  const char* term = std::getenv("TERM");
  return isatty(fd) == 1 && (term == nullptr || std::strcmp(term, "dumb") != 0);
}

// Code points, not bytes: block characters are three bytes wide in UTF-8.
size_t width(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

bool looks_numeric(std::string_view text) {
  return !text.empty() && (std::isdigit(static_cast<unsigned char>(text[0])) || text[0] == '-' || text[0] == '+');
}

class Bar {
 public:
  explicit Bar(bool quiet) : quiet_(quiet), terminal_(is_terminal(2)) {}

  void report(const ProgressEvent& event) {
    if (g_signal != 0) throw Error(Code::kInterrupted, "interrupted by signal " + std::to_string(int{g_signal}));
    if (quiet_) return;
    const auto now = Clock::now();
    if (stage_ != event.stage) {
      finish();
      stage_ = event.stage;
      start_ = now, last_ = Clock::time_point{}, first_done_ = event.done;
    }
    const bool complete = event.total > 0 && event.done >= event.total;
    const double since = std::chrono::duration<double>(now - last_).count();
    if (!complete && since < (terminal_ ? 0.1 : 5.0)) return;
    if (!terminal_ && std::chrono::duration<double>(now - start_).count() < 5.0) return;  // short work needs no lines
    last_ = now;
    const std::string line = describe(event, std::chrono::duration<double>(now - start_).count());
    if (terminal_) {
      std::fprintf(stderr, "\r\x1b[2K%s", line.c_str());
      open_ = true;
    } else {
      std::fprintf(stderr, "%s\n", line.c_str());
    }
    std::fflush(stderr);
  }

  void finish() {
    if (open_) std::fputs("\r\x1b[2K", stderr);
    open_ = false;
  }

 private:
  std::string describe(const ProgressEvent& event, double elapsed) const {
    constexpr int kCells = 24;
    std::string line(event.stage);
    line.resize(std::max<size_t>(line.size(), 10), ' ');
    const double fraction = event.total > 0 ? std::clamp(event.done / event.total, 0.0, 1.0) : 0;
    if (event.total > 0) {
      const int filled = static_cast<int>(fraction * kCells);
      line += " [";
      for (int i = 0; i < kCells; ++i) line += i < filled ? '#' : '.';
      line += "] " + fixed(100 * fraction, 0) + "%";
    }
    const bool bytes = event.unit == "bytes";
    const double rate = elapsed > 0 ? (event.done - first_done_) / elapsed : 0;
    line += "  " + (bytes ? human_bytes(event.done) : human_count(event.done)) + "/" +
            (bytes ? human_bytes(event.total) : human_count(event.total) + " " + std::string(event.unit));
    if (rate > 0) {
      line += "  " + (bytes ? human_bytes(rate) : human_count(rate)) + "/s";
      if (event.total > event.done) line += "  " + human_seconds((event.total - event.done) / rate) + " left";
    }
    if (!event.item.empty()) line += "  " + std::string(event.item.substr(0, 60));
    return line;
  }

  bool quiet_, terminal_, open_ = false;
  std::string stage_;
  Clock::time_point start_, last_;
  double first_done_ = 0;
};

std::unique_ptr<Bar>& bar() {
  static std::unique_ptr<Bar> instance;
  return instance;
}

}  // namespace

std::string fixed(double value, int digits) {
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, "%.*f", digits, value);
  return buffer;
}

std::string human_bytes(double bytes) {
  static constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB", "PB"};
  size_t unit = 0;
  while (bytes >= 999.95 && unit + 1 < std::size(kUnits)) bytes /= 1000, ++unit;
  return fixed(bytes, unit == 0 ? 0 : 1) + " " + kUnits[unit];
}

std::string human_count(double value) {
  if (value >= 1e9) return fixed(value / 1e9, 2) + "G";
  if (value >= 1e6) return fixed(value / 1e6, 2) + "M";
  if (value >= 1e4) return fixed(value / 1e3, 1) + "k";
  return value == std::floor(value) ? fixed(value, 0) : fixed(value, 1);
}

std::string human_seconds(double seconds) {
  if (seconds < 60) return fixed(seconds, 1) + " s";
  const auto whole = std::llround(seconds);
  const auto two = [](long long n) { return (n < 10 ? "0" : "") + std::to_string(n); };
  if (whole < 3600) return std::to_string(whole / 60) + " min " + two(whole % 60) + " s";
  return std::to_string(whole / 3600) + " h " + two(whole / 60 % 60) + " min";
}

std::string styled(std::string_view text, Style style, int fd) {
  const char* no_color = std::getenv("NO_COLOR");
  if (!is_terminal(fd) || (no_color != nullptr && *no_color != '\0')) return std::string(text);
  static constexpr const char* kCodes[] = {"1", "2", "31", "32", "33"};
  return "\x1b[" + std::string(kCodes[static_cast<int>(style)]) + "m" + std::string(text) + "\x1b[0m";
}

std::string table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows)
    for (size_t i = 0; i < row.size(); ++i) {
      if (i == widths.size()) widths.push_back(0);
      widths[i] = std::max(widths[i], width(row[i]));
    }
  std::string out;
  for (size_t r = 0; r < rows.size(); ++r) {
    std::string line;
    for (size_t i = 0; i < rows[r].size(); ++i) {
      const std::string pad(widths[i] - width(rows[r][i]), ' ');
      // A header stands over its column: right over numbers.
      const bool right = looks_numeric(r == 0 && rows.size() > 1 && i < rows[1].size() ? rows[1][i] : rows[r][i]);
      line += (i > 0 ? "  " : "") + (right ? pad + rows[r][i] : rows[r][i] + pad);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += (r == 0 ? styled(line, Style::kBold) : line) + "\n";
  }
  return out;
}

Progress make_progress(bool quiet) {
  bar() = std::make_unique<Bar>(quiet);
  return [](const ProgressEvent& event) { bar()->report(event); };
}

void finish_progress() {
  if (bar()) bar()->finish();
}

Notes make_notes(bool quiet) {
  return [quiet](std::string_view note) {
    if (quiet) return;
    finish_progress();
    std::fprintf(stderr, "%s %.*s\n", styled("note:", Style::kYellow, 2).c_str(), static_cast<int>(note.size()), note.data());
  };
}

void install_signal_handlers() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaction(number, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);  // a closed stdout is an error that print() reports
}

int received_signal() { return g_signal; }

void print(std::string_view text) {
  errno = 0;
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
    throw Error(Code::kIo, std::string("cannot write to standard output: ") + std::strerror(errno));
}

}  // namespace octavo::cli
