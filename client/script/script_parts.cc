#include "client/script/script_parts.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/script/step_call.h"
#include "client/script/variables.h"

namespace simvisor::client {
namespace {

constexpr int kTabWidth = 8;

enum class Kind { kWord, kOpen, kClose, kString, kOther };

// Reads one token after the other.
class Scanner {
 public:
  explicit Scanner(absl::string_view text) : text_(text) {}

  // Moves to the next token; false at the end.
  bool Next() {
    SkipBlanks();
    begin_ = at_;
    token_line_ = line_;
    token_column_ = column_;
    if (at_ == text_.size()) return false;
    const char c = text_[at_];
    Advance();
    if (IsWord(c)) {
      kind_ = Kind::kWord;
      while (at_ < text_.size() && IsWord(text_[at_])) Advance();
    } else if (c == '"' || c == '\'') {
      kind_ = Kind::kString;
      SkipString(c);
    } else {
      kind_ = c == '{' || c == '<' || c == '['   ? Kind::kOpen
              : c == '}' || c == '>' || c == ']' ? Kind::kClose
                                                 : Kind::kOther;
    }
    return true;
  }

  Kind kind() const { return kind_; }
  absl::string_view token() const { return text_.substr(begin_, at_ - begin_); }
  size_t begin() const { return begin_; }
  size_t end() const { return at_; }
  int line() const { return token_line_; }
  int column() const { return token_column_; }

  // The token after this one begins with this character; NUL at the end.
  char Peek() {
    SkipBlanks();
    return at_ < text_.size() ? text_[at_] : '\0';
  }

 private:
  static bool IsWord(unsigned char c) {
    return absl::ascii_isalnum(c) || c == '_';
  }

  void Advance() {
    const char c = text_[at_++];
    if (c == '\n') {
      ++line_;
      column_ = 0;
    } else {
      column_ += c == '\t' ? kTabWidth - column_ % kTabWidth : 1;
    }
  }

  void SkipBlanks() {
    while (at_ < text_.size()) {
      if (text_[at_] == '#') {
        while (at_ < text_.size() && text_[at_] != '\n') Advance();
      } else if (absl::ascii_isspace(text_[at_])) {
        Advance();
      } else {
        return;
      }
    }
  }

  // A string ends with its line, even without a quote.
  void SkipString(char quote) {
    while (at_ < text_.size() && text_[at_] != '\n') {
      const char c = text_[at_];
      Advance();
      if (c == quote) return;
      if (c == '\\' && at_ < text_.size() && text_[at_] != '\n') Advance();
    }
  }

  const absl::string_view text_;
  size_t at_ = 0;
  int line_ = 0;
  int column_ = 0;

  Kind kind_ = Kind::kOther;
  size_t begin_ = 0;
  int token_line_ = 0;
  int token_column_ = 0;
};

bool IsField(absl::string_view word) {
  return word == "title" || word == "steps" || word == "cleanup";
}

// Whether a step begins at the token; no other message has such fields.
bool BeginsStep(Scanner& scanner) {
  if (scanner.token() != "steps" && scanner.token() != "cleanup") return false;
  Scanner ahead = scanner;
  const char next = ahead.Peek();
  return next == '{' || next == '<' || next == ':';
}

}  // namespace

std::vector<ScriptPart> SplitScript(absl::string_view text) {
  std::vector<ScriptPart> parts;
  Scanner scanner(text);
  int depth = 0;
  bool whole = true;  // the last part has its value
  while (scanner.Next()) {
    if (depth > 0 && BeginsStep(scanner)) {
      parts.back().open = depth;
      depth = 0;
    }
    const absl::string_view token = scanner.token();
    const bool is_close = scanner.kind() == Kind::kClose;
    const bool is_field = depth == 0 && IsField(token);
    const bool separates = token == "," || token == ";";
    const bool is_string = scanner.kind() == Kind::kString;
    // Strings side by side are one.
    const bool ends =
        depth == 0 && (whole || is_close) && !separates && !is_string;
    if (parts.empty() || is_field || (ends && !parts.back().field.empty())) {
      parts.push_back({.text = text.substr(scanner.begin(), 0),
                       .line = scanner.line(),
                       .column = scanner.column(),
                       .field = is_field ? std::string(token) : "",
                       .open = 0});
      whole = false;
    }
    ScriptPart& part = parts.back();
    const size_t begin = part.text.data() - text.data();
    part.text = text.substr(begin, scanner.end() - begin);
    if (part.field.empty()) continue;
    if (scanner.kind() == Kind::kOpen) ++depth;
    if (is_close) --depth;
    whole = depth == 0 && (is_close || is_string || (whole && separates));
  }
  if (depth > 0) parts.back().open = depth;
  return parts;
}

std::string PathOfField(absl::string_view text, size_t at) {
  std::vector<std::string> around;
  std::string last;
  Scanner scanner(text);
  while (scanner.Next() && scanner.begin() < at) {
    const absl::string_view token = scanner.token();
    if (scanner.kind() == Kind::kWord) {
      last = std::string(token);
    } else if (token == "{" || token == "<") {
      around.push_back(last);
    } else if ((token == "}" || token == ">") && !around.empty()) {
      around.pop_back();
    }
  }
  // The field of the script, and that of the call.
  constexpr ptrdiff_t kOutside = 2;
  if (around.size() <= kOutside) return "";
  const std::string path = absl::StrCat(
      absl::StrJoin(around.begin() + kOutside, around.end(), "."), ".", last);
  const bool known = path.rfind(std::string(kRequestPrefix), 0) == 0 ||
                     path.rfind(std::string(kExpectPrefix), 0) == 0;
  return known ? path : "";
}

std::set<std::string> PossibleNames(absl::string_view text) {
  std::set<std::string> names;
  Scanner scanner(text);
  while (scanner.Next()) {
    const absl::string_view token = scanner.token();
    if (scanner.kind() != Kind::kString || token.size() < 2) continue;
    const absl::string_view inside = token.substr(1, token.size() - 2);
    if (IsVariableName(inside)) names.insert(std::string(inside));
  }
  return names;
}

}  // namespace simvisor::client
