// The clients of the cases about secondary MMUs: what each has been told, in
// the form of the cases.
//
// Errors of faults are answers but not messages in the cases, so messages are
// numbered without them.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_TESTS_VECTORS_MMU_MMU_CLIENT_H_
#define SIMVISOR_TESTS_VECTORS_MMU_MMU_CLIENT_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "domain/smmu/mmu_messages.h"
#include "domain/smmu/mmu_types.h"
#include "domain/smmu/secondary_mmu.h"
#include "domain/smmu/secondary_mmus.h"
#include "tests/vectors/mmu/mmu_guest.h"
#include "tests/vectors/operations.h"

namespace simvisor {

// What a client in this process has accessed; it has nothing else to do, since
// its records are all that it has mapped.
class MmuObject final : public SecondaryMmu {
 public:
  void Begin(const mmu::RangeBegin&) override {}
  void Page(const mmu::PageInvalidate&) override {}
  void Release(const mmu::Release&) override {}
  PfnSet Young(PfnExtent pfns, bool clear) override;
  void Accessed(Pfn pfn) { accessed_.Add({pfn, PageCount(1)}); }

 private:
  PfnSet accessed_;
};

class MmuClient {
 public:
  explicit MmuClient(std::string name) : name_(std::move(name)) {}

  const std::string& name() const { return name_; }
  MmuObject& object() { return object_; }
  SubscriptionId id() const { return id_; }
  bool registered() const { return registered_; }
  void Registered(SubscriptionId id) {
    id_ = id;
    registered_ = true;
  }

  // Takes what waits for it, unless its stream is cut.
  void Take(SecondaryMmus& mmus, const MmuGuest& guest);
  // The messages since the last look.
  Json Look();
  // The messages after number `ev` of a case, for a client that comes back.
  Json After(uint64_t ev) const;
  // The library's number of message `ev` of a case.
  uint64_t LibraryEv(uint64_t ev) const;

  // A number for a fault, and the last answer to it; nullopt if it is parked.
  uint64_t NewRequest(const std::string& req);
  uint64_t RequestOf(const std::string& req) const;
  const mmu::Body* AnswerTo(uint64_t req) const;

  // Numbers of messages that are to be answered; 0 if there is none.
  uint64_t EvOfRange(uint64_t range) const;
  uint64_t EvOfRelease() const { return release_; }
  uint64_t LastYoung() const { return young_; }
  bool fenced() const { return fenced_; }
  // The last answer to a renewal or to an edit of intervals.
  const mmu::Body* last() const;
  const std::string& token() const { return token_; }

  void Cut() { cut_ = true; }
  void Reattached() { cut_ = false; }
  // Callbacks that the case keeps running.
  int callbacks = 0;
  bool leaves = false;  // when they have ended

 private:
  struct Told {
    uint64_t ev;       // the library's
    uint64_t case_ev;  // 0: not a message of a case
    mmu::Body body;
    Json text;
  };
  Json TextOf(const mmu::Message& message, const MmuGuest& guest);
  void Note(const mmu::Message& message);

  const std::string name_;
  MmuObject object_;
  SubscriptionId id_{~uint64_t{0}};
  bool registered_ = false;
  bool cut_ = false;
  bool fenced_ = false;
  std::string token_;
  std::vector<Told> told_;
  size_t looked_ = 0;
  uint64_t last_case_ev_ = 0;
  std::map<std::string, uint64_t> requests_;
  std::map<uint64_t, std::string> names_;
  std::map<uint64_t, uint64_t> ranges_;
  uint64_t release_ = 0;
  uint64_t young_ = 0;
};

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_VECTORS_MMU_MMU_CLIENT_H_
