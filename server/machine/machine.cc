#include "server/machine/machine.h"

#include <cassert>

#include "absl/strings/str_cat.h"
#include "domain/units/domain_identity.h"
#include "domain/units/size_text.h"
#include "server/machine/events.h"
#include "server/machine/memory_reserve.h"

namespace simvisor::server {

Machine::Machine(std::unique_ptr<Host> host, const MachineOptions& options)
    : clock_(options.clock),
      faults_(options.faults == nullptr ? &no_faults_ : options.faults),
      host_(std::move(host)),
      mmu_grace_(options.mmu_grace),
      mmus_(options.clock, faults_),
      heap_(InBackground(), options.trim, options.trim_rule),
      balloons_(options.clock, InBackground(), WhereItMayWait()),
      loads_(options.clock) {
  assert(host_ != nullptr);
}

Executor Machine::InBackground() {
  return
      [this](std::function<void()> job) { background_.Submit(std::move(job)); };
}

Executor Machine::WhereItMayWait() {
  return [this](std::function<void()> job) { waits_.Submit(std::move(job)); };
}

absl::StatusOr<std::shared_ptr<Domain>> Machine::Create(const DomainSpec& spec,
                                                        bool start_paused,
                                                        StopCheck stop) {
  SIMVISOR_RETURN_IF_ERROR(faults_->Reach(FaultPoint::kCreateBegin, spec.name));
  SIMVISOR_ASSIGN_OR_RETURN(std::shared_ptr<Domain> domain,
                            host_->CreateDomain(spec, start_paused, stop));
  PassTimers(domain);
  const absl::Status built = Reach(FaultPoint::kCreateBuilt, *domain);
  if (built.ok()) {
    LogEvent(*domain, [&] {
      return absl::StrCat("created with ", SizeText(domain->Memory().current),
                          start_paused ? ", paused" : "");
    });
    return domain;
  }
  Destroy(domain).IgnoreError();
  return built;
}

absl::StatusOr<PageCount> Machine::Destroy(
    const std::shared_ptr<Domain>& domain) {
  // It has none afterwards.
  std::string name;
  UnlessExhausted([&] {
    name = domain->name();
    return absl::OkStatus();
  }).IgnoreError();
  SIMVISOR_ASSIGN_OR_RETURN(const PageCount freed,
                            host_->DestroyDomain(domain));
  LogEvent([&] {
    return absl::StrCat(DomainText(name, domain->id()), ": destroyed, ",
                        SizeText(freed), " freed");
  });
  NoteGone();
  return freed;
}

void Machine::NoteGone() {
  // The domain is gone, whether or not there is memory for the trim job.
  UnlessExhausted([&] {
    heap_.OnGone(host_->guest_count(), host_->TakeContentsUse());
    return absl::OkStatus();
  }).IgnoreError();
}

void Machine::PassTimers(const std::shared_ptr<Domain>& domain) {
  // Without memory to follow it up, a change that was made is still a success.
  UnlessExhausted([&] {
    const DomainBalloon::Timers timers = domain->balloon().timers();
    balloons_.SetTimer(domain, timers.balloon);
    if (timers.has_load) loads_.AddDomain(domain);
    return absl::OkStatus();
  }).IgnoreError();
}

}  // namespace simvisor::server
