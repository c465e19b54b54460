// The boots that a log holds, and what each says beside its maps.
//
// A boot begins at the hypervisor's first line, or at a kernel's if none was
// before it in the boot.  The hypervisor's own log may stand behind that of its
// dom0, which is of the same boot then.
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
  bool kernel = false;  // a kernel's first line was read
};

class LogBoots {
 public:
  // Adds line `number` of the log, which is clean.  Numbers ascend.
  void Add(size_t number, absl::string_view line);

  // The boot that line `number` is of.
  const LogBoot& Of(size_t number) const;

 private:
  // Whether another boot begins at `line`.
  bool BeginsAt(absl::string_view line) const;

  std::vector<LogBoot> boots_{1};  // the first begins before the log
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_BOOT_LOG_LOG_BOOTS_H_
