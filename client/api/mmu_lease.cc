#include "client/api/mmu_lease.h"

#include <algorithm>

namespace simvisor::client {

uint64_t MmuLease::Renew(absl::Duration now) {
  due_ = now + lease_ / 3;
  sent_[++last_nonce_] = now;
  return last_nonce_;
}

bool MmuLease::Answer(uint64_t nonce, bool extended) {
  const auto sent = sent_.find(nonce);
  if (sent == sent_.end()) return false;
  if (extended) {
    safe_until_ = std::max(safe_until_, sent->second + kSafePart * lease_);
  }
  sent_.erase(sent);
  return true;
}

}  // namespace simvisor::client
