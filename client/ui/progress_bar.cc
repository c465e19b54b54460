#include "client/ui/progress_bar.h"

#include <algorithm>

#include "absl/strings/str_format.h"

namespace simvisor::client {
namespace {

constexpr int kWidth = 30;
// Return to the first column and erase to the end of the line.
constexpr char kWipe[] = "\r\033[K";

}  // namespace

ProgressBar::ProgressBar(std::ostream* out, absl::string_view label)
    : out_(out), label_(label) {}

void ProgressBar::Update(uint64_t done, uint64_t total,
                         absl::string_view note) {
  if (out_ == nullptr || total == 0) return;
  const double share =
      std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
  const int percent = static_cast<int>(share * 100);
  if (percent == shown_percent_ && note == shown_note_) return;
  shown_percent_ = percent;
  shown_note_ = std::string(note);
  const int filled = static_cast<int>(share * kWidth);
  *out_ << kWipe
        << absl::StrFormat("%s [%s%s] %3d%%%s", label_,
                           std::string(filled, '#'),
                           std::string(kWidth - filled, '.'), percent, note)
        << std::flush;
}

void ProgressBar::Clear() {
  if (shown_percent_ < 0) return;
  shown_percent_ = -1;
  *out_ << kWipe << std::flush;
}

}  // namespace simvisor::client
