// What Xen's own lines of a boot log say of dom0's memory.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_DOMAIN_BOOT_LOG_DOM0_LOG_H_
#define SIMVISOR_DOMAIN_BOOT_LOG_DOM0_LOG_H_

#include <optional>

#include "absl/strings/string_view.h"
#include "domain/units/units.h"

namespace simvisor {

// Reads the log of a boot line by line.  If it has several whose first lines
// are lost, what a later one says replaces what an earlier one said.
class Dom0Log {
 public:
  // `line` is clean.  Lines that say nothing of dom0's memory are ignored, and
  // so are sizes that are not plain ones (percentages, all but a size).
  void Add(absl::string_view line);

  // Pages that dom0 starts with.  By the list of its frames, which the
  // hypervisor places for the kernel, if the log has that; else by what was
  // allocated and is "to be allocated"; else by dom0_mem, where max stands in
  // for a size that is not given, as the hypervisor does.
  std::optional<PageCount> memory() const;

  // dom0_mem=max:SIZE.
  std::optional<PageCount> max_memory() const { return max_; }

 private:
  void AddCommandLine(absl::string_view line);
  void AddDom0Mem(absl::string_view sizes);
  void AddAllocation(absl::string_view line);
  void AddRamdisk(absl::string_view line);
  void AddFrameList(absl::string_view line);

  // Of the command line, which comes first.
  std::optional<PageCount> size_;
  std::optional<PageCount> max_;
  // Of the construction of dom0.
  std::optional<PageCount> allocated_;
  std::optional<PageCount> list_;
  bool physical_ = false;  // among the lines of physical memory
  bool compat_ = false;    // a 32-bit dom0, with words of 4 bytes
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_BOOT_LOG_DOM0_LOG_H_
