// The pages that a software TLB has, and which of them were used.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_CLIENT_API_TLB_PAGES_H_
#define SIMVISOR_CLIENT_API_TLB_PAGES_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>

#include "absl/container/btree_map.h"
#include "simvisor/v1/common.pb.h"
#include "simvisor/v1/secondary_mmu_service.pb.h"

namespace simvisor::client {

class TlbPages {
 public:
  // The frame of `pfn`, if it is there, and may be written to if `write` says
  // so; counts as used from now on.
  std::optional<uint64_t> Use(uint64_t pfn, bool write);

  void Install(const v1::SubscribeResponse::Installed& installed);
  // Removes the pages, or only the right to write to them.
  void LetGo(const v1::PfnExtent& pfns, bool keep_read_only);
  void Clear() { pages_.clear(); }
  size_t size() const { return pages_.size(); }

  // Appends which pages of `young` were used since the last time with `clear`,
  // as at most 4096 runs; all of it if there would be more.
  void AddYoung(const v1::SubscribeResponse::Young& young,
                v1::SubscribeRequest::YoungReply& reply);

 private:
  struct Page {
    uint64_t mfn;
    bool writable;
  };

  absl::btree_map<uint64_t, Page> pages_;
  std::set<uint64_t> used_;
};

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_API_TLB_PAGES_H_
