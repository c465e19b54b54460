// Operations of the matrix on the words of a domain's p2m list.
//
// Thread safety: one thread.

#ifndef SIMVISOR_TESTS_DOMAIN_GOLDENS_MATRIX_P2M_OPERATIONS_H_
#define SIMVISOR_TESTS_DOMAIN_GOLDENS_MATRIX_P2M_OPERATIONS_H_

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tests/domain/goldens/golden_calls.h"
#include "tests/domain/goldens/matrix_life_operations.h"
#include "tests/domain/goldens/matrix_operation.h"

namespace simvisor {

inline constexpr uint64_t kPastList = uint64_t{1} << 36;
inline constexpr Mfn kPastMachine{uint64_t{1} << 29};

namespace matrix_internal {

inline PfnExtent PagesAt(uint64_t first, uint64_t count) {
  return {Pfn(first), PageCount(count)};
}

// A page of the list: that of its first leaf, or, before the guest has booted,
// the first page with content; a pfn past the list if there is no such page.
inline uint64_t ListPage(const Scene& s) {
  if (calls::HasBooted(*s.guest)) {
    const auto leaves = calls::LeafPages(*s.guest);
    return leaves.ok() && !leaves->empty() ? leaves->front().value()
                                           : kPastList;
  }
  std::vector<ImageRun> runs;
  if (!calls::ReadForImage(*s.guest, PagesAt(0, kMatrixMaximum), runs).ok()) {
    return kPastList;
  }
  for (const ImageRun& run : runs) {
    if (run.kind == ImageRun::Kind::kData) return run.pfns.first.value();
  }
  return kPastList;
}

inline Outcome ToldRange(const absl::StatusOr<RangeChange>& change) {
  return Told(change, [](const RangeChange& c) { return TextOf(c); });
}

inline auto Mark(uint64_t first, Pfn end, bool release) {
  return [=](Scene& s) {
    return ToldRange(calls::MarkIdentity(*s.guest, Pfn(first), end, release));
  };
}

inline auto Set(PfnExtent pfns, P2mClass to, RamPolicy policy) {
  return [=](Scene& s) {
    return ToldRange(calls::SetRange(*s.guest, pfns, to, Mfn(), policy));
  };
}

inline Outcome SetRam(Scene& s, PfnExtent pfns, Mfn first,
                      RamPolicy policy = RamPolicy::kRefuse) {
  return ToldRange(
      calls::SetRange(*s.guest, pfns, P2mClass::kRam, first, policy));
}

// Takes the frame of a written page out of its word and puts it at another.
inline Outcome MoveFrame(Scene& s) {
  const Mfn mfn = scenes::FrameAt(*s.guest, kWritten);
  std::string text(7, '-');
  std::vector<Outcome> outcomes = {
      Set(PagesAt(kWritten, 1), P2mClass::kMissing, RamPolicy::kKeep)(s),
      SetRam(s, PagesAt(kRoom, 1), mfn)};
  const absl::Status read =
      calls::ReadMemory(*s.guest, Pfn(kRoom), 4, absl::MakeSpan(&text[0], 7));
  std::replace(text.begin(), text.end(), '\0', '.');
  outcomes.push_back(Told(read, text));
  return Joined(outcomes);
}

inline Outcome Translate(Scene& s) {
  std::vector<P2mWord> words;
  const absl::Status status = calls::Translate(
      *s.guest, {0, 40, kWritten, kKept, kForeign, kRoom, kPastList}, words);
  return Told(status, TextOf(words));
}

inline Outcome TranslateMfns(Scene& s) {
  std::vector<MfnTranslation> answers;
  const absl::Status status = calls::TranslateMfns(
      *s.guest,
      {scenes::FrameAt(*s.guest, kWritten).value(),
       scenes::FrameAt(*s.other, 300).value(), kPastMachine.value()},
      answers);
  std::string text;
  for (const MfnTranslation& answer : answers) {
    absl::StrAppend(&text, text.empty() ? "" : " ", NumberText(answer.pfn), "/",
                    NumberText(answer.local));
  }
  return Told(status, text);
}

inline Outcome ListRuns(Scene& s, PfnExtent pfns, P2mView view) {
  std::vector<P2mRun> runs;
  uint64_t generation = 0;
  const auto next = calls::ListRuns(*s.guest, pfns, view, RunMerge::kByClass,
                                    runs, &generation);
  return Told(next, [&](Pfn at) {
    std::string text = absl::StrFormat("to 0x%x:", at.value());
    for (const P2mRun& run : runs) {
      absl::StrAppend(&text, " ", TextOf(run.pfns), " ",
                      P2mClassName(run.word.Class()));
    }
    return text;
  });
}

inline Outcome Summary(Scene& s) {
  return Told(calls::Summary(*s.guest), [](const P2mReport& report) {
    const P2mSummary& list = report.summary;
    return absl::StrFormat(
        "size 0x%x, area %d, ram %d, identity %d, missing %d, foreign %d, "
        "leaves %d+%d+%d, mids %d+%d+%d, pages %d fixed, %d pte, %d tree, %d "
        "leaf, %d table, tools 0x%x, remapped %d, released %d",
        list.p2m_size, list.area_bytes, list.ram, list.identity, list.missing,
        list.foreign, list.private_leaves, list.missing_leaves,
        list.identity_leaves, list.private_mids, list.missing_mids,
        list.identity_mids, list.fixed_frames, list.pte_frames,
        list.tree_mid_frames, list.leaf_frames, list.page_table_frames,
        list.tools_max_pfn, report.remapped.value(), report.released.value());
  });
}

inline Outcome LeafPages(Scene& s) {
  // This operation needs leaves.
  if (!calls::HasBooted(*s.guest)) return NotThere("leaves");
  return Told(calls::LeafPages(*s.guest), [](const std::vector<Pfn>& pages) {
    std::string text = absl::StrCat(pages.size(), ":");
    for (size_t i = 0; i < std::min<size_t>(pages.size(), 10); ++i) {
      absl::StrAppend(&text, " ", NumberText(pages[i]));
    }
    return text;
  });
}

inline Outcome MapSlots(Scene& s, const std::vector<ForeignSlot>& slots,
                        StopCheck stop = NeverStop) {
  ForeignReport report;
  const absl::Status status = calls::MapForeign(*s.guest, slots, report, stop);
  return Told(status, report);
}

inline Outcome UnmapPfns(Scene& s, const std::vector<uint64_t>& pfns,
                         StopCheck stop = NeverStop) {
  ForeignReport report;
  const absl::Status status =
      calls::UnmapForeign(*s.host, s.guest, pfns, report, stop);
  return Told(status, report);
}

// A frame of the machine that no domain owns.
inline Mfn FreeFrame(const Scene& s) {
  return calls::InfoOf(*s.host).max_mfn - PageCount(1);
}

}  // namespace matrix_internal

inline MatrixOperations LookupOperations() {
  using namespace matrix_internal;  // NOLINT(google-build-using-namespace)
  return {
      {"translate", Translate},
      {"translate mfns", TranslateMfns},
      {"list runs",
       [](Scene& s) {
         return ListRuns(s, PagesAt(0, kPastList), P2mView::kResolved);
       }},
      {"list raw runs",
       [](Scene& s) {
         return ListRuns(s, PagesAt(0, kPastList), P2mView::kRaw);
       }},
      {"list runs past the list",
       [](Scene& s) {
         return ListRuns(s, PagesAt(kPastList, 1), P2mView::kResolved);
       }},
      {"list runs backwards",
       [](Scene& s) {
         return ListRuns(s, PagesAt(5, uint64_t{0} - 2), P2mView::kResolved);
       }},
      {"summary", Summary},
      {"find the p2m list", FindList},
      {"list leaf pages", LeafPages},
  };
}

inline MatrixOperations MarkOperations() {
  using namespace matrix_internal;  // NOLINT(google-build-using-namespace)
  return {
      {"mark identity: room", Mark(kRoom, Pfn(kRoom + 10), false)},
      {"mark identity: RAM", Mark(kPlain, Pfn(kPlain + 10), false)},
      {"mark identity: RAM, release", Mark(kPlain, Pfn(kPlain + 10), true)},
      {"mark identity: written page, release",
       Mark(kWritten, Pfn(kWritten + 1), true)},
      {"mark identity: a list page, release",
       [](Scene& s) {
         const uint64_t page = ListPage(s);
         return Mark(page, Pfn(page + 1), true)(s);
       }},
      {"set a target 5 below, mark identity: RAM, release",
       [](Scene& s) {
         const uint64_t pages = calls::Info(*s.guest).memory.current.value();
         return Joined({Told(calls::SetTarget(*s.guest, pages - 5)),
                        Mark(kPlain, Pfn(kPlain + 10), true)(s)});
       }},
      {"mark identity: nothing", Mark(kRoom, Pfn(kRoom), false)},
      {"mark identity: backwards", Mark(kRoom, Pfn(kRoom - 1), false)},
      {"mark identity: room to the end", Mark(kRoom, Pfn::None(), false)},
      {"mark identity: past the list", Mark(kRoom, Pfn(kPastList), false)},
      {"mark identity: all, release", Mark(0, Pfn::None(), true)},
      {"mark identity: room, stopped",
       [](Scene& s) {
         return ToldRange(calls::MarkIdentity(*s.guest, Pfn(kRoom),
                                              Pfn(kRoom + 10), false, StopNow));
       }},
  };
}

inline MatrixOperations SetOperations() {
  using namespace matrix_internal;  // NOLINT(google-build-using-namespace)
  const PfnExtent ram = PagesAt(kPlain, 4);
  const PfnExtent room = PagesAt(kRoom, 4);
  MatrixOperations operations;
  for (const P2mClass to : {P2mClass::kMissing, P2mClass::kIdentity}) {
    const std::string name = absl::StrCat("set ", P2mClassName(to), ": ");
    for (const auto& [policy, how] :
         {std::pair(RamPolicy::kRefuse, "refuse RAM"),
          std::pair(RamPolicy::kRelease, "release"),
          std::pair(RamPolicy::kKeep, "keep")}) {
      operations.push_back({name + "RAM, " + how, Set(ram, to, policy)});
      operations.push_back({name + "room, " + how, Set(room, to, policy)});
    }
    operations.push_back(
        {name + "nothing", Set(PagesAt(kRoom, 0), to, RamPolicy::kRefuse)});
    operations.push_back({name + "past the list",
                          Set(PagesAt(kPastList, 1), to, RamPolicy::kRefuse)});
    operations.push_back({name + "foreign pages",
                          Set(PagesAt(kForeign, 2), to, RamPolicy::kRelease)});
  }
  operations.push_back({"set missing: a list page, release", [](Scene& s) {
                          return Set(PagesAt(ListPage(s), 1),
                                     P2mClass::kMissing,
                                     RamPolicy::kRelease)(s);
                        }});
  operations.push_back(
      {"set missing: RAM, release, stopped", [=](Scene& s) {
         return ToldRange(calls::SetRange(*s.guest, ram, P2mClass::kMissing,
                                          Mfn(), RamPolicy::kRelease, StopNow));
       }});
  return operations;
}

// Sets words to frames.
inline MatrixOperations FrameOperations() {
  using namespace matrix_internal;  // NOLINT(google-build-using-namespace)
  return {
      {"set RAM: the other's frame",
       [](Scene& s) {
         return SetRam(s, PagesAt(kRoom, 1), scenes::FrameAt(*s.other, 300));
       }},
      {"set RAM: a free frame",
       [](Scene& s) { return SetRam(s, PagesAt(kRoom, 1), FreeFrame(s)); }},
      {"set RAM: a frame in use",
       [](Scene& s) {
         return SetRam(s, PagesAt(kRoom, 1), scenes::FrameAt(*s.guest, kPlain));
       }},
      {"set RAM: past the machine",
       [](Scene& s) { return SetRam(s, PagesAt(kRoom, 1), kPastMachine); }},
      {"set RAM: a number too large for a word",
       [](Scene& s) {
         return SetRam(s, PagesAt(kRoom, 1), Mfn(uint64_t{1} << 30));
       }},
      {"set RAM: over RAM, keep",
       [](Scene& s) {
         return SetRam(s, PagesAt(kPlain, 1), scenes::FrameAt(*s.guest, kPlain),
                       RamPolicy::kKeep);
       }},
      {"move a frame", MoveFrame},
  };
}

inline MatrixOperations ForeignOperations() {
  using namespace matrix_internal;  // NOLINT(google-build-using-namespace)
  const auto map = [](uint64_t pfn, Mfn (*mfn)(const Scene&)) {
    return [=](Scene& s) { return MapSlots(s, {{Pfn(pfn), mfn(s)}}); };
  };
  const auto others = [](const Scene& s) {
    return scenes::FrameAt(*s.other, 310);
  };
  return {
      {"map foreign: room", map(kRoom, others)},
      {"map foreign: RAM", map(kPlain, others)},
      {"map foreign: a foreign page", map(kForeign, others)},
      {"map foreign: past the list", map(kPastList, others)},
      {"map foreign: its own frame",
       map(kRoom,
           [](const Scene& s) { return scenes::FrameAt(*s.guest, kPlain); })},
      {"map foreign: a free frame", map(kRoom, FreeFrame)},
      {"map foreign: past the machine",
       map(kRoom, [](const Scene&) { return kPastMachine; })},
      {"map foreign: one of two",
       [=](Scene& s) {
         return MapSlots(s,
                         {{Pfn(kPlain), others(s)}, {Pfn(kRoom), others(s)}});
       }},
      {"map foreign: one pfn twice",
       [=](Scene& s) {
         return MapSlots(s, {{Pfn(kRoom), others(s)}, {Pfn(kRoom), others(s)}});
       }},
      {"map foreign: nothing", [](Scene& s) { return MapSlots(s, {}); }},
      {"map foreign: room, stopped",
       [=](Scene& s) {
         return MapSlots(s, {{Pfn(kRoom), others(s)}}, StopNow);
       }},
      {"map foreign, unmap it",
       [=](Scene& s) {
         return Joined(
             {MapSlots(s, {{Pfn(kRoom), others(s)}}), UnmapPfns(s, {kRoom})});
       }},
      {"unmap foreign", [](Scene& s) { return UnmapPfns(s, {kForeign}); }},
      {"unmap foreign twice",
       [](Scene& s) {
         return UnmapPfns(s, {kForeign, kForeign});
       }},
      {"unmap foreign: past the list",
       [](Scene& s) { return UnmapPfns(s, {kPastList}); }},
      {"unmap foreign: nothing", [](Scene& s) { return UnmapPfns(s, {}); }},
      {"unmap foreign, stopped",
       [](Scene& s) { return UnmapPfns(s, {kForeign}, StopNow); }},
      {"the other unmaps all it has of it",
       [](Scene& s) {
         ForeignReport report;
         const absl::Status status = calls::UnmapForeign(
             *s.host, s.other, {kMapped, kMapped + 1, kMapped + 2}, report);
         return Told(status, report);
       }},
  };
}

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_DOMAIN_GOLDENS_MATRIX_P2M_OPERATIONS_H_
