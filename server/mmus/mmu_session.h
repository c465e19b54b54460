// What one Subscribe stream does to its subscription, without the stream.
//
// Thread safety: one thread at a time, except mmus() and id(), which any thread
// may use once Open() has succeeded.

#ifndef SIMVISOR_SERVER_MMUS_MMU_SESSION_H_
#define SIMVISOR_SERVER_MMUS_MMU_SESSION_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "domain/smmu/mmu_messages.h"
#include "domain/smmu/mmu_types.h"
#include "domain/smmu/secondary_mmus.h"
#include "domain/units/operation.h"
#include "domain/vm/domain.h"
#include "server/machine/machine.h"
#include "simvisor/v1/secondary_mmu_service.pb.h"

namespace simvisor::server {

class MmuSession {
 public:
  // `machine` outlives it.
  explicit MmuSession(Machine* machine) : machine_(*machine) {}
  MmuSession(const MmuSession&) = delete;
  MmuSession& operator=(const MmuSession&) = delete;

  // Registers or resumes; `first` is the first message of the stream.  May wait
  // until other changes are done.  Leaves nothing if it fails.
  // INVALID_ARGUMENT ARGUMENT_MISSING if it does neither; errors of
  // DomainMmus::Register() and SecondaryMmus::Reattach().
  absl::Status Open(const v1::SubscribeRequest& first, StopCheck stop,
                    std::shared_ptr<MmuSignal> signal);
  bool is_open() const { return domain_ != nullptr; }
  const std::shared_ptr<Domain>& domain() const { return domain_; }

  // Whether Handle() needs the domain's lock for this message.
  static bool NeedsDomain(const v1::SubscribeRequest& message) {
    return message.has_access();
  }
  // How many messages answer this one.
  static size_t AnswersTo(const v1::SubscribeRequest& message);
  static bool IsAnswer(const mmu::Message& message);

  // Handles any later message.  Messages that come after the subscription has
  // ended are ignored, since its last message is on its way.
  // FAILED_PRECONDITION SECONDARY_MMU_PROTOCOL and INVALID_ARGUMENT errors,
  // after which it is fenced.
  // REQUIRES: is_open().
  absl::Status Handle(const v1::SubscribeRequest& message, StopCheck stop);

  // As SecondaryMmus::TakeMessages().  May be called while another thread is in
  // Handle().
  std::vector<mmu::Message> TakeMessages(size_t most, bool* over) const {
    return mmus_->TakeMessages(id_, most, over);
  }

  // Fences it, since its client has broken the protocol.
  void Fence();
  // The stream broke.  Returns why the call ends: ABORTED SECONDARY_MMU_FENCED,
  // or CANCELLED if it can be resumed.
  absl::Status Break();
  // The stream has ended after the last message.
  void Close();

 private:
  absl::Status Register(const v1::SubscribeRequest::Register& spec,
                        StopCheck stop, std::shared_ptr<MmuSignal> signal);
  absl::Status Resume(const v1::SubscribeRequest::Resume& resume,
                      std::shared_ptr<MmuSignal> signal);
  absl::Status Do(const v1::SubscribeRequest& message, StopCheck stop);
  absl::Status Access(const v1::SubscribeRequest::Access& access,
                      StopCheck stop);
  // Answers request `req` with an error that has no other effect.
  absl::Status Answer(uint64_t req, const absl::Status& status);
  absl::Status AnswerYoung(const v1::SubscribeRequest::YoungReply& reply);
  absl::Status Drop(const v1::SubscribeRequest::Drop& drop);
  absl::Status Watch(const v1::SubscribeRequest::Watch& watch);
  absl::Status Unwatch(const v1::SubscribeRequest::Unwatch& unwatch);
  absl::Time Now() const;

  Machine& machine_;
  // Set by Open().
  std::shared_ptr<Domain> domain_;
  std::shared_ptr<SecondaryMmus> mmus_;
  SubscriptionId id_{};
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MMUS_MMU_SESSION_H_
