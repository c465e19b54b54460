// A progress bar for one call that allocates or frees many frames.
//
// Such a call reports nothing until it ends, so a thread polls the host's count
// of owned frames and shows how far it has moved.  Other clients change that
// count too, so the bar is an estimate.
//
// Thread safety: thread-compatible; the object owns its thread.

#ifndef SIMVISOR_CLIENT_SESSION_FRAMES_BAR_H_
#define SIMVISOR_CLIENT_SESSION_FRAMES_BAR_H_

#include <cstdint>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "client/api/client.h"
#include "client/session/session.h"
#include "client/ui/progress_bar.h"

namespace simvisor::client {

class FramesBar {
 public:
  // The number of frames that make the bar full, found out by calls that
  // `limits` end.
  using Pages = absl::FunctionRef<uint64_t(const CallLimits& limits)>;

  // Shows progress towards `pages()` frames for as long as the bar lives.
  // Without a terminal to draw on, does nothing and does not call `pages`.
  // Each call that the bar makes ends by `limits`, and after 2 seconds: it must
  // not keep the command from its own call, or from its end, if the daemon does
  // not answer.  The bar then moves no more.
  // `session`, `client` and what `limits` refers to must outlive the bar.
  FramesBar(const Session& session, const Client& client,
            absl::string_view label, const CallLimits& limits, Pages pages);
  ~FramesBar();
  FramesBar(const FramesBar&) = delete;
  FramesBar& operator=(const FramesBar&) = delete;

 private:
  void Watch(uint64_t owned_before, uint64_t pages);

  const Client& client_;
  const CallLimits limits_;  // of each call
  ProgressBar bar_;          // the thread's while it runs
  absl::Mutex mu_;
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

// Pages that the domain owns, for a FramesBar; 0, which draws nothing, if the
// call fails.
uint64_t CurrentPages(const Target& target, const CallLimits& limits);
// Pages that the guest has: the pages that the domain owns, without pages that
// the guest has released while other domains map them.
uint64_t GuestPages(const v1::DomainMemory& memory);
// GuestPages() of the domain as it is now; 0 if the call fails.
uint64_t CurrentGuestPages(const Target& target, const CallLimits& limits);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_SESSION_FRAMES_BAR_H_
