#include "domain/boot_log/dom0_log.h"

#include <algorithm>
#include <cstdint>
#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "domain/boot_log/log_text.h"
#include "domain/boot_log/map_line.h"
#include "domain/e820/e820.h"

namespace simvisor {
namespace {

// Consumes a range "START->END" and returns its size in bytes; returns 0 and
// leaves `text` unchanged if it does not start with one.
uint64_t ConsumeArrow(absl::string_view& text) {
  absl::string_view rest = text;
  uint64_t start = 0;
  uint64_t end = 0;
  const bool range = ConsumeHexDigits(rest, 1, start) &&
                     absl::ConsumePrefix(&rest, "->") &&
                     ConsumeHexDigits(rest, 1, end);
  if (!range || end <= start) return 0;
  text = rest;
  return end - start;
}

PageCount PagesOf(uint64_t bytes) {
  return PageCount(bytes / kPageSize + (bytes % kPageSize != 0 ? 1 : 0));
}

// A size on the hypervisor's command line; KiB if it has no unit.
std::optional<PageCount> ParseSize(absl::string_view text) {
  const size_t digits =
      std::min(text.find_first_not_of("0123456789"), text.size());
  uint64_t number = 0;
  if (!absl::SimpleAtoi(text.substr(0, digits), &number)) return std::nullopt;
  constexpr absl::string_view kUnits = "bkmgt";
  size_t unit = 1;
  if (digits < text.size()) {
    unit = kUnits.find(absl::ascii_tolower(text[digits]));
    if (unit == absl::string_view::npos || digits + 1 < text.size()) {
      return std::nullopt;
    }
  }
  const int shift = static_cast<int>(10 * unit);
  if (number > kMaxE820Address >> shift) return std::nullopt;
  return PageCount((number << shift) / kPageSize);
}

}  // namespace

void Dom0Log::Add(absl::string_view line) {
  AddCommandLine(line);
  // Xen prints its map before it builds dom0; a kernel's map comes after that.
  if (IsXenMapHeading(line)) {
    allocated_.reset();
    list_.reset();
  }
  if (absl::StrContains(line, "Dom0 kernel: ")) {
    compat_ = absl::StrContains(line, "32-bit");
  }
  if (absl::StrContains(line, "VIRTUAL MEMORY ARRANGEMENT")) physical_ = false;
  AddAllocation(line);
  AddRamdisk(line);
  AddFrameList(line);
}

// The hypervisor obeys only its own command line, not a kernel's.
void Dom0Log::AddCommandLine(absl::string_view line) {
  if (!absl::StrContains(line, kXenPrefix)) return;
  const auto words = TextAfter(line, "Command line: ");
  if (!words.has_value()) return;
  size_.reset();
  max_.reset();
  for (absl::string_view word : absl::StrSplit(*words, ' ')) {
    if (absl::ConsumePrefix(&word, "dom0_mem=")) AddDom0Mem(word);
  }
}

void Dom0Log::AddDom0Mem(absl::string_view sizes) {
  for (absl::string_view size : absl::StrSplit(sizes, ',')) {
    if (absl::ConsumePrefix(&size, "max:")) {
      max_ = ParseSize(size);
    } else if (!absl::StartsWith(size, "min:")) {
      size_ = ParseSize(size);
    }
  }
}

// "Dom0 alloc.: START->END (N pages to be allocated)"; either part may be
// missing.
void Dom0Log::AddAllocation(absl::string_view line) {
  auto rest = TextAfter(line, "Dom0 alloc.:");
  if (!rest.has_value()) return;
  physical_ = true;
  PageCount pages = PagesOf(ConsumeArrow(*rest));
  *rest = absl::StripLeadingAsciiWhitespace(*rest);
  absl::ConsumePrefix(&*rest, "(");
  const size_t digits = rest->find(" pages to be allocated");
  uint64_t more = 0;
  if (digits != absl::string_view::npos &&
      absl::SimpleAtoi(rest->substr(0, digits), &more) &&
      more <= std::numeric_limits<uint32_t>::max()) {
    pages += PageCount(more);
  }
  if (pages > PageCount(0)) allocated_ = pages;
}

// The ramdisk's pages belong to dom0 in addition to what was allocated, if the
// line is among the lines of physical memory.
void Dom0Log::AddRamdisk(absl::string_view line) {
  auto rest = TextAfter(line, "Init. ramdisk:");
  if (!rest.has_value() || !physical_ || !allocated_.has_value()) return;
  *allocated_ += PagesOf(ConsumeArrow(*rest));
}

void Dom0Log::AddFrameList(absl::string_view line) {
  auto rest = TextAfter(line, "Phys-Mach map:");
  if (!rest.has_value()) return;
  const uint64_t bytes = ConsumeArrow(*rest);
  if (bytes > 0) list_ = PageCount(bytes / (compat_ ? 4 : 8));
}

std::optional<PageCount> Dom0Log::memory() const {
  if (list_.has_value()) return list_;
  if (allocated_.has_value()) return allocated_;
  if (size_.has_value() && max_.has_value()) return std::min(*size_, *max_);
  return size_.has_value() ? size_ : max_;
}

}  // namespace simvisor
