// A progress bar on a terminal.
//
// The bar is one line.  It is redrawn when its text changes, and wiped by
// Clear() or the destructor, so it never mixes with other output.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_CLIENT_UI_PROGRESS_BAR_H_
#define SIMVISOR_CLIENT_UI_PROGRESS_BAR_H_

#include <cstdint>
#include <ostream>
#include <string>

#include "absl/strings/string_view.h"

namespace simvisor::client {

class ProgressBar {
 public:
  // Draws on `out`; a null `out` (no terminal) makes a bar that draws nothing.
  ProgressBar(std::ostream* out, absl::string_view label);
  ~ProgressBar() { Clear(); }
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  // Shows `done` of `total`, and then `note`; a total of 0 shows nothing.
  void Update(uint64_t done, uint64_t total, absl::string_view note = "");

  // Wipes the bar; the next Update() draws it again.
  void Clear();

 private:
  std::ostream* const out_;
  const std::string label_;
  int shown_percent_ = -1;
  std::string shown_note_;
};

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_UI_PROGRESS_BAR_H_
