#include "client/script/script_parts.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/script/step_call.h"
#include "client/script/variables.h"

namespace simvisor::client {
namespace {

// Moves `place` behind the character `c`.
void MoveBehind(char c, TextPlace& place) {
  constexpr int kTabWidth = 8;
  if (c == '\n') {
    ++place.line;
    place.column = 0;
  } else {
    place.column += c == '\t' ? kTabWidth - place.column % kTabWidth : 1;
  }
}

enum class Kind { kWord, kOpen, kClose, kString, kOther };

// Reads one token after the other.
class Scanner {
 public:
  explicit Scanner(absl::string_view text) : text_(text) {}

  // Moves to the next token; false at the end.
  bool Next() {
    SkipBlanks();
    begin_ = at_;
    token_place_ = place_;
    open_string_ = false;
    if (at_ == text_.size()) return false;
    const char c = text_[at_];
    Advance();
    if (IsWord(c)) {
      kind_ = Kind::kWord;
      while (at_ < text_.size() && IsWord(text_[at_])) Advance();
    } else if (c == '"' || c == '\'') {
      kind_ = Kind::kString;
      open_string_ = !SkipString(c);
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
  const TextPlace& place() const { return token_place_; }
  // Whether the token is a string that lacks its second quote.
  bool open_string() const { return open_string_; }

  // The token after this one begins with this character; NUL at the end.
  char Peek() {
    SkipBlanks();
    return at_ < text_.size() ? text_[at_] : '\0';
  }

 private:
  static bool IsWord(unsigned char c) {
    return absl::ascii_isalnum(c) || c == '_';
  }

  void Advance() { MoveBehind(text_[at_++], place_); }

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

  // A string ends with its line, even without a quote; then false.
  bool SkipString(char quote) {
    while (at_ < text_.size() && text_[at_] != '\n') {
      const char c = text_[at_];
      Advance();
      if (c == quote) return true;
      if (c == '\\' && at_ < text_.size() && text_[at_] != '\n') Advance();
    }
    return false;
  }

  const absl::string_view text_;
  size_t at_ = 0;
  TextPlace place_;

  Kind kind_ = Kind::kOther;
  size_t begin_ = 0;
  TextPlace token_place_;
  bool open_string_ = false;
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

// Cuts a script one token after the other.
class Splitter {
 public:
  explicit Splitter(absl::string_view text) : text_(text), scanner_(text) {}

  std::vector<ScriptPart> Split() {
    while (scanner_.Next()) TakeToken();
    if (!open_.empty()) parts_.back().open = open_;
    return std::move(parts_);
  }

 private:
  void TakeToken() {
    if (!open_.empty() && BeginsStep(scanner_)) {
      parts_.back().open = std::exchange(open_, "");
    }
    const bool is_field = open_.empty() && IsField(scanner_.token());
    if (parts_.empty() || is_field ||
        (EndsPart() && !parts_.back().field.empty())) {
      Begin(is_field);
    }
    ScriptPart& part = parts_.back();
    const size_t begin = part.text.data() - text_.data();
    part.text = text_.substr(begin, scanner_.end() - begin);
    if (!part.field.empty()) Extend(part);
  }

  bool Separates() const {
    return scanner_.token() == "," || scanner_.token() == ";";
  }

  // Whether the token cannot belong to the last part.
  bool EndsPart() const {
    // Strings side by side are one.
    return open_.empty() && (whole_ || scanner_.kind() == Kind::kClose) &&
           !Separates() && scanner_.kind() != Kind::kString;
  }

  void Begin(bool is_field) {
    parts_.push_back({.text = text_.substr(scanner_.begin(), 0),
                      .place = scanner_.place(),
                      .field = is_field ? std::string(scanner_.token()) : "",
                      .values = {scanner_.place()},
                      .open = "",
                      .open_string = false});
    whole_ = false;
  }

  // Notes what the token means for `part`, a field.
  void Extend(ScriptPart& part) {
    const Kind kind = scanner_.kind();
    if (kind == Kind::kOpen) {
      if (open_.empty() && scanner_.token() == "[") part.values.clear();
      if (open_ == "[") part.values.push_back(scanner_.place());
      absl::StrAppend(&open_, scanner_.token());
    }
    if (kind == Kind::kClose && !open_.empty()) open_.pop_back();
    if (scanner_.open_string()) part.open_string = true;
    whole_ = open_.empty() && (kind == Kind::kClose || kind == Kind::kString ||
                               (whole_ && Separates()));
  }

  const absl::string_view text_;
  Scanner scanner_;
  std::vector<ScriptPart> parts_;
  std::string open_;   // as in ScriptPart, of the last part
  bool whole_ = true;  // the last part has its value
};

}  // namespace

std::vector<ScriptPart> SplitScript(absl::string_view text) {
  return Splitter(text).Split();
}

std::vector<TextPlace> PlacesOf(const std::vector<ScriptPart>& parts,
                                absl::string_view field) {
  std::vector<TextPlace> places;
  for (const ScriptPart& part : parts) {
    if (part.field != field) continue;
    places.insert(places.end(), part.values.begin(), part.values.end());
  }
  return places;
}

size_t ByteAt(absl::string_view text, const TextPlace& place) {
  TextPlace now;
  size_t at = 0;
  while (at < text.size() && now < place &&
         (now.line < place.line || text[at] != '\n')) {
    MoveBehind(text[at++], now);
  }
  return at;
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
