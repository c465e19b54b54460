// Moves a guest from one host to another in memory, calling the test between
// any two pieces.

#ifndef SIMVISOR_TESTS_SUPPORT_PRECOPY_TESTING_H_
#define SIMVISOR_TESTS_SUPPORT_PRECOPY_TESTING_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "domain/image/image_restorer.h"
#include "domain/migration/precopy.h"
#include "tests/support/host_testing.h"
#include "tests/support/image_testing.h"
#include "tests/support/same_guest.h"

namespace simvisor {

struct Moved {
  std::shared_ptr<Domain> twin;  // held
  std::string image;
  uint32_t passes = 0;
};

// Calls `between` before each piece, as long as the guest runs.
inline absl::StatusOr<Moved> MoveGuest(
    const std::shared_ptr<Domain>& guest, Host& to, const DomainSpec& spec,
    const std::function<void()>& between,
    const PrecopyPolicy& policy = PrecopyPolicy(),
    uint64_t bytes_per_second = 0) {
  auto precopy = Precopy::Begin(guest, policy, "{}");
  if (!precopy.ok()) return precopy.status();
  ImageRestorer restorer(to, SpecOf(spec), LimitsFrom::kNotes,
                         (*precopy)->pages(), Arrival::kSuspended);
  Moved moved;
  while (!(*precopy)->done()) {
    if (!(*precopy)->suspended()) between();
    if ((*precopy)->pass_done()) {
      const absl::Status turned = (*precopy)->Turn(bytes_per_second);
      if (!turned.ok()) return turned;
    }
    std::string piece;
    absl::Status status = (*precopy)->Next(piece);
    if (status.ok()) status = restorer.Feed(piece);
    if (!status.ok()) return status;
    moved.image += piece;
  }
  moved.passes = (*precopy)->pass();
  auto twin = restorer.Finish();
  if (!twin.ok()) return twin.status();
  moved.twin = *std::move(twin);
  return moved;
}

// Ends the guest's suspension, whatever its purpose.
inline absl::Status ResumeGuest(Domain& guest, bool paused = false) {
  return guest.migration().Resume({"resume"}, guest.Info().suspension, paused);
}

// Expects that every page holds the same on both hosts, except those in which
// the kernel of the twin, which runs, keeps frame numbers.
inline void ExpectSamePages(Domain& guest, Domain& twin) {
  const Pfn end(guest.p2m().Summary()->summary.p2m_size);
  for (const P2mRun& run : RunsByClass(guest, Pfn(0), end)) {
    if (run.word.Class() != P2mClass::kRam) continue;
    for (Pfn at = run.pfns.first; at < run.pfns.end(); at += PageCount(1)) {
      if (ReadPage(guest, at) == ReadPage(twin, at)) continue;
      EXPECT_THAT(twin.contents().Write({"write"}, at, 0, "x"),
                  IsError(absl::StatusCode::kFailedPrecondition,
                          Reason::kPageInUseByKernel, testing::_))
          << "pfn " << at.value();
    }
  }
}

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_SUPPORT_PRECOPY_TESTING_H_
