// Whether the dom0 kernel of a boot log reserves the area of the iBFT
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

  // A map from a kernel's log already shows what that kernel did, so it is used
  // unchanged.  False for `BIOS-e820:` lines, for `Xen:` lines in the form used
  // before Linux 3.5, and for other `Xen:` lines with RAM in the area if the
  // log has the kernel's own words about its memory.  Any other map, such as
  // the hypervisor's, is the one that dom0's kernel starts from: true, as with
  // the kernels of current distributions.
  bool Reserves() const;

  // Whether the log has lines of the hypervisor, of a dom0 map, and of a
  // kernel's own words about its memory.
  bool has_hypervisor() const { return hypervisor_; }
  bool has_dom0_map() const { return dom0_map_; }
  bool has_kernel() const { return kernel_; }

 private:
  bool hypervisor_ = false;
  bool firmware_map_ = false;
  bool kernel_ = false;
  // About the last dom0 map: it was read, has RAM in the area, has the older
  // form.
  bool dom0_map_ = false;
  bool dom0_ram_ = false;
  bool old_form_ = false;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_BOOT_LOG_IBFT_LOG_H_
