// Encodes a relocated p2m list as bytes, and decodes it: all that the kernel of
// a saved guest knows about its list except the frames, which change.
//
// In order: size and end of the list; whether it has a tree; backing of the
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

// Added to the Backing of a mid whose tree page was made by a set.
inline constexpr uint64_t kMidFilledMissing = 4;
// Runs between two calls of a StopCheck.
inline constexpr uint64_t kRunsPerStop = 4096;

// Appends what the guest's kernel knows about its list.  After a failure, `out`
// must be discarded.
// REQUIRES: the list has no foreign word.
absl::Status EncodeList(const P2mList& list, StateWriter& out, StopCheck stop);

// What the caller knows about a list before it decodes the notes.
struct RestoredWords {
  const PfnSet& ram;  // below `end`
  Pfn end;            // the last_pfn() that the notes must have
  // Bounds of p2m_size(); most_size is at most what the ABI can manage.
  Pfn least_size;
  Pfn most_size;
};

// A list, and the words that it is the shape of.
struct ListOverWords {
  std::unique_ptr<P2mWords> words;
  std::unique_ptr<P2mList> list;
};

// Returns the list that EncodeList() wrote, stale for tools.  The frame numbers
// of its RAM words mean nothing.
// INVALID_ARGUMENT IMAGE_MALFORMED if the bytes are not a list; the status of
// the reader's `stop`; RESOURCE_EXHAUSTED HOST_ADDRESS_SPACE_EXHAUSTED.
absl::StatusOr<ListOverWords> DecodeList(const Abi& abi,
                                         const P2mOptions& options,
                                         const RestoredWords& words,
                                         StateReader& in,
                                         AllocationFaults* faults = nullptr);

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_P2M_P2M_CODEC_H_
