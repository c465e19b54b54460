#include "server/memory/p2m_run_source.h"

#include "base/status_macros.h"
#include "server/calls/find_domain.h"
#include "server/convert/common.h"
#include "server/memory/convert_memory.h"
#include "server/threads/job_scope.h"

namespace simvisor::server {
namespace {

// A longer list is long work if its runs are merged by class.
constexpr PageCount kShortRunPages{16 * kPagesPerGiB};

}  // namespace

absl::StatusOr<P2mRunSource> P2mRunSource::Create(
    const Host& host, const v1::ListP2mRunsRequest& request) {
  P2mRunSource source;
  SIMVISOR_ASSIGN_OR_RETURN(source.view_, FromProto("view", request.view()));
  SIMVISOR_ASSIGN_OR_RETURN(source.merge_, FromProto("merge", request.merge()));
  SIMVISOR_ASSIGN_OR_RETURN(source.domain_,
                            LookUpDomain(host, request.domain()));
  source.next_ = Pfn(request.start_pfn());
  source.end_ = request.end_pfn() == 0 ? Pfn::None() : Pfn(request.end_pfn());
  return source;
}

absl::StatusOr<Progress> P2mRunSource::Next(v1::ListP2mRunsResponse* response) {
  SIMVISOR_RETURN_IF_ERROR(JobScope::Enter(domain_));
  // A run of one class may consist of any number of separate frames.
  SIMVISOR_RETURN_IF_ERROR(JobScope::BeginWork(
      merge_ == RunMerge::kByFrame || GuestPages(*domain_) <= kShortRunPages));
  runs_.clear();
  uint64_t generation = 0;
  // The run after those sent tells whether and where to go on.
  SIMVISOR_RETURN_IF_ERROR(domain_->p2m()
                               .ListRuns(next_, end_, view_, merge_,
                                         kMaxRuns + 1, runs_, &generation)
                               .status());
  const bool more = runs_.size() > kMaxRuns;
  if (more) {
    next_ = runs_.back().pfns.first;
    runs_.pop_back();
  }
  for (const P2mRun& run : runs_) ToProto(run, response->add_runs());
  response->set_generation(generation);
  return more ? Progress::kMore : Progress::kLast;
}

}  // namespace simvisor::server
