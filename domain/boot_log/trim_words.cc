#include "domain/boot_log/trim_words.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "domain/boot_log/log_text.h"

namespace simvisor {
namespace {

// The decimal digits that `text` starts with.
std::string Digits(absl::string_view text) {
  return std::string(text.substr(0, text.find_first_not_of("0123456789")));
}

}  // namespace

void TrimWords::Add(absl::string_view line) {
  if (const auto from = TextAfter(line, "Truncating RAM from ")) {
    const auto to = TextAfter(*from, "kB to ");
    if (to.has_value()) {
      truncated_ = absl::StrCat(
          "the hypervisor has cut RAM off its map (mem=): what ended at ",
          Digits(*from), " kB ends at ", Digits(*to), " kB");
    }
  }
  if (const auto lost = TextAfter(line, "cover all of memory, losing ")) {
    uncovered_ = absl::StrCat(
        "the kernel gives up ", Digits(*lost),
        " MB of RAM that MTRRs do not cover; the map is used as it was before");
  }
  if (auto pfn = TextAfter(line, "last_pfn = 0x")) {
    uint64_t number = 0;
    if (ConsumeHexDigits(*pfn, 1, number)) {
      last_pfn_ = std::max(last_pfn_.value_or(Pfn(0)), Pfn(number));
    }
  }
}

std::vector<std::string> TrimWords::Notes() const {
  std::vector<std::string> notes;
  for (const std::optional<std::string>* words : {&truncated_, &uncovered_}) {
    if (words->has_value()) notes.push_back(**words);
  }
  return notes;
}

}  // namespace simvisor
