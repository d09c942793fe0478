// What Python's str does, on UTF-8: whitespace, splitting, case and code point indices.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace octavo::chat {

bool is_space(char32_t code);      // str.isspace of one character
bool is_printable(char32_t code);  // str.isprintable of one character

// Without the characters of `chars` (nullptr: whitespace) at the chosen ends.
std::string_view strip(std::string_view text, const std::string* chars, bool left, bool right);

// str.split: by whitespace runs without empty parts, or by `separator` (not empty). max_split < 0: no limit.
std::vector<std::string_view> split_space(std::string_view text, int64_t max_split);
std::vector<std::string_view> split_by(std::string_view text, std::string_view separator, int64_t max_split);
std::vector<std::string_view> split_by_from_right(std::string_view text, std::string_view separator, int64_t max_split);
std::vector<std::string_view> split_lines(std::string_view text);

// str.replace; count < 0: all.
std::string replace_text(std::string_view text, std::string_view from, std::string_view to, int64_t count);

std::string upper(std::string_view text);
std::string lower(std::string_view text);
std::string capitalize(std::string_view text);    // first character upper, the others lower
std::string title_method(std::string_view text);  // str.title: each run of letters
std::string title_filter(std::string_view text);  // the filter: after whitespace, '-', '(', '{', '[', '<'

int64_t count_characters(std::string_view text);
// Byte offsets of each character, and of the end.
std::vector<size_t> character_offsets(std::string_view text);

}  // namespace octavo::chat
