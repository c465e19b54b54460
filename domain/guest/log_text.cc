#include "domain/guest/log_text.h"

#include <algorithm>
#include <array>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace simvisor {
namespace {

constexpr size_t kMaxHexDigits = 16;
constexpr size_t kMaxQuotedBytes = 48;
constexpr char kEscape = '\x1b';
constexpr char kBell = '\x07';

// How control sequences begin: as a terminal gets them, and as cat -v, less,
// rsyslog and JSON spell the escape character.
constexpr std::array<absl::string_view, 7> kIntroducers = {
    "\x1b[", "^[[", "ESC[", "#033[", "\\033[", "\\x1b[", "\\u001b["};

// Takes a control sequence off `text`: introducer, parameters, final letter.
bool ConsumeControlSequence(absl::string_view& text) {
  for (absl::string_view introducer : kIntroducers) {
    absl::string_view rest = text;
    if (!absl::ConsumePrefix(&rest, introducer)) continue;
    const size_t end = rest.find_first_not_of("0123456789;:?");
    if (end == absl::string_view::npos || !absl::ascii_isalpha(rest[end])) {
      continue;
    }
    text = rest.substr(end + 1);
    return true;
  }
  return false;
}

// Takes another sequence off `text`, which begins with the escape character: an
// operating system command up to the bell, or one character, with its argument
// if it selects a character set.
void ConsumeEscape(absl::string_view& text) {
  text.remove_prefix(1);
  if (text.empty()) return;
  size_t size = 1;
  if (text[0] == ']') {
    size = std::min(text.find(kBell), text.size() - 1) + 1;
  } else if (text[0] == '(' || text[0] == ')') {
    size = 2;
  }
  text.remove_prefix(std::min(size, text.size()));
}

}  // namespace

std::string CleanLogLine(absl::string_view line) {
  std::string clean;
  clean.reserve(line.size());
  while (!line.empty()) {
    if (ConsumeControlSequence(line)) continue;
    if (line[0] == kEscape) {
      ConsumeEscape(line);
      continue;
    }
    if (line[0] == '\t') {
      clean += ' ';
    } else if (!absl::ascii_iscntrl(line[0])) {
      clean += line[0];
    }
    line.remove_prefix(1);
  }
  absl::StripAsciiWhitespace(&clean);
  return clean;
}

bool ConsumeHexDigits(absl::string_view& text, size_t min_digits,
                      uint64_t& value) {
  const size_t digits =
      std::min(text.find_first_not_of("0123456789abcdefABCDEF"), text.size());
  if (digits < min_digits || digits > kMaxHexDigits) return false;
  if (!absl::SimpleHexAtoi(text.substr(0, digits), &value)) return false;
  text.remove_prefix(digits);
  return true;
}

std::string QuoteLogText(absl::string_view text) {
  return absl::StrCat("\"", absl::CHexEscape(text.substr(0, kMaxQuotedBytes)),
                      text.size() > kMaxQuotedBytes ? "...\"" : "\"");
}

}  // namespace simvisor
