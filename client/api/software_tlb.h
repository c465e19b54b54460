// A secondary MMU as a software TLB: what a client needs to keep mappings of a
// domain rightly.  docs/secondary-mmu.md tells the protocol as a story.
//
// Mappings never leave the class.  Use() calls a function with the frame while
// the mapping cannot be taken away; an invalidation waits for such calls,
// removes what it must, and only then acknowledges.  So the function must be
// short, and must call neither the daemon nor this object.
//
// Invariants: (1) a page is in the table only after the daemon has said
// `installed`, and no later event has named it, since one thread handles
// messages in order; (2) no page is used after 0.9 of a lease from when the
// last renewal that was granted had been sent; (3) an event is acknowledged
// after its pages are gone and the calls that used them have returned; (4) once
// it has left, or its stream has ended, the table is empty for ever.
//
// Thread safety: thread-safe.

#ifndef SIMVISOR_CLIENT_API_SOFTWARE_TLB_H_
#define SIMVISOR_CLIENT_API_SOFTWARE_TLB_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "client/api/client.h"
#include "client/api/mmu_lease.h"
#include "client/api/mmu_stream.h"
#include "client/api/tlb_pages.h"
#include "simvisor/v1/common.pb.h"
#include "simvisor/v1/secondary_mmu_service.pb.h"

namespace simvisor::client {

class SoftwareTlb {
 public:
  // What to do with an event that is to be answered.
  enum class Answer {
    kLetGo,   // let go and acknowledge; say what is young
    kRefuse,  // keep it and refuse; the daemon fences if that is not allowed
    kKeep,    // keep it and say nothing; the daemon fences when the lease ends
  };

  struct Options {
    std::string name = "software-tlb";          // 1 to 63 bytes
    std::vector<v1::PfnExtent> intervals = {};  // none: the whole domain
    v1::RetryRule rule = v1::RETRY_RULE_UNSPECIFIED;
    v1::EventFilter events = v1::EVENT_FILTER_ALL;
    absl::Duration lease = absl::Seconds(5);
    uint32_t fault_window = 256;
    bool resumable = false;
    // Called with each message before it is handled, on the thread that handles
    // them, without a lock; may be empty.
    std::function<void(const v1::SubscribeResponse&)> observe = {};
    // The same for each begin, page, release and question what is young; empty:
    // kLetGo.
    std::function<Answer(const v1::SubscribeResponse&)> decide = {};
    // Time since some moment, which never goes back; empty: the system's.
    std::function<absl::Duration()> clock = {};
  };

  struct Stats {
    uint64_t installs = 0;
    uint64_t retries = 0;
    uint64_t begins = 0;
    uint64_t ends = 0;
    uint64_t aborts = 0;
    uint64_t pages = 0;   // events that name one page
    uint64_t lapses = 0;  // uses that had to wait for a renewal
  };

  // Waits until it is registered.  The errors of the call; DEADLINE_EXCEEDED or
  // CANCELLED as `limits` say, and then nothing is left at the daemon. `client`
  // must outlive the result.
  static absl::StatusOr<std::unique_ptr<SoftwareTlb>> Attach(
      const Client& client, const v1::DomainRef& domain, Options options,
      const CallLimits& limits = {});
  SoftwareTlb(const SoftwareTlb&) = delete;
  SoftwareTlb& operator=(const SoftwareTlb&) = delete;
  ~SoftwareTlb();  // Detach()

  // Calls f(mfn), faulting as often as it takes.  False, without calling it, if
  // the domain has no frame there.  DEADLINE_EXCEEDED after `patience`;
  // FAILED_PRECONDITION if it has left or was released, or as a fault_error
  // says; ABORTED SECONDARY_MMU_FENCED, or how else the stream ended.
  absl::StatusOr<bool> Use(uint64_t pfn, bool write,
                           absl::FunctionRef<void(uint64_t mfn)> f,
                           absl::Duration patience = absl::InfiniteDuration());
  // Loads and stores of the device through its mapping; errors as Use(), and
  // FAILED_PRECONDITION with the reason that the daemon gives.  Empty or false
  // if the domain has no frame there.
  absl::StatusOr<std::string> Load(uint64_t pfn, uint32_t offset,
                                   uint32_t size);
  absl::StatusOr<bool> Store(uint64_t pfn, uint32_t offset,
                             absl::string_view data);
  // Throws mappings out.  Faults under way are sent again, since their answers
  // may be older.
  void Drop(const v1::PfnExtent& pfns) ABSL_LOCKS_EXCLUDED(mu_);

  // Leaves.  Cannot fail, and may be called twice; not from within a function
  // that this class calls.
  void Detach() ABSL_LOCKS_EXCLUDED(mu_);

  // Waits until the stream has ended, at most for `patience`; whether it has.
  bool AwaitEnd(absl::Duration patience) ABSL_LOCKS_EXCLUDED(mu_);
  // How it ended: OK if it left or was released.
  // REQUIRES: it has ended.
  absl::Status End() const ABSL_LOCKS_EXCLUDED(mu_);

  uint64_t subscription() const ABSL_LOCKS_EXCLUDED(mu_);
  size_t mapped() const ABSL_LOCKS_EXCLUDED(mu_);
  Stats stats() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  // A request that waits for its answer.
  struct Wait {
    bool is_void = false;      // its `installed` does not count
    bool is_given_up = false;  // no call waits for it any more
    std::optional<v1::SubscribeResponse> answer;
  };

  SoftwareTlb(const Client& client, Options options);

  absl::Duration Now() const;
  // Waits until it is registered or has ended; why it gave up, if it did.
  absl::Status AwaitRegistered(const CallLimits& limits)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Read();
  void Write();
  void Handle(const v1::SubscribeResponse& message, Answer answer)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void HandleInstalled(const v1::SubscribeResponse::Installed& installed)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void HandleBegin(uint64_t ev, const v1::SubscribeResponse::RangeBegin& begin,
                   Answer answer) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void HandleClose(uint64_t range) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void HandlePage(uint64_t ev, uint64_t pfn, Answer answer)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void DeliverAnswer(const v1::SubscribeResponse& message)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void SayAnswer(uint64_t ev, Answer answer) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Ends the stream, since the daemon breaks the protocol.
  void Fail(absl::string_view what) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  // Why nothing can be used any more; OK if things can.
  absl::Status CheckThere() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Waits until the lease is safe, by `until`.
  absl::Status AwaitSafe(absl::Duration until)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Waits for the answer to the request of that number.
  absl::StatusOr<v1::SubscribeResponse> AwaitAnswer(uint64_t req,
                                                    absl::Duration until)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::StatusOr<std::optional<v1::SubscribeResponse::Accessed>> DoAccess(
      v1::SubscribeRequest::Access access, bool write) ABSL_LOCKS_EXCLUDED(mu_);

  const Options options_;
  const std::unique_ptr<MmuStream> stream_;

  mutable absl::Mutex mu_;
  TlbPages pages_ ABSL_GUARDED_BY(mu_);
  std::map<uint64_t, Wait> waits_ ABSL_GUARDED_BY(mu_);  // by req
  std::deque<v1::SubscribeRequest> out_ ABSL_GUARDED_BY(mu_);
  std::set<uint64_t> open_ ABSL_GUARDED_BY(mu_);  // ranges that have begun
  uint64_t next_ev_ ABSL_GUARDED_BY(mu_) = 1;
  uint64_t last_req_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t subscription_ ABSL_GUARDED_BY(mu_) = 0;      // 0: not registered yet
  std::optional<MmuLease> lease_ ABSL_GUARDED_BY(mu_);  // set by Attach()
  Stats stats_ ABSL_GUARDED_BY(mu_);
  bool leaving_ ABSL_GUARDED_BY(mu_) = false;
  bool ended_ ABSL_GUARDED_BY(mu_) = false;
  absl::Status violation_ ABSL_GUARDED_BY(mu_);
  absl::Status end_ ABSL_GUARDED_BY(mu_);

  // Last: they use all of the above.
  std::thread reader_;
  std::thread writer_;
};

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_API_SOFTWARE_TLB_H_
