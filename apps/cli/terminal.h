// How the command talks: results on stdout, progress and notes on stderr, colours only on a terminal.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "octavo/json.h"
#include "octavo/progress.h"

namespace octavo::cli {

// "1.2 GB", "271.4 MB", "512 B" (decimal units).
std::string human_bytes(double bytes);
// "3.2 s", "4 min 05 s", "2 h 03 min".
std::string human_seconds(double seconds);
std::string fixed(double value, int digits);
// "12.3k" style numbers for rates.
std::string human_count(double value);

// Bold / dim / red / green text where stdout (or stderr) is a terminal and NO_COLOR is not set, else the text itself.
enum class Style { kBold, kDim, kRed, kGreen, kYellow };
std::string styled(std::string_view text, Style style, int fd = 1);

// Aligned columns; cells that look like numbers are flushed right.
std::string table(const std::vector<std::vector<std::string>>& rows);

// A progress bar with rate and time left on a terminal; elsewhere one line every five seconds. Also where SIGINT and
// SIGTERM take effect: the next report after a signal throws Error(kInterrupted).
Progress make_progress(bool quiet);
// Ends the bar's line, if one stands.
void finish_progress();
Notes make_notes(bool quiet);

// Installs handlers that only set a flag; received_signal() is its number or 0. A second signal ends the process.
void install_signal_handlers();
int received_signal();

// Writes to stdout and flushes; a full or closed stdout throws Error(kIo).
void print(std::string_view text);

}  // namespace octavo::cli
