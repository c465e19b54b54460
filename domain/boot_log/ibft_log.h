// Whether the dom0 kernel that a log is about reserves the area of the iBFT
// (dom0_map.h), for a machine whose map is read from that log.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_DOMAIN_BOOT_LOG_IBFT_LOG_H_
#define SIMVISOR_DOMAIN_BOOT_LOG_IBFT_LOG_H_

#include "absl/strings/string_view.h"

namespace simvisor {

// Reads the log of a boot line by line.
class IbftLog {
 public:
  // `line` is clean.
  void Add(absl::string_view line);

  // A kernel's log shows what its kernel did, so a map out of one stands as it
  // is: false for `BIOS-e820:` lines, for `Xen:` lines in the form of before
  // Linux 3.5, and for others with RAM in the area in a log that has the
  // kernel's own words about its memory.  All else, such as the hypervisor's
  // map, is what dom0's kernel starts from: true, as with the kernels of
  // today's distributions.
  bool Reserves() const;

  // Whether lines of the hypervisor were read, of a map of dom0's, and of a
  // kernel's own words about its memory.
  bool has_hypervisor() const { return hypervisor_; }
  bool has_dom0_map() const { return dom0_map_; }
  bool has_kernel() const { return kernel_; }

 private:
  bool hypervisor_ = false;
  bool firmware_map_ = false;
  bool kernel_ = false;
  // Of the last map of dom0's: read, with RAM in the area, in the older form.
  bool dom0_map_ = false;
  bool dom0_ram_ = false;
  bool old_form_ = false;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_BOOT_LOG_IBFT_LOG_H_
