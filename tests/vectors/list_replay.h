// The operations of vector files on a p2m list without a guest, with a plain
// source of frames: booting it, words, ranges, structure, dumps.
//
// A result that is an error text means that the guest would stop; the list
// refuses instead, and nothing has changed.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_TESTS_VECTORS_LIST_REPLAY_H_
#define SIMVISOR_TESTS_VECTORS_LIST_REPLAY_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "base/error.h"
#include "domain/e820/e820.h"
#include "domain/guest/memory_setup.h"
#include "domain/p2m/p2m_list.h"
#include "domain/units/abi.h"
#include "tests/support/p2m_pages.h"
#include "tests/vectors/limited_source.h"
#include "tests/vectors/operations.h"

namespace simvisor {

class ListReplay {
 public:
  explicit ListReplay(const Abi& abi) : abi_(abi) { NewList(); }
  ListReplay(const ListReplay&) = delete;
  ListReplay& operator=(const ListReplay&) = delete;

  void AddTo(Operations& operations);

  absl::Status Check() const {
    return list_.list == nullptr ? absl::OkStatus() : list_->CheckInvariants();
  }

 private:
  void AddBootTo(Operations& operations);
  void AddWordsTo(Operations& operations);
  void AddReadsTo(Operations& operations);

  // list_replay_boot.cc
  Json Constants(const Json& step);
  Json Boot(const Json& step);
  Json AddExtra(const Json& step);
  Json SetRangeIdentity(const Json& step);
  Json Relocate(const Json& step);
  Json BootPv(const Json& step);
  Json BootPlanned(PageCount nr_pages, const MemorySetup& setup, Pfn limit);
  Json BuildFrameTree(const Json& step);
  Json Migrate(const Json& step);

  // list_replay.cc
  Json Lookup(const Json& step);
  Json Raw(const Json& step);
  Json Set(const Json& step);
  Json TrySet(const Json& step);
  Json Assign(const Json& step);
  Json AllocEntry(const Json& step);
  Json LimitFrames(const Json& step);
  Json M2pSet(const Json& step);
  Json MfnToPfnOp(const Json& step);

  // list_replay_reads.cc
  Json Leaf(const Json& step);
  Json Mid(const Json& step);
  Json LeafRuns(const Json& step);
  Json TopRuns(const Json& step);
  Json TreeSlots(const Json& step);
  Json TreeFresh(const Json& step);
  Json DumpRaw(const Json& step);
  Json DumpResolved(const Json& step);
  Json Dump(P2mView view) const;
  Json Summary(const Json& step);
  Json ToolsMaxPfn(const Json& step);

  // Starts again, with an empty list.
  void NewList();
  // The result of a change that may take pages: its status, the pages that it
  // kept, and by how much the generation rose; or its refusal.
  Json Taking(absl::FunctionRef<absl::Status()> change);
  void SetOneByOne(PfnExtent pfns, const P2mList::RangeFill& fill);

  const Abi& abi_;
  TestList list_;
  LimitedSource source_;
  std::map<uint64_t, Pfn> m2p_;  // of the machine, by mfn
  int epoch_ = 0;
};

// The number of a step's key; "max" is Pfn::None().
Pfn PfnAt(const Json& step, const char* key);
// A refusal in the words of the cases: the guest would stop.
Json Refusal(const absl::Status& status);

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_VECTORS_LIST_REPLAY_H_
