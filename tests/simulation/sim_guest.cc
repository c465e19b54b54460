#include "tests/simulation/sim_guest.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/types/span.h"
#include "base/error.h"
#include "domain/e820/e820.h"
#include "tests/support/e820_testing.h"

namespace simvisor::server {
namespace {

constexpr uint64_t kHostPages = 12000;
constexpr uint64_t kDom0Pages = 2000;

absl::Status StartLoad(Domain& domain, const GuestChange& change) {
  LoadSpec load;
  load.working_set = PageCount(change.amount % 30 + 1);
  load.pattern = static_cast<LoadPattern>(change.where % 3);
  load.seed = change.where;
  return domain.load().Start({"start load"}, load).status();
}

std::string PageAt(Domain& domain, Pfn pfn) {
  std::string page(kPageSize, '\0');
  const absl::Status read =
      domain.contents().Read(pfn, 0, absl::MakeSpan(&page[0], page.size()));
  return read.ok() ? page : read.ToString();
}

// How the memory of `is`, which runs, differs from that of `must`; empty if it
// does not.
std::string FindPageThatDiffers(Domain& is, Domain& must) {
  const Pfn end(must.p2m().Summary()->summary.p2m_size);
  std::vector<P2mRun> is_runs, must_runs;
  uint64_t generation = 0;
  for (const auto& [domain, runs] :
       {std::pair<Domain*, std::vector<P2mRun>*>(&is, &is_runs),
        std::pair<Domain*, std::vector<P2mRun>*>(&must, &must_runs)}) {
    const auto listed =
        domain->p2m().ListRuns(Pfn(0), end, P2mView::kResolved,
                               RunMerge::kByClass, 100000, *runs, &generation);
    if (!listed.ok()) return listed.status().ToString();
  }
  if (is_runs.size() != must_runs.size()) return "it has other p2m words";
  for (size_t i = 0; i < is_runs.size(); ++i) {
    const P2mRun& run = is_runs[i];
    if (run.pfns != must_runs[i].pfns ||
        run.word.Class() != must_runs[i].word.Class()) {
      return absl::StrCat("it has other p2m words at pfn ",
                          run.pfns.first.value());
    }
    if (run.word.Class() != P2mClass::kRam) continue;
    for (Pfn at = run.pfns.first; at < run.pfns.end(); at += PageCount(1)) {
      if (PageAt(is, at) == PageAt(must, at)) continue;
      // Pages in which a kernel keeps frame numbers may differ.
      const absl::Status written = is.contents().Write({"write"}, at, 0, "x");
      if (ReasonOf(written) == ReasonName(Reason::kPageInUseByKernel)) continue;
      return absl::StrCat("it holds something else at pfn ", at.value());
    }
  }
  return "";
}

std::string FindFigureThatDiffers(Domain& is, Domain& must) {
  if (!(is.p2m().Summary()->summary == must.p2m().Summary()->summary)) {
    return "it has another summary of its list";
  }
  const DomainMemory a = is.Memory();
  const DomainMemory b = must.Memory();
  for (const auto& [name, here, there] :
       {std::tuple("current", a.current, b.current),
        std::tuple("max", a.max, b.max),
        std::tuple("static max", a.static_max, b.static_max),
        std::tuple("target", a.target, b.target),
        std::tuple("balloon", a.balloon, b.balloon),
        std::tuple("available", a.available, b.available),
        std::tuple("p2m pages", a.p2m_pages, b.p2m_pages)}) {
    if (here == there) continue;
    return absl::StrCat(name, " is ", here.value(), ", and must be ",
                        there.value());
  }
  return "";
}

}  // namespace

GuestChange AnyChange(Random& random, const DomainSpec& spec) {
  using Kind = GuestChange::Kind;
  GuestChange change;
  const uint64_t what = Below(random, 100);
  change.where = Below(random, spec.memory.value());
  change.amount = Below(random, 100) + 1;
  if (what < 60) {
    change.data = absl::StrCat("written ", random());
  } else if (what < 70) {
    change.kind = Kind::kBalloonDown;
  } else if (what < 80) {
    change.kind = Kind::kBalloonUp;
  } else if (what < 84) {
    change.kind = Kind::kTarget;
    change.amount = spec.memory.value() - Below(random, 100);
  } else if (what < 89) {
    change.kind = Kind::kStartLoad;
  } else if (what < 98) {
    change.kind = Kind::kRunLoad;
  } else {
    change.kind = Kind::kStopLoad;
  }
  return change;
}

absl::Status Apply(Domain& domain, GuestChange& change) {
  const PageCount pages(change.amount);
  switch (change.kind) {
    case GuestChange::Kind::kWrite:
      return domain.contents().Write({"write"}, Pfn(change.where),
                                     change.amount, change.data);
    case GuestChange::Kind::kBalloonDown:
      return domain.balloon().Down({"balloon down"}, pages, true).status();
    case GuestChange::Kind::kBalloonUp:
      return domain.balloon().Up({"balloon up"}, pages, true).status();
    case GuestChange::Kind::kTarget:
      return domain.balloon().SetTarget({"set memory target"}, pages);
    case GuestChange::Kind::kStartLoad:
      return StartLoad(domain, change);
    case GuestChange::Kind::kRunLoad: {
      const auto done = domain.load().Run({"run load"}, change.amount);
      if (done.ok()) change.amount = *done;
      return done.status();
    }
    case GuestChange::Kind::kStopLoad:
      return domain.load().Stop({"stop load"}).status();
  }
  return absl::OkStatus();
}

DomainSpec AnySpec(Random& random, const std::string& name) {
  DomainSpec spec;
  spec.name = name;
  spec.memory = PageCount(400 + Below(random, 200));
  spec.max_memory = spec.memory + PageCount(Below(random, 200));
  spec.arch = Chance(random, 75) ? Arch::kX86_64 : Arch::kX86_32Pae;
  spec.p2m.tools_view =
      Chance(random, 50) ? ToolsView::kTree : ToolsView::kLinear;
  for (uint8_t& byte : spec.uuid) byte = static_cast<uint8_t>(random() | 1);
  return spec;
}

std::unique_ptr<Host> MakeSimHost() {
  HostConfig config;
  config.e820 = E820Map::SingleRam(PageCount(kHostPages));
  config.dom0_memory = PageCount(kDom0Pages);
  auto host = Host::Create(config);
  return host.ok() ? *std::move(host) : nullptr;
}

std::vector<Copy> CopiesOn(const Host& host) {
  std::vector<Copy> copies;
  for (auto& domain : host.List(DomainId(1), 100)) {
    const DomainInfo info = domain->Info();
    if (info.state == DomainState::kDying) continue;
    copies.push_back({std::move(domain), info.uuid, info.suspended});
  }
  return copies;
}

std::string FindFault(const Host& host) {
  const AuditReport report = host.Audit();
  if (!report.findings.empty()) {
    return absl::StrCat("the audit finds: ",
                        absl::StrJoin(report.findings, "; "));
  }
  uint64_t pages = kDom0Pages;
  for (const auto& domain : host.List(DomainId(1), 100)) {
    pages += domain->Memory().current.value();
  }
  const HostInfo info = host.Info();
  if (info.owned.value() != pages || info.claimed.value() != 0 ||
      info.incoming != 0) {
    return absl::StrCat(info.owned.value(), " frames are owned and ",
                        info.claimed.value(), " claimed, and its domains have ",
                        pages);
  }
  return "";
}

absl::Status ResumeNow(Domain& domain) {
  return domain.migration().Resume({"resume"}, domain.Info().suspension,
                                   /*paused=*/false);
}

std::string FindDifference(Domain& domain, const DomainSpec& spec,
                           std::vector<GuestChange> changes) {
  const std::unique_ptr<Host> host = MakeSimHost();
  const auto model =
      host->CreateDomain(spec, /*start_paused=*/false, NeverStop);
  if (!model.ok()) return model.status().ToString();
  for (GuestChange& change : changes) {
    const uint64_t amount = change.amount;
    const absl::Status done = Apply(**model, change);
    if (!done.ok() || change.amount != amount) {
      return absl::StrCat("a guest that never moved cannot do as it did: ",
                          done.ToString());
    }
  }
  const std::string figure = FindFigureThatDiffers(domain, **model);
  return figure.empty() ? FindPageThatDiffers(domain, **model) : figure;
}

}  // namespace simvisor::server
