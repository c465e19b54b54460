// The figures of a domain and of its machine that the matrix of operations
// compares before and after each call.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_TESTS_DOMAIN_GOLDENS_MATRIX_FIGURES_H_
#define SIMVISOR_TESTS_DOMAIN_GOLDENS_MATRIX_FIGURES_H_

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "domain/host/host.h"
#include "tests/domain/goldens/golden_calls.h"
#include "tests/domain/goldens/golden_text.h"

namespace simvisor {

// Name and value, always the same names in the same order.
using Figures = std::vector<std::pair<std::string, std::string>>;

namespace matrix_internal {

// `a` minus `b`; 0 if one follows from the other.
inline std::string Difference(PageCount a, PageCount b) {
  return absl::StrCat(static_cast<int64_t>((a - b).value()));
}

inline void AddLife(const DomainInfo& info, Figures& figures) {
  const std::string name = info.name == "" ? "(none)" : info.name;
  figures.emplace_back("state", TextOf(info.state));
  figures.emplace_back("suspended", info.suspended ? "yes" : "no");
  figures.emplace_back("suspension", absl::StrCat(info.suspension));
  figures.emplace_back("handover", TextOf(info.handover));
  figures.emplace_back("name", name);
  figures.emplace_back("vcpus", absl::StrCat(info.vcpus));
}

inline void AddMemory(const DomainMemory& memory, Figures& figures) {
  figures.emplace_back("current", TextOf(memory.current));
  figures.emplace_back("held", TextOf(memory.foreign_held));
  figures.emplace_back("target", TextOf(memory.target));
  figures.emplace_back("max", TextOf(memory.max));
  figures.emplace_back("static-max", TextOf(memory.static_max));
  figures.emplace_back("balloon", TextOf(memory.balloon));
  figures.emplace_back("free", TextOf(memory.available));
  figures.emplace_back("list-pages", TextOf(memory.p2m_pages));
  figures.emplace_back("table-pages", TextOf(memory.address_space_pages));
}

// Figures of the driver that do not follow from the memory.
inline void AddDriver(Domain& domain, const DomainInfo& info,
                      Figures& figures) {
  const BalloonTimer timer = calls::TimerOf(domain);
  const bool has = info.balloon_driver.has_value();
  const BalloonDriverInfo driver =
      info.balloon_driver.value_or(BalloonDriverInfo());
  const PageCount pages = info.memory.current - info.memory.foreign_held;
  const auto add = [&](const char* name, const std::string& value, bool known) {
    figures.emplace_back(name, known ? value : "-");
  };
  add("driver", TextOf(info.memory.balloon_state), true);
  add("driver-lag", Difference(pages, driver.current), has);
  add("driver-target", TextOf(driver.target), has);
  add("balloon-high", TextOf(driver.high), has);
  add("balloon-lent", Difference(info.memory.balloon, driver.low + driver.high),
      has);
  add("delay", absl::StrCat(driver.schedule_delay), has);
  add("retry", absl::StrCat(driver.retry_count), has);
  add("wakeups", absl::StrCat(timer.wakeups), true);
  add("timer",
      timer.seconds.has_value() ? absl::StrCat(*timer.seconds) : "none", true);
}

// Words and leaves; "-" if they can no longer be read.
inline void AddList(Domain& domain, const DomainMemory& memory,
                    Figures& figures) {
  std::vector<P2mRun> runs;
  uint64_t generation = 0;
  const bool listed =
      calls::ListRuns(domain, {Pfn(0), PageCount(1)}, P2mView::kResolved,
                      RunMerge::kByClass, runs, &generation)
          .ok();
  const auto report = calls::Summary(domain);
  const P2mSummary list = report.ok() ? report->summary : P2mSummary();
  const auto add = [&](const char* name, uint64_t value, bool known) {
    figures.emplace_back(name, known ? absl::StrCat(value) : "-");
  };
  const PageCount pages = memory.current - memory.foreign_held;
  figures.emplace_back(
      "unplaced", report.ok() ? Difference(pages, PageCount(list.ram)) : "-");
  add("identity", list.identity, report.ok());
  add("foreign", list.foreign, report.ok());
  add("leaves", list.private_leaves, report.ok());
  add("generation", generation, listed);
}

inline void AddHost(const Host& host, Figures& figures) {
  const HostInfo info = calls::InfoOf(host);
  figures.emplace_back("host-free", TextOf(info.free));
  figures.emplace_back("host-claimed", TextOf(info.claimed));
  figures.emplace_back("host-contents", TextOf(info.contents));
  figures.emplace_back("host-domains", absl::StrCat(info.domains));
}

}  // namespace matrix_internal

inline Figures FiguresOf(const Host& host, Domain& domain) {
  Figures figures;
  const DomainInfo info = calls::Info(domain);
  matrix_internal::AddLife(info, figures);
  matrix_internal::AddMemory(info.memory, figures);
  matrix_internal::AddDriver(domain, info, figures);
  matrix_internal::AddList(domain, info.memory, figures);
  const auto load = calls::FindLoad(domain);
  figures.emplace_back("load-writes",
                       load.ok() ? absl::StrCat(load->writes) : "none");
  figures.emplace_back("dirty", TextOf(calls::PeekLogDirty(domain)));
  matrix_internal::AddHost(host, figures);
  return figures;
}

// "name value, name value, ...".
inline std::string TextOf(const Figures& figures) {
  std::string text;
  for (const auto& [name, value] : figures) {
    absl::StrAppend(&text, text.empty() ? "" : ", ", name, " ", value);
  }
  return text;
}

// The change of one figure: "name +3" for a count, "name old->new" for others.
inline std::string Change(const std::string& name, const std::string& before,
                          const std::string& after) {
  static const auto* const kOthers = new std::set<std::string>{
      "target", "max",   "static-max", "driver-target", "delay",
      "retry",  "timer", "suspension", "vcpus"};
  int64_t from = 0, to = 0;
  if (kOthers->contains(name) || !absl::SimpleAtoi(before, &from) ||
      !absl::SimpleAtoi(after, &to)) {
    return absl::StrCat(name, " ", before, "->", after);
  }
  return absl::StrCat(name, to > from ? " +" : " ", to - from);
}

// All changes, except of figures that can no longer be read; "-" if nothing
// changed.
inline std::string Changes(const Figures& before, const Figures& after) {
  std::string text;
  for (size_t i = 0; i < before.size(); ++i) {
    if (before[i] == after[i] || after[i].second == "-") continue;
    absl::StrAppend(&text, text.empty() ? "" : ", ",
                    Change(before[i].first, before[i].second, after[i].second));
  }
  return text.empty() ? "-" : text;
}

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_DOMAIN_GOLDENS_MATRIX_FIGURES_H_
