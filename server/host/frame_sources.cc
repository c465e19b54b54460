#include "server/host/frame_sources.h"

#include <memory>
#include <string>

#include "absl/types/span.h"
#include "base/status_macros.h"
#include "server/convert/common.h"
#include "server/host/convert_host.h"
#include "server/threads/job_scope.h"

namespace simvisor::server {

absl::StatusOr<FrameLookup> FrameLookup::Create(
    const Host* host, const v1::LookupFramesRequest& request) {
  SIMVISOR_ASSIGN_OR_RETURN(std::vector<MfnExtent> extents,
                            FromProto(request.extents()));
  return FrameLookup(host, std::move(extents));
}

absl::StatusOr<Progress> FrameLookup::Next(v1::LookupFramesResponse* response) {
  runs_.clear();
  while (next_ < extents_.size() && runs_.size() < kMaxRunsPerResponse) {
    MfnExtent& rest = extents_[next_];
    SIMVISOR_ASSIGN_OR_RETURN(
        const Mfn reached,
        host_->LookupFrames(rest, kMaxRunsPerResponse - runs_.size(), runs_));
    rest = ExtentBetween(reached, rest.end());
    if (rest.empty()) ++next_;
  }
  for (const FrameRun& run : runs_) ToProto(run, response->add_runs());
  return next_ < extents_.size() ? Progress::kMore : Progress::kLast;
}

absl::StatusOr<FrameReader> FrameReader::Create(
    const Host* host, const v1::ReadFramesRequest& request) {
  SIMVISOR_ASSIGN_OR_RETURN(std::vector<MfnExtent> extents,
                            FromProto(request.extents()));
  return FrameReader(host, std::move(extents));
}

absl::StatusOr<Progress> FrameReader::Next(v1::ReadFramesResponse* response) {
  while (next_ < extents_.size() &&
         response->frames_size() < kMaxFramesPerResponse) {
    const absl::Status entered = EnterOwner(extents_[next_].first);
    if (!entered.ok()) {
      // Send first what has been read.
      if (response->frames_size() > 0) return Progress::kMore;
      return entered;
    }
    SIMVISOR_RETURN_IF_ERROR(ReadOne(response->add_frames()));
  }
  return next_ < extents_.size() ? Progress::kMore : Progress::kLast;
}

absl::Status FrameReader::EnterOwner(Mfn mfn) const {
  const std::shared_ptr<Domain> owner = host_->FindOwner(mfn);
  return owner == nullptr ? absl::OkStatus() : JobScope::Enter(owner);
}

absl::Status FrameReader::ReadOne(v1::FrameContent* frame) {
  MfnExtent& rest = extents_[next_];
  std::string* const content = frame->mutable_content();
  content->resize(kPageSize);
  bool zero = false;
  SIMVISOR_RETURN_IF_ERROR(
      host_->ReadFrame(rest.first, absl::MakeSpan(*content), &zero));
  if (zero) content->clear();
  frame->set_mfn(rest.first.value());
  rest = ExtentBetween(rest.first + PageCount(1), rest.end());
  if (rest.empty()) ++next_;
  return absl::OkStatus();
}

}  // namespace simvisor::server
