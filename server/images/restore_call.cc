#include "server/images/restore_call.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "domain/units/size_text.h"
#include "server/convert/argument.h"
#include "server/convert/domain.h"
#include "server/images/xl_config.h"
#include "server/machine/events.h"
#include "server/machine/memory_reserve.h"

namespace simvisor::server {
namespace {

// The spec of the domain: the caller's, or else the image's.
ImageRestorer::SpecSource SpecOf(const v1::RestoreOptions& options) {
  if (options.has_spec()) {
    return
        [given = options.spec()](
            const std::optional<std::string>&) -> absl::StatusOr<DomainSpec> {
          SIMVISOR_ASSIGN_OR_RETURN(DomainSpec spec, FromProto(given));
          spec.vcpus = given.vcpus();  // 0: as many as the image has
          return spec;
        };
  }
  return [](const std::optional<std::string>& config)
             -> absl::StatusOr<DomainSpec> {
    if (config.has_value()) return ParseXlConfig(*config);
    return ArgumentMissing(
        "options.spec",
        "an image of this layer does not name a domain; give "
        "it a name");
  };
}

}  // namespace

RestoreCall::RestoreCall(CallRunner* runner,
                         grpc::CallbackServerContext* context,
                         grpc::ByteBuffer* out)
    : PooledReactor(runner, &runner->images, context, "RestoreDomain"),
      out_(out) {}

void RestoreCall::Take() {
  absl::Status status = limits_();
  if (status.ok()) {
    status = WithinMemory(record_.method(), [this]() -> absl::Status {
      SIMVISOR_RETURN_IF_ERROR(
          request_.Take(runner_->messages, record_.method(), read_));
      return TakePiece();
    });
  }
  if (!status.ok()) return End(status);
  watch_.Moved(request_->data().size());
  request_.Clear();
  Read();
}

absl::Status RestoreCall::TakePiece() {
  if (restorer_ == nullptr) {
    const v1::RestoreOptions& options = request_->options();
    paused_ = options.start_paused();
    name_ = options.spec().name();
    SIMVISOR_RETURN_IF_ERROR(
        runner_->machine.faults().Reach(FaultPoint::kRestoreBegin, name_));
    restorer_ = std::make_unique<ImageRestorer>(
        runner_->host(), SpecOf(options),
        options.spec().memory_pages() > 0 ? LimitsFrom::kSpec
                                          : LimitsFrom::kNotes);
  } else if (request_->has_options()) {
    return ArgumentMalformed("options", "only the first message has any");
  }
  SIMVISOR_RETURN_IF_ERROR(restorer_->Feed(request_->data(), limits_));
  if (request_->data().empty()) return absl::OkStatus();
  return runner_->machine.faults().Reach(FaultPoint::kRestorePiece, name_);
}

void RestoreCall::Break() {
  // The stream has ended, or it broke.
  absl::Status status = limits_();
  if (status.ok()) {
    status = WithinMemory(record_.method(), [this] { return Restore(); });
  }
  End(status);
}

absl::Status RestoreCall::Restore() {
  if (restorer_ == nullptr) {
    return ArgumentMissing("data", "send the image in pieces");
  }
  SIMVISOR_ASSIGN_OR_RETURN(const std::shared_ptr<Domain> domain,
                            restorer_->Finish(limits_));
  arrived_ = true;
  const absl::Status status = runner_->machine.Change(
      domain, [this](Domain& guest) { return GoOn(guest); });
  if (!status.ok()) {
    runner_->machine.Destroy(domain).IgnoreError();
    return status;
  }
  LogEvent(*domain, [&] {
    return absl::StrCat("restored with ", SizeText(domain->Memory().current),
                        paused_ ? ", paused" : "");
  });
  ToProto(domain->Info(), response_.mutable_domain());
  WriteMessageAlways(runner_->messages, response_, *out_);
  return absl::OkStatus();
}

absl::Status RestoreCall::GoOn(Domain& domain) {
  SIMVISOR_RETURN_IF_ERROR(
      runner_->machine.Reach(FaultPoint::kRestoreArrived, domain));
  if (paused_ || domain.Info().state != DomainState::kPaused) {
    return absl::OkStatus();
  }
  return domain.Unpause({"unpause", limits_}).status();
}

void RestoreCall::End(const absl::Status& status) {
  // Free what came in of an incomplete domain before the client is told.
  const bool incomplete = restorer_ != nullptr && !arrived_;
  restorer_ = nullptr;
  if (incomplete) runner_->machine.NoteGone();
  PooledReactor::End(status);
}

}  // namespace simvisor::server
