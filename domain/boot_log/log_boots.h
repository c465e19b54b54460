// The boots in a log, and what each says apart from its maps.
//
// A boot begins at the hypervisor's first line, or at a kernel's first line if
// the boot has no earlier one.  The hypervisor's own log may follow the log of
// its dom0; both then belong to one boot.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_DOMAIN_BOOT_LOG_LOG_BOOTS_H_
#define SIMVISOR_DOMAIN_BOOT_LOG_LOG_BOOTS_H_

#include <cstddef>
#include <vector>

#include "absl/strings/string_view.h"
#include "domain/boot_log/dom0_log.h"
#include "domain/boot_log/ibft_log.h"
#include "domain/boot_log/trim_words.h"

namespace simvisor {

struct LogBoot {
  size_t first_line = 0;
  Dom0Log dom0;
  TrimWords words;
  IbftLog ibft;
  bool kernel = false;  // the kernel's first line was read
};

class LogBoots {
 public:
  // Adds line `number` of the log; `line` is clean.  Numbers ascend.
  void Add(size_t number, absl::string_view line);

  // The boot that line `number` belongs to.
  const LogBoot& Of(size_t number) const;

 private:
  // Whether `line` begins another boot.
  bool BeginsAt(absl::string_view line) const;

  std::vector<LogBoot> boots_{1};  // the first begins before the log
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_BOOT_LOG_LOG_BOOTS_H_
