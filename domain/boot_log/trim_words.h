// What kernels and hypervisors say outside their maps about RAM that they leave
// out, in one boot.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_DOMAIN_BOOT_LOG_TRIM_WORDS_H_
#define SIMVISOR_DOMAIN_BOOT_LOG_TRIM_WORDS_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "domain/units/units.h"

namespace simvisor {

class TrimWords {
 public:
  // `line` is clean.
  void Add(absl::string_view line);

  // One sentence each: RAM that Xen cut off because of mem=, before it printed
  // its map; RAM that MTRRs do not cover, which Linux gives up.
  std::vector<std::string> Notes() const;

  // One past the last page that Linux found, from its "last_pfn".  Linux also
  // prints one for RAM below 4 GiB; the highest counts.
  std::optional<Pfn> last_pfn() const { return last_pfn_; }

 private:
  std::optional<std::string> truncated_;
  std::optional<std::string> uncovered_;
  std::optional<Pfn> last_pfn_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_BOOT_LOG_TRIM_WORDS_H_
