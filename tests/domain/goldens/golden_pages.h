// The roles of a guest's pages, and its words, as lines of text.
//
// The roles come from the notes that the kernel makes when it suspends; the
// guest is suspended for a moment and then resumes.
//
// Thread safety: one thread.

#ifndef SIMVISOR_TESTS_DOMAIN_GOLDENS_GOLDEN_PAGES_H_
#define SIMVISOR_TESTS_DOMAIN_GOLDENS_GOLDEN_PAGES_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "domain/collections/state_codec.h"
#include "domain/vm/domain.h"
#include "gtest/gtest.h"
#include "tests/domain/goldens/golden_calls.h"
#include "tests/domain/goldens/golden_text.h"
#include "tests/support/status_matchers.h"

namespace simvisor {

using Lines = std::vector<std::string>;

// Reads those parts of a guest's notes (docs/images.md) that are about pages.
class NotedPages {
 public:
  NotedPages(absl::string_view notes, const DomainInfo& info)
      : in_(notes), info_(info) {
    Config();
    List();
    Guest();
    if (info.arch == Arch::kX86_32Pae) Spaces();
    if (Next() == 1) Load();
    for (uint64_t n = Next(); n > 0; --n) {
      Skip(1);  // tag
      in_.Skip(std::min<uint64_t>(Next(), in_.left()));
    }
    EXPECT_TRUE(in_.done()) << in_.status();
  }

  const Lines& lines() const { return lines_; }

 private:
  uint64_t Next() { return in_.Get("number"); }
  void Skip(int numbers) {
    for (; numbers > 0; --numbers) Next();
  }
  PfnExtent NextPages() {
    const Pfn first(Next());
    return {first, PageCount(Next())};
  }
  // "role index: pages".
  void Add(absl::string_view role, absl::string_view index, PfnExtent pages) {
    lines_.push_back(absl::StrCat(role, index.empty() ? "" : " ", index, ": ",
                                  TextOf(pages)));
  }
  void AddSet(absl::string_view role) {
    for (uint64_t n = Next(); n > 0; --n) Add(role, "", NextPages());
  }

  void Config() {
    Skip(8);
    for (uint64_t n = Next(); n > 0; --n) Skip(3);  // the map
    Skip(4);                                        // virtual CPUs and limits
    for (uint64_t n = Next(); n > 0; --n) Skip(2);  // RAM
  }

  void List() {
    static constexpr std::array<absl::string_view, 12> kRoles = {
        "builder's list",
        "missing leaf",
        "identity leaf",
        "missing PTE page",
        "identity PTE page",
        "PTE page",
        "leaf",
        "missing mid",
        "top",
        "top by pointer",
        "tree mid",
        "upper table"};
    const uint64_t size = Next();
    lines_.push_back(
        absl::StrFormat("list: size 0x%x, last 0x%x", size, Next()));
    Skip(1);  // whether there is a tree
    for (uint64_t mids = 0; mids < size / AbiOf(info_.arch).mid_span();) {
      const uint64_t count = Next();
      lines_.push_back(absl::StrFormat("mids %d..%d: backing %d", mids,
                                       mids + count - 1, Next()));
      mids += count;
      if (!in_.ok()) return;
    }
    for (uint64_t n = Next(); n > 0; --n) {
      const PfnExtent pages = NextPages();
      const uint64_t role = Next();
      Add(kRoles.at(std::min<uint64_t>(role, kRoles.size() - 1)),
          absl::StrCat(Next()), pages);
    }
    for (uint64_t n = Next(); n > 0; --n) {
      const uint64_t first = Next();
      lines_.push_back(absl::StrFormat("leaves %d..%d: the builder's", first,
                                       first + Next() - 1));
    }
    for (uint64_t n = Next(); n > 0; --n) Skip(3);  // identity words
    AddSet("room");
  }

  void Guest() {
    AddSet("free");
    lines_.push_back(absl::StrFormat("remapped: %d", Next()));
    lines_.push_back(absl::StrFormat("released: %d", Next()));
    AddSet("room at boot");
    // In the order in which the pages come back.
    uint64_t place = 0;
    for (uint64_t n = Next(); n > 0; --n) {
      const PfnExtent pages = NextPages();
      Add("balloon", absl::StrCat(place++, Next() == 1 ? " striped" : ""),
          pages);
    }
    place = 0;
    for (uint64_t n = Next(); n > 0; --n) {
      Add("balloon, high", absl::StrCat(place++), NextPages());
    }
    Skip(5);  // the driver
  }

  void Spaces() {
    lines_.push_back(absl::StrFormat("next address space: %d", Next()));
    Skip(1);  // entries rewritten
    const uint64_t pmds = info_.pae_kernel.shared_kernel_pmd
                              ? info_.pae_kernel.user_pgds
                              : kPaeTopEntries;
    for (uint64_t n = Next(); n > 0; --n) {
      std::string line = absl::StrFormat("address space %d:", Next());
      const uint64_t page = Next();
      absl::StrAppend(&line,
                      absl::StrFormat(" table 0x%x/%d, pmds", page, Next()));
      for (uint64_t i = 0; i < pmds; ++i) {
        absl::StrAppend(&line, absl::StrFormat(" 0x%x", Next()));
      }
      lines_.push_back(line);
    }
  }

  void Load() {
    Skip(4);
    AddSet("load");
  }

  StateReader in_;
  const DomainInfo& info_;
  Lines lines_;
};

// The words of [0, p2m size) as runs of consecutive frames; if there are many,
// as runs by class and a hash of all words.
inline Lines WordLines(Domain& domain) {
  constexpr size_t kMaxRuns = 30;
  Lines lines;
  const auto report = calls::Summary(domain);
  EXPECT_THAT(report, IsOk());
  if (!report.ok()) return lines;
  const PfnExtent all = {Pfn(0), PageCount(report->summary.p2m_size)};
  std::vector<P2mRun> runs;
  uint64_t generation = 0;
  EXPECT_THAT(calls::ListRuns(domain, all, P2mView::kResolved,
                              RunMerge::kByFrame, runs, &generation),
              IsOk());
  uint64_t hash = 0xcbf29ce484222325;
  for (const P2mRun& run : runs) {
    for (const uint64_t number :
         {run.pfns.first.value(), run.pfns.count.value(), run.word.raw()}) {
      hash = (hash ^ number) * 0x100000001b3;
    }
  }
  if (runs.size() > kMaxRuns) {
    lines.push_back(
        absl::StrFormat("words: %d runs, hash %016x", runs.size(), hash));
    runs.clear();
    EXPECT_THAT(calls::ListRuns(domain, all, P2mView::kResolved,
                                RunMerge::kByClass, runs, &generation),
                IsOk());
    for (const P2mRun& run : runs) {
      lines.push_back(absl::StrCat("words: ", TextOf(run.pfns), " ",
                                   P2mClassName(run.word.Class())));
    }
    return lines;
  }
  for (const P2mRun& run : runs) {
    lines.push_back(
        absl::StrCat("words: ", TextOf(run.pfns), " ", run.word.ToString()));
  }
  return lines;
}

// Pages of leaves, for a guest that makes no notes.
inline Lines LeafLines(Domain& domain) {
  Lines lines;
  const auto pages = calls::LeafPages(domain);
  EXPECT_THAT(pages, IsOk());
  if (!pages.ok()) return lines;
  for (size_t at = 0; at < pages->size();) {
    // Leaves with consecutive pages, or with the same page.
    size_t end = at + 1;
    const PageCount step(end < pages->size() && (*pages)[end] != (*pages)[at]);
    while (end < pages->size() && (*pages)[end] == (*pages)[end - 1] + step) {
      ++end;
    }
    lines.push_back(absl::StrFormat("leaves %d..%d: from 0x%x%s", at, end - 1,
                                    (*pages)[at].value(),
                                    step == PageCount(0) ? ", all" : ""));
    at = end;
  }
  return lines;
}

// All lines, for a running guest.
inline Lines PageLines(Domain& domain) {
  const DomainInfo info = calls::Info(domain);
  Lines lines;
  const auto record = calls::Suspend(domain, SuspendFor::kSave);
  EXPECT_THAT(record, IsOk());
  if (record.ok()) {
    lines = NotedPages(record->notes, info).lines();
    std::string tables;
    for (const Pfn table : record->tables) {
      absl::StrAppend(&tables, " ", NumberText(table));
    }
    lines.push_back(absl::StrFormat(
        "record: start_info 0x%x, store 0x%x, console 0x%x, gdt 0x%x, tables%s",
        record->start_info.value(), record->store.value(),
        record->console.value(), record->gdt.value(), tables));
    EXPECT_THAT(calls::Resume(domain, record->suspension, /*paused=*/false),
                IsOk());
  }
  const Lines words = WordLines(domain);
  lines.insert(lines.end(), words.begin(), words.end());
  return lines;
}

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_DOMAIN_GOLDENS_GOLDEN_PAGES_H_
