// A list of frames without duplicates.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_CLIENT_WALK_DISTINCT_MFNS_H_
#define SIMVISOR_CLIENT_WALK_DISTINCT_MFNS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"

namespace simvisor::client {

// Numbers in the order of their first appearance.
class DistinctMfns {
 public:
  // Adds `mfn` if it is new; returns its position among the distinct ones.
  size_t Add(uint64_t mfn) {
    const auto [it, added] = index_.try_emplace(mfn, mfns_.size());
    if (added) mfns_.push_back(mfn);
    return it->second;
  }
  const std::vector<uint64_t>& mfns() const { return mfns_; }

 private:
  absl::flat_hash_map<uint64_t, size_t> index_;
  std::vector<uint64_t> mfns_;
};

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_WALK_DISTINCT_MFNS_H_
