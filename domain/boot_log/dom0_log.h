// What Xen's own lines of a boot log say about dom0's memory.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_DOMAIN_BOOT_LOG_DOM0_LOG_H_
#define SIMVISOR_DOMAIN_BOOT_LOG_DOM0_LOG_H_

#include <optional>

#include "absl/strings/string_view.h"
#include "domain/units/units.h"

namespace simvisor {

// Reads the log of a boot line by line.  If it holds several boots whose first
// lines are lost, later statements replace earlier ones.
class Dom0Log {
 public:
  // `line` is clean.  Ignores lines that say nothing about dom0's memory, and
  // sizes that are not plain numbers (percentages, "all but SIZE").
  void Add(absl::string_view line);

  // Pages that dom0 starts with: the size of the frame list that the hypervisor
  // places for the kernel, if the log has that; else what was allocated and is
  // "to be allocated"; else dom0_mem, where max stands in for a missing size,
  // as in the hypervisor.
  std::optional<PageCount> memory() const;

  // dom0_mem=max:SIZE.
  std::optional<PageCount> max_memory() const { return max_; }

 private:
  void AddCommandLine(absl::string_view line);
  void AddDom0Mem(absl::string_view sizes);
  void AddAllocation(absl::string_view line);
  void AddRamdisk(absl::string_view line);
  void AddFrameList(absl::string_view line);

  // From the command line, which comes first.
  std::optional<PageCount> size_;
  std::optional<PageCount> max_;
  // From the construction of dom0.
  std::optional<PageCount> allocated_;
  std::optional<PageCount> list_;
  bool physical_ = false;  // among the lines of physical memory
  bool compat_ = false;    // a 32-bit dom0, with 4-byte words
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_BOOT_LOG_DOM0_LOG_H_
