// The operations on a domain's memory that a client can request in two ways:
// one per call, or many in a stream (memory_ops_call.h).
//
// Each is a function object that takes its subject, the message that says what
// to do, and the message for the answer.  The messages of the two ways differ
// in type but have the same fields, so the parameters are templates.  Errors
// are those stated in memory_service.proto; an answer is filled in only on
// success.
//
// IsQuick(), for operations that have it, says whether this operation may run
// on a gRPC thread, given the message and the number of pages of the domain.
// IsShort() says in the same way whether it is short work.  NeedsLock() says
// whether it may have to wait for the domain's lock.  kChangesWords says
// whether secondary MMUs are told of it, so that it may have to wait for them.
//
// Thread safety: may be called from any thread.

#ifndef SIMVISOR_SERVER_MEMORY_MEMORY_OPS_H_
#define SIMVISOR_SERVER_MEMORY_MEMORY_OPS_H_

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "domain/units/p2m_word.h"
#include "domain/units/units.h"
#include "domain/vm/domain.h"
#include "domain/vm/domain_types.h"
#include "server/convert/argument.h"
#include "server/convert/common.h"
#include "server/convert/domain.h"
#include "server/machine/fault_points.h"
#include "server/machine/machine.h"
#include "server/memory/change_operation.h"
#include "server/memory/convert_memory.h"
#include "server/threads/job_scope.h"

namespace simvisor::server::memory_ops {

inline constexpr uint64_t kMaxPfns = 65536;
inline constexpr uint64_t kMaxGuestBytes = uint64_t{1} << 20;

inline constexpr uint64_t kQuickPages = kShortPages.value();
inline constexpr int kQuickPfns = 1024;

// What an operation works on.
struct Subject {
  Machine& machine;
  const std::shared_ptr<Domain>& domain;
  StopCheck stop;
};

inline constexpr ChangePoints kBalloonPoints = {FaultPoint::kBalloonBegin,
                                                FaultPoint::kBalloonMoved};

// The result of a balloon operation, with the domain's memory when it was done:
// timers, fault points and other changes come later.
struct Moved {
  PageCount pages;
  DomainMemory memory;
};

// BalloonDown and BalloonUp, given the method of DomainBalloon and its name.
template <auto method, const char* name>
struct Balloon {
  static constexpr bool kChangesWords = true;
  static bool IsQuick(const auto& op, PageCount) {
    return op.pages() <= kQuickPages;
  }
  static bool IsShort(const auto& op, PageCount pages) {
    return IsQuick(op, pages);
  }
  static bool NeedsLock(const Domain&) { return true; }
  absl::Status operator()(const Subject& on, const auto& op,
                          auto* answer) const {
    SIMVISOR_ASSIGN_OR_RETURN(const Operation operation,
                              ChangeOf(op, name, on.stop, on.machine));
    const auto move = [&](Domain& domain) -> absl::StatusOr<Moved> {
      Moved moved;
      SIMVISOR_ASSIGN_OR_RETURN(
          moved.pages,
          (domain.balloon().*method)(operation, PageCount(op.pages()),
                                     op.allow_partial(), &moved.memory));
      return moved;
    };
    SIMVISOR_ASSIGN_OR_RETURN(
        const Moved moved, on.machine.Change(on.domain, kBalloonPoints, move));
    answer->set_moved_pages(moved.pages.value());
    ToProto(moved.memory, answer->mutable_memory());
    return absl::OkStatus();
  }
};
inline constexpr char kBalloonDown[] = "balloon down";
inline constexpr char kBalloonUp[] = "balloon up";
using BalloonDown = Balloon<&DomainBalloon::Down, kBalloonDown>;
using BalloonUp = Balloon<&DomainBalloon::Up, kBalloonUp>;

struct SetTarget {
  static constexpr bool kChangesWords = true;
  static bool IsQuick(const auto& op, PageCount pages) {
    const auto [less, more] = std::minmax({op.target_pages(), pages.value()});
    return more - less <= kQuickPages;
  }
  static bool IsShort(const auto& op, PageCount pages) {
    return IsQuick(op, pages);
  }
  static bool NeedsLock(const Domain&) { return true; }
  absl::Status operator()(const Subject& on, const auto& op,
                          auto* answer) const {
    SIMVISOR_ASSIGN_OR_RETURN(
        const Operation operation,
        ChangeOf(op, "set memory target", on.stop, on.machine));
    const auto set = [&](Domain& domain) -> absl::StatusOr<DomainMemory> {
      // A fault point may have kept the call until its client had left.
      SIMVISOR_RETURN_IF_ERROR(on.stop());
      DomainMemory memory;
      SIMVISOR_RETURN_IF_ERROR(domain.balloon().SetTarget(
          operation, PageCount(op.target_pages()), &memory));
      return memory;
    };
    SIMVISOR_ASSIGN_OR_RETURN(
        const DomainMemory memory,
        on.machine.Change(on.domain, kBalloonPoints, set));
    ToProto(memory, answer->mutable_memory());
    return absl::OkStatus();
  }
};

struct Translate {
  static constexpr bool kChangesWords = false;
  static bool IsShort(const auto&, PageCount) { return true; }
  static bool NeedsLock(const Domain& domain) {
    return domain.published() == nullptr;
  }
  static bool IsQuick(const auto& op, PageCount) {
    return op.pfns_size() <= kQuickPfns;
  }
  absl::Status operator()(const Subject& on, const auto& op,
                          auto* answer) const {
    SIMVISOR_RETURN_IF_ERROR(CheckListSize("pfns", op.pfns_size(), kMaxPfns));
    std::vector<P2mWord> words;
    words.reserve(op.pfns_size());
    SIMVISOR_RETURN_IF_ERROR(on.domain->p2m().Translate(
        absl::MakeConstSpan(op.pfns().data(), op.pfns_size()), words));
    answer->mutable_classes()->Reserve(static_cast<int>(words.size()));
    answer->mutable_frames()->Reserve(static_cast<int>(words.size()));
    for (const P2mWord word : words) {
      answer->add_classes(ToProto(word.Class()));
      answer->add_frames(word.Number());
    }
    return absl::OkStatus();
  }
};

struct SetRange {
  static constexpr bool kChangesWords = true;
  static bool NeedsLock(const Domain&) { return true; }
  static bool IsShort(const auto& op, PageCount) {
    return op.count() <= kQuickPages;
  }
  absl::Status operator()(const Subject& on, const auto& op,
                          auto* answer) const {
    SIMVISOR_ASSIGN_OR_RETURN(const P2mClass p2m_class,
                              FromProto("p2m_class", op.p2m_class()));
    SIMVISOR_ASSIGN_OR_RETURN(const RamPolicy policy,
                              FromProto("ram_policy", op.ram_policy()));
    if (p2m_class != P2mClass::kRam && op.first_mfn() != 0) {
      return ArgumentMalformed("first_mfn",
                               "only RAM words name a frame; leave it 0");
    }
    SIMVISOR_ASSIGN_OR_RETURN(const Operation operation,
                              ChangeOf(op, "set p2m", on.stop, on.machine));
    SIMVISOR_ASSIGN_OR_RETURN(
        const RangeChange change,
        on.domain->p2m().SetRange(operation,
                                  {Pfn(op.first_pfn()), PageCount(op.count())},
                                  p2m_class, Mfn(op.first_mfn()), policy));
    answer->set_released_pages(change.released.value());
    answer->set_p2m_pages_taken(change.p2m_pages.value());
    return absl::OkStatus();
  }
};

struct MarkIdentity {
  static constexpr bool kChangesWords = true;
  static bool NeedsLock(const Domain&) { return true; }
  static bool IsShort(const auto& op, PageCount) {
    return op.end_pfn() <= op.start_pfn() ||
           op.end_pfn() - op.start_pfn() <= kQuickPages;
  }
  absl::Status operator()(const Subject& on, const auto& op,
                          auto* answer) const {
    SIMVISOR_ASSIGN_OR_RETURN(
        const Operation operation,
        ChangeOf(op, "mark identity", on.stop, on.machine));
    SIMVISOR_ASSIGN_OR_RETURN(
        const RangeChange change,
        on.domain->p2m().MarkIdentity(operation, Pfn(op.start_pfn()),
                                      Pfn(op.end_pfn()), op.release_ram()));
    answer->set_marked_pages(change.marked.value());
    answer->set_released_pages(change.released.value());
    answer->set_p2m_pages_taken(change.p2m_pages.value());
    return absl::OkStatus();
  }
};

struct Write {
  static constexpr bool kChangesWords = false;
  static bool NeedsLock(const Domain&) { return true; }
  static bool IsShort(const auto&, PageCount) { return true; }
  absl::Status operator()(const Subject& on, const auto& op, auto*) const {
    SIMVISOR_RETURN_IF_ERROR(
        CheckAtMost("data", op.data().size(), kMaxGuestBytes));
    return on.domain->contents().Write({"write"}, Pfn(op.pfn()),
                                       op.offset_bytes(), op.data());
  }
};

}  // namespace simvisor::server::memory_ops

#endif  // SIMVISOR_SERVER_MEMORY_MEMORY_OPS_H_
