#include "server/images/save_call.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "domain/units/size_text.h"
#include "server/calls/find_domain.h"
#include "server/convert/argument.h"
#include "server/convert/common.h"
#include "server/images/convert_image.h"
#include "server/images/xl_config.h"
#include "server/machine/events.h"
#include "server/machine/memory_reserve.h"

namespace simvisor::server {
namespace {

// A chunk is sent once it has this many bytes.  A piece of an image has at most
// about 1 MiB, so chunks stay well below 4 MiB, the limit of a message.
constexpr size_t kChunkBytes = size_t{1} << 20;
// About the most that ImageSaver::Next() appends.
constexpr size_t kPieceBytes = size_t{1} << 20;

}  // namespace

SaveCall::SaveCall(CallRunner* runner, grpc::CallbackServerContext* context)
    : PooledBidiReactor(runner, &runner->images, context, "SaveDomain") {}

void SaveCall::Take() {
  watch_.Moved();
  const absl::Status status = WithinMemory(record_.method(), [this] {
    return request_.Take(runner_->messages, record_.method(), read_);
  });
  if (!status.ok()) return End(status);
  // What comes next may have to wait for secondary MMUs.
  if (MayWait()) {
    runner_->waits.Submit([this] { GoOn(); });
  } else {
    GoOn();
  }
}

bool SaveCall::MayWait() const {
  if (domain_ != nullptr) return domain_->ChangesWait();
  const auto domain = LookUpDomain(runner_->host(), request_->start().domain());
  return domain.ok() && (*domain)->ChangesWait();
}

void SaveCall::GoOn() {
  if (step_ == Step::kStart) {
    Begin();
  } else {
    Complete();
  }
}

void SaveCall::Written() {
  if (step_ == Step::kStored) {
    Read();
  } else {
    Send();
  }
}

void SaveCall::Break() {
  End(step_ == Step::kStart
          ? ArgumentMissing("start", "name the domain to save")
          : Broken());
}

absl::Status SaveCall::Broken() const {
  const absl::Status limits = limits_();
  if (!limits.ok()) return limits;
  return ArgumentMissing("stored",
                         "the image may be lost, so the guest has resumed; "
                         "send stored when the image is stored");
}

void SaveCall::Begin() {
  absl::Status status = limits_();
  if (status.ok()) {
    status = WithinMemory(record_.method(), [this] { return Suspend(); });
  }
  if (!status.ok()) return End(status);
  step_ = Step::kSending;
  Send();
}

absl::Status SaveCall::Suspend() {
  if (!request_->has_start()) {
    return ArgumentMissing("start", "name the domain to save");
  }
  const v1::SaveDomainRequest::Start& start = request_->start();
  SIMVISOR_ASSIGN_OR_RETURN(const ImageLayer layer,
                            FromProto("layer", start.layer()));
  SIMVISOR_ASSIGN_OR_RETURN(after_, CheckAfterSave("after", start.after()));
  SIMVISOR_ASSIGN_OR_RETURN(const DomainSelector selector,
                            FromProto(start.domain()));
  SIMVISOR_ASSIGN_OR_RETURN(const std::shared_ptr<Domain> domain,
                            runner_->host().FindGuest(selector, "save"));
  SIMVISOR_RETURN_IF_ERROR(
      runner_->machine.Reach(FaultPoint::kSaveBegin, *domain));
  SIMVISOR_ASSIGN_OR_RETURN(
      SuspendRecord record,
      domain->migration().Suspend({"save", limits_}, SuspendFor::kSave));
  domain_ = domain;
  suspension_ = record.suspension;
  LogEvent(*domain, [] { return "suspended to be saved"; });
  SIMVISOR_ASSIGN_OR_RETURN(std::string config, MakeXlConfig(*domain));
  saver_.emplace(domain, std::move(record), layer, std::move(config));
  return runner_->machine.Reach(FaultPoint::kSaveSuspended, *domain);
}

void SaveCall::Send() {
  absl::Status status = limits_();
  if (status.ok()) {
    status = WithinMemory(record_.method(), [this] { return FillChunk(); });
  }
  if (!status.ok()) return End(status);
  if (last_) step_ = Step::kStored;
  Write();
}

absl::Status SaveCall::FillChunk() {
  // Goes when it is serialised: a save that fails in between leaves no thread
  // that keeps a MiB or more.
  v1::SaveDomainResponse chunk;
  std::string& data = *chunk.mutable_data();
  data.reserve(kChunkBytes + kPieceBytes);
  while (data.size() < kChunkBytes && !saver_->done()) {
    SIMVISOR_RETURN_IF_ERROR(saver_->Next(data, limits_));
  }
  last_ = saver_->done();
  chunk.set_last(last_);
  chunk.set_pfns_done(saver_->pfns_done().value());
  chunk.set_pfns_total(saver_->pfns_total().value());
  chunk.set_data_pages(saver_->pages_sent().value());
  SIMVISOR_RETURN_IF_ERROR(
      WriteMessage(runner_->messages, record_.method(), chunk, write_));
  return runner_->machine.Reach(FaultPoint::kSavePiece, *domain_);
}

void SaveCall::Complete() {
  if (!request_->has_stored()) return End(Broken());
  absl::Status status =
      runner_->machine.Reach(FaultPoint::kSaveStored, *domain_);
  if (!status.ok()) return End(status);
  LogEvent(*domain_, [this] {
    return absl::StrCat("saved, ", SizeText(saver_->pages_sent()),
                        " with contents",
                        after_ == v1::AFTER_SAVE_PAUSE ? "; it is paused" : "");
  });
  if (after_ == v1::AFTER_SAVE_DESTROY) {
    status = runner_->machine.Destroy(domain_).status();
  } else {
    status = Resume(/*paused=*/after_ == v1::AFTER_SAVE_PAUSE);
  }
  domain_ = nullptr;
  End(status);
}

void SaveCall::End(const absl::Status& status) {
  if (domain_ != nullptr) {
    // If the domain has been destroyed meanwhile, there is nothing to resume.
    // If the call is over, the scheduler does what is left to the balloon
    // driver.
    const absl::Status resumed =
        UnlessExhausted([this] { return Resume(/*paused=*/false); });
    LogEvent(*domain_, [&] {
      return absl::StrCat("not saved", resumed.ok() ? ", it goes on" : "", ": ",
                          status.message());
    });
  }
  PooledBidiReactor::End(status);
}

absl::Status SaveCall::Resume(bool paused) {
  return runner_->machine.Change(domain_, [&](Domain& guest) {
    return guest.migration().Resume({"resume", limits_}, suspension_, paused);
  });
}

}  // namespace simvisor::server
