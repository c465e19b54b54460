// Every call that the golden tests make to a host or a domain, each in one
// place, so that renaming or moving an operation changes one line.
//
// Thread safety: that of what is called.

#ifndef SIMVISOR_TESTS_DOMAIN_GOLDENS_GOLDEN_CALLS_H_
#define SIMVISOR_TESTS_DOMAIN_GOLDENS_GOLDEN_CALLS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "domain/host/host.h"
#include "domain/image/image_restorer.h"
#include "domain/image/image_saver.h"

namespace simvisor::calls {

using Ids = std::vector<uint64_t>;

// What a restored domain gets from the caller; its map, options and limits are
// the image's.
struct RestoreAs {
  std::string name;
  Arrival arrival = Arrival::kPaused;
  LimitsFrom limits = LimitsFrom::kNotes;
};

// Life.

inline absl::StatusOr<std::shared_ptr<Domain>> Create(
    Host& host, const DomainSpec& spec, bool paused,
    StopCheck stop = NeverStop) {
  return host.CreateDomain(spec, paused, stop);
}
inline absl::StatusOr<DomainState> Pause(Domain& domain) {
  return domain.Pause({"pause"});
}
inline absl::StatusOr<DomainState> Unpause(Domain& domain,
                                           StopCheck stop = NeverStop) {
  return domain.Unpause({"unpause", stop});
}
inline absl::Status BeginDestroy(Domain& domain) {
  return domain.BeginDestroy({"destroy"});
}
inline absl::StatusOr<PageCount> Destroy(
    Host& host, const std::shared_ptr<Domain>& domain) {
  return host.DestroyDomain(domain);
}
inline absl::StatusOr<PageCount> DestroyBy(Host& host,
                                           const DomainSelector& s) {
  return host.DestroyDomain(s);
}
inline absl::StatusOr<std::shared_ptr<Domain>> Find(Host& host,
                                                    const DomainSelector& s) {
  return host.Find(s);
}
inline absl::StatusOr<std::shared_ptr<Domain>> FindGuest(
    Host& host, const DomainSelector& s) {
  return host.FindGuest(s, "operation");
}
inline absl::StatusOr<std::shared_ptr<Domain>> Rename(Host& host,
                                                      const DomainSelector& s,
                                                      absl::string_view name) {
  return host.RenameDomain(s, name);
}
inline DomainInfo Info(Domain& domain) { return domain.Info(); }
inline HostInfo InfoOf(const Host& host) { return host.Info(); }
inline bool IsGone(Domain& domain) { return domain.IsGone(); }
inline bool HasBooted(Domain& domain) {
  return domain.Peek([](const Parts& on) { return on.guest() != nullptr; });
}
inline PageCount ShownPages(Domain& domain) {
  const DomainMemory memory = domain.Memory();
  return memory.current - memory.foreign_held;
}
inline std::optional<PageCount> TryPages(Domain& domain) {
  return domain.TryPages();
}
inline std::vector<std::shared_ptr<Domain>> List(const Host& host) {
  return host.List(DomainId(0), 100);
}
inline AuditReport Audit(const Host& host) { return host.Audit(); }
inline absl::Status AuditUntil(const Host& host, StopCheck stop) {
  AuditReport report;
  return host.Audit(stop, report);
}

// Memory and balloon.

inline absl::StatusOr<PageCount> BalloonDown(Domain& domain, uint64_t pages,
                                             bool partial,
                                             StopCheck stop = NeverStop) {
  return domain.balloon().Down({"balloon down", stop}, PageCount(pages),
                               partial);
}
inline absl::StatusOr<PageCount> BalloonUp(Domain& domain, uint64_t pages,
                                           bool partial,
                                           StopCheck stop = NeverStop) {
  return domain.balloon().Up({"balloon up", stop}, PageCount(pages), partial);
}
inline absl::Status SetTarget(Domain& domain, uint64_t pages,
                              StopCheck stop = NeverStop) {
  return domain.balloon().SetTarget({"set memory target", stop},
                                    PageCount(pages));
}
inline absl::Status SetMaxMemory(Domain& domain, uint64_t pages) {
  return domain.balloon().SetMaximum({"set maximum memory"}, PageCount(pages));
}
inline BalloonTimer TimerOf(Domain& domain) { return domain.balloon().timer(); }
inline absl::Status WakeBalloon(Domain& domain, const BalloonTimer& timer,
                                StopCheck stop = NeverStop) {
  return domain.balloon().Wake({"balloon timer", stop}, timer);
}

// The p2m list.

inline absl::StatusOr<RangeChange> MarkIdentity(Domain& domain, Pfn start,
                                                Pfn end, bool release,
                                                StopCheck stop = NeverStop) {
  return domain.p2m().MarkIdentity({"mark identity", stop}, start, end,
                                   release);
}
inline absl::StatusOr<RangeChange> SetRange(Domain& domain, PfnExtent pfns,
                                            P2mClass to, Mfn first,
                                            RamPolicy policy,
                                            StopCheck stop = NeverStop) {
  return domain.p2m().SetRange({"set p2m", stop}, pfns, to, first, policy);
}
inline absl::Status Translate(Domain& domain, const std::vector<uint64_t>& at,
                              std::vector<P2mWord>& words) {
  return domain.p2m().Translate(at, words);
}
inline absl::Status TranslateMfns(Domain& domain,
                                  const std::vector<uint64_t>& mfns,
                                  std::vector<MfnTranslation>& answers) {
  return domain.p2m().TranslateMfns(mfns, answers);
}
inline absl::StatusOr<Pfn> ListRuns(Domain& domain, PfnExtent pfns,
                                    P2mView view, RunMerge merge,
                                    std::vector<P2mRun>& runs,
                                    uint64_t* generation) {
  return domain.p2m().ListRuns(pfns.first, pfns.end(), view, merge, 100000,
                               runs, generation);
}
inline absl::StatusOr<P2mReport> Summary(Domain& domain) {
  return domain.p2m().Summary();
}
inline absl::StatusOr<MfnListList> FindMfnListList(Domain& domain) {
  return domain.p2m().FindMfnListList();
}
inline absl::StatusOr<std::vector<Pfn>> LeafPages(Domain& domain) {
  return domain.migration().LeafPages(0, 100000);
}
inline absl::Status MapForeign(Domain& domain,
                               const std::vector<ForeignSlot>& slots,
                               ForeignReport& report,
                               StopCheck stop = NeverStop) {
  return domain.p2m().MapForeign({"map foreign", stop}, slots, report);
}
inline absl::Status UnmapForeign(Host& host,
                                 const std::shared_ptr<Domain>& domain,
                                 const std::vector<uint64_t>& pfns,
                                 ForeignReport& report,
                                 StopCheck stop = NeverStop) {
  return host.UnmapForeign({"unmap foreign", stop}, domain, pfns, report);
}

// Contents.

inline absl::Status ReadMemory(Domain& domain, Pfn pfn, uint64_t offset,
                               absl::Span<char> out) {
  return domain.contents().Read(pfn, offset, out);
}
inline absl::Status WriteMemory(Domain& domain, Pfn pfn, uint64_t offset,
                                absl::string_view data) {
  return domain.contents().Write({"write"}, pfn, offset, data);
}
inline absl::Status ReadOwnFrame(Domain& domain, Mfn mfn, absl::Span<char> page,
                                 bool* zero) {
  return domain.contents().ReadFrame(mfn, page, zero);
}
inline absl::Status ReadFrame(const Host& host, Mfn mfn, absl::Span<char> page,
                              bool* zero) {
  return host.ReadFrame(mfn, page, zero);
}
inline std::shared_ptr<Domain> FindOwner(const Host& host, Mfn mfn) {
  return host.FindOwner(mfn);
}
inline Pfn PfnOfFrame(Domain& domain, Mfn mfn) {
  return domain.migration().PfnOfFrame(mfn);
}

// The load.

inline absl::Status StartLoad(Domain& domain, const LoadSpec& spec) {
  return domain.load().Start({"start a load"}, spec).status();
}
inline absl::StatusOr<uint64_t> RunLoad(Domain& domain, uint64_t writes,
                                        StopCheck stop = NeverStop) {
  return domain.load().Run({"run its load", stop}, writes);
}
inline absl::StatusOr<LoadReport> StopLoad(Domain& domain) {
  return domain.load().Stop({"stop its load"});
}
inline absl::StatusOr<LoadReport> FindLoad(Domain& domain) {
  return domain.load().Find();
}
inline absl::StatusOr<LoadReport> ListLoadPages(
    Domain& domain, std::vector<PfnExtent>& extents) {
  return domain.load().ListPages(0, 1000, extents);
}
inline absl::StatusOr<LoadCheck> CheckLoad(Domain& domain,
                                           StopCheck stop = NeverStop) {
  return domain.load().Check({"check its load", stop});
}

// Processes.

inline absl::StatusOr<NewAddressSpaces> CreateSpaces(
    Domain& domain, uint32_t count, StopCheck stop = NeverStop) {
  return domain.processes().Create({"create address spaces", stop}, count);
}
inline absl::StatusOr<AddressSpaceTotals> DestroySpaces(
    Domain& domain, const Ids& ids, StopCheck stop = NeverStop) {
  return domain.processes().Destroy({"destroy address spaces", stop}, ids);
}
inline absl::StatusOr<AddressSpaceTotals> ListSpaces(
    Domain& domain, std::vector<AddressSpaceInfo>& spaces) {
  return domain.processes().List(0, 1000, spaces);
}
inline absl::Status TranslateIn(Domain& domain, uint64_t id,
                                const std::vector<uint64_t>& pfns,
                                std::vector<P2mWord>& words) {
  return domain.processes().TranslateIn(id, pfns, words);
}
inline absl::StatusOr<AddressSpaceSync> SyncSpaces(Domain& domain,
                                                   StopCheck stop = NeverStop) {
  return domain.processes().Sync({"sync address spaces", stop});
}

// Virtual CPUs.

inline absl::Status SetAffinity(Domain& domain,
                                const std::vector<uint32_t>& vcpus,
                                const CpuRanges* hard, const CpuRanges* soft) {
  return domain.vcpus().SetAffinity(vcpus, hard, soft);
}
inline absl::StatusOr<std::vector<VcpuInfo>> ListVcpus(Domain& domain) {
  return domain.vcpus().List(0, 100);
}

// Migration and images.

inline absl::StatusOr<LiveGuest> StartLogDirty(Domain& domain) {
  return domain.migration().StartLogDirty({"migrate"});
}
inline absl::StatusOr<DirtyPages> CleanLogDirty(Domain& domain) {
  return domain.migration().CleanLogDirty();
}
inline PageCount PeekLogDirty(Domain& domain) {
  return domain.migration().PeekLogDirty();
}
inline void StopLogDirty(Domain& domain) { domain.migration().StopLogDirty(); }
inline absl::StatusOr<SuspendRecord> Suspend(Domain& domain, SuspendFor purpose,
                                             StopCheck stop = NeverStop) {
  return domain.migration().Suspend(
      {purpose == SuspendFor::kSave ? "save" : "migrate", stop}, purpose);
}
inline absl::Status Resume(Domain& domain, uint64_t suspension, bool paused,
                           StopCheck stop = NeverStop) {
  return domain.migration().Resume({"resume", stop}, suspension, paused);
}
inline absl::Status BeginHandover(Domain& domain) {
  return domain.migration().BeginHandover({"handover"});
}
inline void EndHandover(Domain& domain) { domain.migration().EndHandover(); }
inline absl::StatusOr<Pfn> ReadForImage(Domain& domain, PfnExtent pfns,
                                        std::vector<ImageRun>& runs) {
  return domain.migration().ReadForImage(pfns, 1000, runs);
}

// The whole image of a suspended guest; `record` is its suspend record.
inline absl::StatusOr<std::string> SaveImage(std::shared_ptr<Domain> domain,
                                             SuspendRecord record) {
  ImageSaver saver(std::move(domain), std::move(record), ImageLayer::kLibxc,
                   "{}");
  std::string image;
  while (!saver.done()) {
    const absl::Status status = saver.Next(image);
    if (!status.ok()) return status;
  }
  return image;
}
// What a live migration sends of a guest whose dirty log is on (`live`
// describes it): a pass over everything, one over what `change` changes, and
// the last one, with the guest suspended.  `passes` gets the bytes and pages
// sent after each pass.
inline absl::StatusOr<std::string> SaveLive(
    const std::shared_ptr<Domain>& domain, const LiveGuest& live,
    absl::FunctionRef<void()> change,
    std::vector<std::pair<size_t, PageCount>>& passes) {
  ImageSaver saver(domain, live, ImageLayer::kLibxc, "{}");
  std::string image;
  const auto send = [&]() -> absl::Status {
    absl::Status status;
    while (status.ok() && !saver.done() && !saver.pass_done()) {
      status = saver.Next(image);
    }
    passes.emplace_back(image.size(), saver.pages_sent());
    return status;
  };
  SIMVISOR_RETURN_IF_ERROR(send());
  change();
  SIMVISOR_ASSIGN_OR_RETURN(DirtyPages changed, CleanLogDirty(*domain));
  saver.StartPass(std::move(changed.pfns));
  SIMVISOR_RETURN_IF_ERROR(send());
  SIMVISOR_ASSIGN_OR_RETURN(SuspendRecord record,
                            Suspend(*domain, SuspendFor::kMigration));
  SIMVISOR_ASSIGN_OR_RETURN(DirtyPages last, CleanLogDirty(*domain));
  saver.StartLastPass(std::move(record), std::move(last.pfns));
  SIMVISOR_RETURN_IF_ERROR(send());
  return image;
}
inline absl::StatusOr<std::shared_ptr<Domain>> RestoreImage(
    Host& host, absl::string_view image, const RestoreAs& as) {
  DomainSpec spec;
  spec.name = as.name;
  spec.vcpus = 0;
  ImageRestorer restorer(
      host, [spec](const std::optional<std::string>&) { return spec; },
      as.limits, PageCount(0), as.arrival);
  const absl::Status status = restorer.Feed(image);
  if (!status.ok()) return status;
  return restorer.Finish();
}

}  // namespace simvisor::calls

#endif  // SIMVISOR_TESTS_DOMAIN_GOLDENS_GOLDEN_CALLS_H_
