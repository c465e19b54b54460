// What a subscription is told, in one numbered order.
//
// The fields are those of SubscribeResponse in
// proto/simvisor/v1/secondary_mmu_service.proto, which explains them.
//
// Thread safety: plain values.

#ifndef SIMVISOR_DOMAIN_SMMU_MMU_MESSAGES_H_
#define SIMVISOR_DOMAIN_SMMU_MMU_MESSAGES_H_

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "domain/smmu/mmu_types.h"
#include "domain/units/p2m_word.h"
#include "domain/units/units.h"

namespace simvisor::mmu {

struct Registered {
  SubscriptionId subscription;
  std::string token;  // for Reattach()
  uint64_t epoch;
  uint64_t seq;
  absl::Duration lease;
};
struct Resumed {};
// A range with more extents than a message holds comes in several, of which
// only the last has more = false and is acknowledged.
struct RangeBegin {
  RangeId range;
  std::vector<PfnExtent> pfns;
  InvalidateReason reason;
  bool blockable;
  bool more = false;
};
struct RangeEnd {
  RangeId range;
  uint64_t seq;
};
struct RangeAbort {
  RangeId range;
  uint64_t seq;
};
struct PageInvalidate {
  RangeId range;
  Pfn pfn;
  InvalidateReason reason;
};
struct Young {
  PfnExtent pfns;
  bool clear;
};
struct Release {
  ReleaseReason reason;
  std::string target;  // of kMigrated
};
struct Resolved {
  uint64_t req;
  Mfn mfn;
  uint64_t seq;
};
struct Installed {
  uint64_t req;
  Pfn pfn;
  Mfn mfn;
  uint32_t count;
  bool writable;
};
struct NotMapped {
  uint64_t req;
  P2mClass p2m_class;  // kMissing or kIdentity
};
struct Retry {
  uint64_t req;
  RetryCause cause;
};
struct FaultError {
  uint64_t req;
  absl::Status status;
};
struct Renewed {
  uint64_t nonce;
  bool extended;
};
struct Watched {
  uint64_t req;
  bool deferred;
};
struct Unwatched {
  uint64_t req;
};
struct Unregistered {};
// The last message of a subscription that was fenced.
struct Fenced {
  FenceCause cause;
  absl::Status status;
};
// The answer to a load or store through a mapping, which the caller of
// SecondaryMmus queues so that it keeps its place.
struct Accessed {
  uint64_t req;
  std::string data;
  absl::Status status;
};

using Body = std::variant<Registered, Resumed, RangeBegin, RangeEnd, RangeAbort,
                          PageInvalidate, Young, Release, Resolved, Installed,
                          NotMapped, Retry, FaultError, Renewed, Watched,
                          Unwatched, Unregistered, Fenced, Accessed>;

struct Message {
  uint64_t ev;  // 1, 2, ..., without gaps
  Body body;
};

}  // namespace simvisor::mmu

#endif  // SIMVISOR_DOMAIN_SMMU_MMU_MESSAGES_H_
