// The critical section of SecondaryMmus: for its own sources only.

#ifndef SIMVISOR_DOMAIN_SMMU_MMU_CRITICAL_H_
#define SIMVISOR_DOMAIN_SMMU_MMU_CRITICAL_H_

#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "domain/smmu/secondary_mmus.h"

namespace simvisor {

class ABSL_SCOPED_LOCKABLE SecondaryMmus::Critical {
 public:
  explicit Critical(SecondaryMmus* mmus) ABSL_EXCLUSIVE_LOCK_FUNCTION(mmus->mu_)
      : mmus_(*mmus) {
    mmus_.mu_.Lock();
  }
  ~Critical() ABSL_UNLOCK_FUNCTION() {
    const std::vector<std::shared_ptr<MmuSignal>> signals =
        std::exchange(mmus_.signals_, {});
    mmus_.mu_.Unlock();
    for (const auto& signal : signals) signal->MessagesWait();
  }
  Critical(const Critical&) = delete;
  Critical& operator=(const Critical&) = delete;

 private:
  SecondaryMmus& mmus_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_SMMU_MMU_CRITICAL_H_
