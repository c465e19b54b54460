#include "domain/boot_log/log_text.h"

#include <algorithm>
#include <array>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace simvisor {
namespace {

constexpr size_t kMaxHexDigits = 16;
constexpr size_t kMaxQuotedBytes = 48;
constexpr char kEscape = '\x1b';
constexpr absl::string_view kDigits = "0123456789";
// What ends an operating system command; the second also starts the next
// sequence.
constexpr absl::string_view kCommandEnds = "\x07\x1b";

// How control sequences begin: as a terminal gets them, and as cat -v, less,
// rsyslog, JSON, shells and web pages spell the escape character (U+241B
// depicts it, U+FFFD replaces characters that cannot be shown).
constexpr std::array<absl::string_view, 13> kIntroducers = {
    "\x1b[",  "^[[",           "ESC[",         "<ESC>[",   "#033[",
    "\\033[", "\\x1b[",        "\\x1B[",       "\\u001b[", "\\u001B[",
    "\\e[",   "\xe2\x90\x9b[", "\xef\xbf\xbd["};

// U+00A0, U+2007 and U+202F, the no-break spaces.
constexpr std::array<absl::string_view, 3> kSpaces = {
    "\xc2\xa0", "\xe2\x80\x87", "\xe2\x80\xaf"};
// U+200B to U+200D, U+2060 and U+FEFF, which have no width.
constexpr std::array<absl::string_view, 5> kNoSpaces = {
    "\xe2\x80\x8b", "\xe2\x80\x8c", "\xe2\x80\x8d", "\xe2\x81\xa0",
    "\xef\xbb\xbf"};

// Consumes a control sequence: introducer, parameters, final letter.
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

// Consumes a colour that has lost its escape character: "[1;33m", or "[m"
// unless a word follows; and the "[K" that grep writes after it.  Brackets that
// belong to a log do not look like that.
bool ConsumeBareColour(absl::string_view& text) {
  absl::string_view rest = text;
  if (!absl::ConsumePrefix(&rest, "[")) return false;
  const size_t end = rest.find_first_not_of("0123456789;");
  if (end == absl::string_view::npos || rest[end] != 'm') return false;
  rest.remove_prefix(end + 1);
  if (absl::StartsWith(rest, "]")) return false;
  if (end == 0 && !rest.empty() && absl::ascii_isalnum(rest[0])) return false;
  absl::ConsumePrefix(&rest, "[K");
  text = rest;
  return true;
}

// Consumes any other sequence of `text`, which begins with the escape
// character: an operating system command up to the bell or the next sequence,
// or one character, with its argument if it selects a character set.
void ConsumeEscape(absl::string_view& text) {
  text.remove_prefix(1);
  if (text.empty()) return;
  size_t size = 1;
  if (text[0] == ']') {
    size = std::min(text.find_first_of(kCommandEnds), text.size());
    if (size < text.size() && text[size] != kEscape) ++size;
  } else if (text[0] == '(' || text[0] == ')') {
    size = 2;
  }
  text.remove_prefix(std::min(size, text.size()));
}

// Consumes the first of `words` that `text` starts with.
template <size_t kWords>
bool ConsumeAny(absl::string_view& text,
                const std::array<absl::string_view, kWords>& words) {
  return std::any_of(words.begin(), words.end(),
                     [&text](absl::string_view word) {
                       return absl::ConsumePrefix(&text, word);
                     });
}

// Whether `text` is `before`, decimal digits, `after`, and then more.
bool IsNumbered(absl::string_view text, absl::string_view before,
                absl::string_view after, absl::string_view& number) {
  if (!absl::ConsumePrefix(&text, before)) return false;
  const size_t digits = std::min(text.find_first_not_of(kDigits), text.size());
  number = text.substr(0, digits);
  return digits > 0 && absl::StartsWith(text.substr(digits), after);
}

}  // namespace

std::string CleanLogLine(absl::string_view line) {
  std::string clean;
  clean.reserve(line.size());
  while (!line.empty()) {
    if (ConsumeControlSequence(line) || ConsumeBareColour(line) ||
        ConsumeAny(line, kNoSpaces)) {
      continue;
    }
    if (ConsumeAny(line, kSpaces)) {
      clean += ' ';
      continue;
    }
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

std::optional<absl::string_view> TextAfter(absl::string_view line,
                                           absl::string_view words) {
  const size_t at = line.find(words);
  if (at == absl::string_view::npos) return std::nullopt;
  return absl::StripLeadingAsciiWhitespace(line.substr(at + words.size()));
}

bool IsXenBanner(absl::string_view line) {
  const auto version = TextAfter(line, "Xen version ");
  if (!version.has_value() || version->empty()) return false;
  const size_t end = version->find(' ');
  return absl::ascii_isdigit(version->front()) &&
         end != absl::string_view::npos &&
         absl::StartsWith(version->substr(end), " (");
}

bool IsKernelBanner(absl::string_view line) {
  const auto version = TextAfter(line, "Linux version ");
  return version.has_value() && !version->empty() &&
         absl::ascii_isdigit(version->front());
}

bool IsXenMapHeading(absl::string_view line) {
  return absl::EndsWith(line, " RAM map:") && !IsKernelMapHeading(line);
}

bool IsKernelMapHeading(absl::string_view line) {
  return absl::EndsWith(line, "physical RAM map:");
}

bool IsGuestLine(absl::string_view line) {
  absl::string_view number;
  for (size_t at = line.find("(d"); at != absl::string_view::npos;
       at = line.find("(d", at + 1)) {
    if (IsNumbered(line.substr(at), "(d", ")", number)) return number != "0";
  }
  auto rest = TextAfter(line, "(XEN)");
  if (!rest.has_value()) return false;
  if (absl::StartsWith(*rest, "[")) {  // a time stamp
    rest = TextAfter(*rest, "]").value_or("");
  }
  return IsNumbered(*rest, "HVM", ":", number);
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
