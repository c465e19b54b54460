// A relocated p2m list as bytes, and a list made of such bytes: what the kernel
// of a saved guest knows of its list beside the frames, which change.
//
// In order: size and end of the list; whether there is a tree; backing of the
// mids, in runs; the pages of the structure with their roles; leaves that still
// use the builder's pages, in runs; identity words, in runs; room to balloon.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_DOMAIN_P2M_P2M_CODEC_H_
#define SIMVISOR_DOMAIN_P2M_P2M_CODEC_H_

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/allocation_faults.h"
#include "domain/collections/extent_set.h"
#include "domain/collections/state_codec.h"
#include "domain/p2m/p2m_list.h"
#include "domain/p2m/p2m_options.h"
#include "domain/p2m/p2m_words.h"
#include "domain/units/abi.h"
#include "domain/units/operation.h"
#include "domain/units/units.h"

namespace simvisor {

// Stands beside the Backing of a mid whose tree page a set has made.
inline constexpr uint64_t kMidFilledMissing = 4;
// Runs looked at between two looks at a StopCheck.
inline constexpr uint64_t kRunsPerStop = 4096;

// Appends what the guest's kernel knows of its list; after a failure `out` is
// of no use. REQUIRES: the list has no foreign word.
absl::Status EncodeList(const P2mList& list, StateWriter& out, StopCheck stop);

// What is known of a list before its notes are read.
struct RestoredWords {
  const PfnSet& ram;  // below `end`
  Pfn end;            // what last_pfn() must be
  // Bounds of p2m_size(), the upper one within what the ABI manages.
  Pfn least_size;
  Pfn most_size;
};

// A list with the words that it is a shape of.
struct ListOverWords {
  std::unique_ptr<P2mWords> words;
  std::unique_ptr<P2mList> list;
};

// The list that EncodeList() saw, stale for tools.  Its RAM words have numbers
// that mean nothing.
// INVALID_ARGUMENT IMAGE_MALFORMED if the bytes make none; the status of the
// reader's `stop`; RESOURCE_EXHAUSTED HOST_ADDRESS_SPACE_EXHAUSTED.
absl::StatusOr<ListOverWords> DecodeList(const Abi& abi,
                                         const P2mOptions& options,
                                         const RestoredWords& words,
                                         StateReader& in,
                                         AllocationFaults* faults = nullptr);

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_P2M_P2M_CODEC_H_
