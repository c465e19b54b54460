// The source of MemoryService's stream: the runs of a p2m list.
//
// Thread safety: one thread at a time per object.

#ifndef SIMVISOR_SERVER_MEMORY_P2M_RUN_SOURCE_H_
#define SIMVISOR_SERVER_MEMORY_P2M_RUN_SOURCE_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "domain/host/host.h"
#include "domain/p2m/p2m_summary.h"
#include "domain/units/units.h"
#include "domain/vm/domain.h"
#include "server/calls/progress.h"
#include "simvisor/v1/memory_service.pb.h"

namespace simvisor::server {

class P2mRunSource {
 public:
  // Most runs in one response, as the API states.
  static constexpr size_t kMaxRuns = 4096;

  // DOMAIN_NOT_FOUND, or errors about the fields of the request.
  static absl::StatusOr<P2mRunSource> Create(
      const Host& host, const v1::ListP2mRunsRequest& request);

  // At most kMaxRuns runs.  Errors: as DomainP2m::ListRuns().
  absl::StatusOr<Progress> Next(v1::ListP2mRunsResponse* response);

 private:
  P2mRunSource() = default;

  std::shared_ptr<Domain> domain_;
  Pfn next_;
  Pfn end_;
  P2mView view_ = P2mView::kResolved;
  RunMerge merge_ = RunMerge::kByFrame;
  std::vector<P2mRun> runs_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MEMORY_P2M_RUN_SOURCE_H_
