#include "client/xl/config_keys.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/strip.h"
#include "base/printable.h"

namespace simvisor::client {
namespace {

bool IsNameChar(char c) { return absl::ascii_isalnum(c) || c == '_'; }

bool BeginsNumber(absl::string_view value) {
  return !value.empty() &&
         (absl::ascii_isdigit(value[0]) || value[0] == '-' || value[0] == '.');
}

// Whether `value` is decimal or 0x...
bool IsNumber(absl::string_view value) {
  const bool hex = absl::ConsumePrefix(&value, "0x");
  return std::all_of(value.begin(), value.end(), [&](unsigned char c) {
    return hex ? absl::ascii_isxdigit(c) : absl::ascii_isdigit(c);
  });
}

// Scans a config one character at a time.
class KeyScanner {
 public:
  explicit KeyScanner(absl::string_view text) : text_(text) {}

  std::vector<AssignedKey> Scan() {
    while (at_ < text_.size()) Step();
    return std::move(keys_);
  }

  std::optional<StrayCharacter> FindStray() {
    while (at_ < text_.size() && !stray_) Step();
    return stray_;
  }

  std::optional<BadNumber> FindNumber() {
    while (at_ < text_.size() && !bad_number_) Step();
    return bad_number_;
  }

 private:
  void Step() {
    const char c = text_[at_];
    if (at_start_) {
      statement_ = at_;
      has_value_ = false;
    }
    if (at_start_ && absl::ascii_islower(c)) return TakeName();
    if (c == '#') return SkipComment();
    if (c == '"' || c == '\'') return SkipString();
    if (c == '=' && depth_ == 0 && !has_value_) NoteNumber();
    if (!absl::ascii_isascii(c) || c == '\r') NoteStray();
    if (c == '[') ++depth_;
    if (c == ']' && depth_ > 0) --depth_;
    if (c == '\n') ++line_;
    if ((c == '\n' || c == ';') && depth_ == 0) {
      at_start_ = true;
    } else if (!absl::ascii_isspace(c)) {
      at_start_ = false;
    }
    ++at_;
  }

  void NoteStray() {
    if (stray_) return;
    const Character next = FirstCharacter(text_.substr(at_));
    const size_t bytes = next.bytes == 0 ? 1 : next.bytes;
    stray_ = StrayCharacter{std::string(text_.substr(at_, bytes)), line_};
  }

  void TakeName() {
    const size_t begin = at_;
    while (at_ < text_.size() && IsNameChar(text_[at_])) ++at_;
    keys_.push_back({std::string(text_.substr(begin, at_ - begin)), line_});
    at_start_ = false;
  }

  // Looks at the value after the '=' at at_.
  void NoteNumber() {
    has_value_ = true;
    const size_t end = std::min(text_.find_first_of("\n#;", at_), text_.size());
    const absl::string_view value =
        absl::StripAsciiWhitespace(text_.substr(at_ + 1, end - at_ - 1));
    if (bad_number_ || !BeginsNumber(value) || IsNumber(value)) return;
    const absl::string_view statement =
        absl::StripAsciiWhitespace(text_.substr(statement_, end - statement_));
    bad_number_ = BadNumber{std::string(statement), line_};
  }

  void SkipComment() {
    while (at_ < text_.size() && text_[at_] != '\n') ++at_;
  }

  // A string ends with its line; libxlutil refuses longer ones.
  void SkipString() {
    const char quote = text_[at_++];
    at_start_ = false;
    while (at_ < text_.size() && text_[at_] != '\n') {
      const char c = text_[at_++];
      if (c == quote) return;
      if (c == '\\' && at_ < text_.size() && text_[at_] != '\n') ++at_;
    }
  }

  absl::string_view text_;
  size_t at_ = 0;
  int line_ = 1;
  int depth_ = 0;
  bool at_start_ = true;
  size_t statement_ = 0;  // where the last one begins
  bool has_value_ = false;
  std::vector<AssignedKey> keys_;
  std::optional<StrayCharacter> stray_;
  std::optional<BadNumber> bad_number_;
};

}  // namespace

std::vector<AssignedKey> FindAssignedKeys(absl::string_view text) {
  return KeyScanner(text).Scan();
}

std::optional<StrayCharacter> FindStrayCharacter(absl::string_view text) {
  return KeyScanner(text).FindStray();
}

std::optional<BadNumber> FindBadNumber(absl::string_view text) {
  return KeyScanner(text).FindNumber();
}

}  // namespace simvisor::client
