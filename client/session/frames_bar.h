// A bar for one call that hands out or takes back many frames.
//
// Such a call gives no sign until it ends, so a thread asks the host for its
// count of owned frames and shows how far that has moved.  Other clients move
// it as well: the bar is a hint, not a measure.
//
// Thread safety: thread-compatible; the thread is the object's own.

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
  // Watches until it is destroyed for `pages()` frames to change hands.  Does
  // nothing, and does not call `pages`, unless there is a terminal to draw on.
  // `session` and `client` must outlive the bar.
  FramesBar(const Session& session, const Client& client,
            absl::string_view label, absl::FunctionRef<uint64_t()> pages);
  ~FramesBar();
  FramesBar(const FramesBar&) = delete;
  FramesBar& operator=(const FramesBar&) = delete;

 private:
  void Watch(uint64_t owned_before, uint64_t pages);

  const Client& client_;
  ProgressBar bar_;  // the thread's while it runs
  absl::Mutex mu_;
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

// Pages that the domain owns, for a FramesBar; 0, which draws nothing, if the
// daemon does not say.
uint64_t CurrentPages(const Target& target);
// Those of them that its guest has; the others it has given back, and other
// domains map them.
uint64_t GuestPages(const v1::DomainMemory& memory);
// What GuestPages() says of the domain now, as CurrentPages().
uint64_t CurrentGuestPages(const Target& target);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_SESSION_FRAMES_BAR_H_
