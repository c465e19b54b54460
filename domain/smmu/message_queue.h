// The messages of one subscription, numbered without gaps.
//
// A queue that can be replayed keeps the messages that were taken until their
// receipt is confirmed, at most as many as it is told to keep.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_DOMAIN_SMMU_MESSAGE_QUEUE_H_
#define SIMVISOR_DOMAIN_SMMU_MESSAGE_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "domain/smmu/mmu_messages.h"

namespace simvisor {

class MessageQueue {
 public:
  // Keeps up to `keep` messages that were taken and are not confirmed.
  explicit MessageQueue(size_t keep) : keep_(keep) {}

  // Appends a message and returns its number.
  uint64_t Add(mmu::Body body);
  // Takes up to `most` messages that wait, in order.
  std::vector<mmu::Message> Take(size_t most);
  // Notes that all messages up to `ev` were received.
  void Confirm(uint64_t ev);
  // Makes the messages after `ev` wait again, preceded by `resumed`, which has
  // the number `ev`.  Returns false, and has no effect, if one of them is not
  // kept any more or `ev` was never sent.
  bool Replay(uint64_t ev);
  // Forgets what was taken.
  void KeepNothing();

  bool empty() const { return waiting_.empty(); }

 private:
  void DropOldest();

  size_t keep_;
  std::deque<mmu::Message> taken_;
  std::deque<mmu::Message> waiting_;
  uint64_t last_ev_ = 0;
  uint64_t forgotten_ev_ = 0;  // the last that is not kept any more
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_SMMU_MESSAGE_QUEUE_H_
