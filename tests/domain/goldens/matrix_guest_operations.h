// Operations of the matrix on a guest's inside: contents of its pages, its
// load, its processes, its virtual CPUs.
//
// Thread safety: one thread.

#ifndef SIMVISOR_TESTS_DOMAIN_GOLDENS_MATRIX_GUEST_OPERATIONS_H_
#define SIMVISOR_TESTS_DOMAIN_GOLDENS_MATRIX_GUEST_OPERATIONS_H_

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tests/domain/goldens/golden_calls.h"
#include "tests/domain/goldens/matrix_operation.h"
#include "tests/domain/goldens/matrix_p2m_operations.h"

namespace simvisor {

namespace matrix_internal {

// The number of bytes that are not 0, and their sum.
inline std::string BytesText(const std::string& bytes) {
  uint64_t set = 0, sum = 0;
  for (const char c : bytes) {
    set += c != 0;
    sum += static_cast<unsigned char>(c);
  }
  return absl::StrFormat("%d of %d bytes set, sum %d", set, bytes.size(), sum);
}

inline auto Read(uint64_t pfn, uint64_t offset, size_t size) {
  return [=](Scene& s) {
    std::string bytes(size, '\0');
    const absl::Status status =
        calls::ReadMemory(*s.guest, Pfn(pfn), offset,
                          absl::Span<char>(bytes.data(), bytes.size()));
    return Told(status, BytesText(bytes));
  };
}
inline auto Write(uint64_t pfn, uint64_t offset, const std::string& data) {
  return [=](Scene& s) {
    return Told(calls::WriteMemory(*s.guest, Pfn(pfn), offset, data));
  };
}

// A page of a process's page tables; None() if there are no processes.
inline Pfn TablePage(const Scene& s) {
  std::vector<AddressSpaceInfo> spaces;
  if (!calls::ListSpaces(*s.guest, spaces).ok() || spaces.empty()) {
    return Pfn::None();
  }
  return calls::PfnOfFrame(*s.guest, spaces.front().pmds.front());
}

// The first page of its load; None() if it has none.
inline Pfn LoadPage(const Scene& s) {
  std::vector<PfnExtent> extents;
  if (!calls::ListLoadPages(*s.guest, extents).ok()) return Pfn::None();
  return extents.front().first;
}

inline Outcome ReadFrame(Mfn mfn, const absl::Status& status, bool zero,
                         const std::string& page) {
  return Told(status, absl::StrCat(NumberText(mfn), " ",
                                   zero ? "zero" : BytesText(page)));
}
inline Outcome ReadOwnFrame(Domain& domain, Mfn mfn) {
  std::string page(kPageSize, '\0');
  bool zero = false;
  const absl::Status status = calls::ReadOwnFrame(
      domain, mfn, absl::Span<char>(page.data(), page.size()), &zero);
  return ReadFrame(mfn, status, zero, page);
}
inline Outcome ReadHostFrame(const Host& host, Mfn mfn) {
  std::string page(kPageSize, '\0');
  bool zero = false;
  const absl::Status status = calls::ReadFrame(
      host, mfn, absl::Span<char>(page.data(), page.size()), &zero);
  return ReadFrame(mfn, status, zero, page);
}
// The frame that the other domain maps, if it does.
inline Outcome ReadMappedFrame(Scene& s) {
  std::vector<P2mWord> words;
  const absl::Status status = calls::Translate(*s.other, {kMapped}, words);
  if (!status.ok() || words.at(0).Class() != P2mClass::kForeign) {
    return NotThere("frame that the other maps");
  }
  return ReadHostFrame(*s.host, Mfn(words.at(0).Number()));
}
inline Outcome FindOwner(Scene& s) {
  const Mfn mfn = scenes::FrameAt(*s.guest, kWritten);
  const auto owner = calls::FindOwner(*s.host, mfn);
  return Told(
      absl::OkStatus(),
      absl::StrCat(owner == nullptr
                       ? "none"
                       : absl::StrCat("domain ", owner->id().value()),
                   ", pfn ", NumberText(calls::PfnOfFrame(*s.guest, mfn))));
}

inline std::string TextOf(const LoadReport& report) {
  return absl::StrFormat(
      "pages %d, rate %d, writes %d, runs %d", report.spec.working_set.value(),
      report.spec.pages_per_second, report.writes, report.running);
}
inline Outcome ToldLoad(const absl::StatusOr<LoadReport>& report) {
  return Told(report, [](const LoadReport& r) { return TextOf(r); });
}
inline auto StartLoad(uint64_t pages, uint64_t rate) {
  return [=](Scene& s) {
    LoadSpec spec;
    spec.working_set = PageCount(pages);
    spec.pages_per_second = rate;
    return Told(calls::StartLoad(*s.guest, spec));
  };
}
inline Outcome RunLoad(Scene& s, uint64_t writes, StopCheck stop = NeverStop) {
  return Told(calls::RunLoad(*s.guest, writes, stop),
              [](uint64_t done) { return absl::StrCat(done); });
}
inline Outcome StopLoad(Scene& s) {
  return ToldLoad(calls::StopLoad(*s.guest));
}
inline Outcome ListLoadPages(Scene& s) {
  std::vector<PfnExtent> extents;
  const auto report = calls::ListLoadPages(*s.guest, extents);
  return Told(report, [&](const LoadReport& r) {
    std::string text = TextOf(r);
    for (const PfnExtent& pages : extents) {
      absl::StrAppend(&text, " ", simvisor::TextOf(pages));
    }
    return text;
  });
}
inline Outcome CheckLoad(Scene& s, StopCheck stop = NeverStop) {
  return Told(calls::CheckLoad(*s.guest, stop), [](const LoadCheck& check) {
    return absl::StrFormat("%s, checked %d, differ %d, first %s",
                           TextOf(check.load), check.checked.value(),
                           check.mismatches.value(),
                           NumberText(check.first_bad));
  });
}

inline std::string TextOf(const AddressSpaceTotals& totals) {
  return absl::StrFormat(
      "spaces %d, pgd bytes %d, pgd pages %d, pmd pages %d, copies %d, listed "
      "%d, rewritten %d",
      totals.spaces, totals.pgd_bytes, totals.pgd_frames.value(),
      totals.pmd_frames.value(), totals.kernel_pmd_copies.value(),
      totals.listed, totals.entries_rewritten);
}
inline Outcome ToldTotals(const absl::StatusOr<AddressSpaceTotals>& totals) {
  return Told(totals, [](const AddressSpaceTotals& t) { return TextOf(t); });
}
inline Outcome CreateSpaces(Scene& s, uint32_t count,
                            StopCheck stop = NeverStop) {
  return Told(calls::CreateSpaces(*s.guest, count, stop),
              [](const NewAddressSpaces& made) {
                return absl::StrCat("from ", made.first_id, ", ",
                                    TextOf(made.totals));
              });
}
inline auto DestroySpaces(const calls::Ids& ids) {
  return
      [=](Scene& s) { return ToldTotals(calls::DestroySpaces(*s.guest, ids)); };
}
inline Outcome ListSpaces(Scene& s) {
  std::vector<AddressSpaceInfo> spaces;
  const auto totals = calls::ListSpaces(*s.guest, spaces);
  return Told(totals, [&](const AddressSpaceTotals&) {
    std::string text;
    for (const AddressSpaceInfo& space : spaces) {
      absl::StrAppend(&text, text.empty() ? "" : ", ",
                      absl::StrFormat("%d: pgd 0x%x+%d", space.id,
                                      space.pgd.value(), space.pgd_offset));
      for (const Mfn pmd : space.pmds) {
        absl::StrAppend(&text, " ", NumberText(pmd));
      }
    }
    return text;
  });
}
inline Outcome TranslateIn(Scene& s, uint64_t id) {
  std::vector<P2mWord> words;
  const absl::Status status =
      calls::TranslateIn(*s.guest, id, {kWritten, kRoom}, words);
  return Told(status, simvisor::TextOf(words));
}
inline Outcome SyncSpaces(Scene& s, StopCheck stop = NeverStop) {
  return Told(
      calls::SyncSpaces(*s.guest, stop), [](const AddressSpaceSync& sync) {
        return absl::StrFormat("walked %d, rewritten %d", sync.tables_walked,
                               sync.entries_rewritten);
      });
}

inline std::string RangesText(const CpuRanges& ranges) {
  std::string text;
  for (const CpuRange& range : ranges) {
    absl::StrAppend(&text, text.empty() ? "" : "+", range.first, "..",
                    range.first + range.count - 1);
  }
  return text;
}
inline Outcome ListVcpus(Scene& s) {
  return Told(
      calls::ListVcpus(*s.guest), [](const std::vector<VcpuInfo>& vcpus) {
        std::string text;
        for (const VcpuInfo& vcpu : vcpus) {
          absl::StrAppend(&text, text.empty() ? "" : ", ", vcpu.vcpu, ": ",
                          RangesText(vcpu.hard), " ", RangesText(vcpu.soft));
        }
        return text;
      });
}
inline Outcome SetAffinity(Scene& s, const std::vector<uint32_t>& vcpus,
                           const CpuRanges& hard) {
  return Joined({Told(calls::SetAffinity(*s.guest, vcpus, &hard, nullptr)),
                 ListVcpus(s)});
}

}  // namespace matrix_internal

inline MatrixOperations PageOperations() {
  using namespace matrix_internal;  // NOLINT(google-build-using-namespace)
  return {
      {"read a written page", Read(kWritten, 0, 16)},
      {"read two pages", Read(kWritten - 1, 4000, 200)},
      {"read a low page", Read(40, 0, 4096)},
      {"read room", Read(kRoom, 0, 16)},
      {"read a foreign page", Read(kForeign, 0, 16)},
      {"read past the list", Read(kPastList, 0, 16)},
      {"read nothing", Read(kWritten, 0, 0)},
      {"read from offset 4096", Read(kWritten, 4096, 1)},
      {"read a list page",
       [](Scene& s) { return Read(ListPage(s), 0, 4096)(s); }},
      {"write", Write(kWritten, 0, "new")},
      {"write to a page that holds nothing", Write(kPlain, 4090, "two pages")},
      {"write zeros over zeros", Write(kPlain, 0, std::string(16, '\0'))},
      {"write to a low page", Write(40, 0, "new")},
      {"write to room", Write(kRoom, 0, "new")},
      {"write to a foreign page", Write(kForeign, 0, "new")},
      {"write past the list", Write(kPastList, 0, "new")},
      {"write nothing", Write(kWritten, 0, "")},
      {"write to a list page",
       [](Scene& s) { return Write(ListPage(s), 0, "new")(s); }},
      {"write to a page table",
       [](Scene& s) {
         const Pfn page = TablePage(s);
         if (page.is_none()) return NotThere("page table");
         return Joined({Write(page.value(), 0, "new")(s),
                        Set(PagesAt(page.value(), 1), P2mClass::kMissing,
                            RamPolicy::kRelease)(s)});
       }},
      {"read its own frame",
       [](Scene& s) {
         return ReadOwnFrame(*s.guest, scenes::FrameAt(*s.guest, kWritten));
       }},
      {"read the other's frame as its own",
       [](Scene& s) {
         return ReadOwnFrame(*s.guest, scenes::FrameAt(*s.other, 300));
       }},
      {"read its frame of the machine",
       [](Scene& s) {
         return ReadHostFrame(*s.host, scenes::FrameAt(*s.guest, kWritten));
       }},
      {"read a frame in no word",
       [](Scene& s) {
         const Mfn mfn = scenes::FrameAt(*s.guest, kKept - 1) + PageCount(1);
         return ReadHostFrame(*s.host, mfn);
       }},
      {"read a frame that the other maps", ReadMappedFrame},
      {"read a free frame of the machine",
       [](Scene& s) { return ReadHostFrame(*s.host, FreeFrame(s)); }},
      {"read past the machine",
       [](Scene& s) { return ReadHostFrame(*s.host, kPastMachine); }},
      {"find the owner of its frame", FindOwner},
  };
}

inline MatrixOperations LoadOperations() {
  using namespace matrix_internal;  // NOLINT(google-build-using-namespace)
  return {
      {"start a load", StartLoad(30, 1000)},
      {"start a load of 0 pages", StartLoad(0, 1000)},
      {"start a load of 0 pages a second", StartLoad(30, 0)},
      {"start a load too large", StartLoad(1000000, 1000)},
      {"run its load", [](Scene& s) { return RunLoad(s, 50); }},
      {"run its load 0 writes", [](Scene& s) { return RunLoad(s, 0); }},
      {"run its load, stopped",
       [](Scene& s) { return RunLoad(s, 50, StopNow); }},
      {"run its load, stopped in the middle",
       [](Scene& s) {
         int looks = 0;
         return RunLoad(s, 600, [&] {
           return ++looks < 3 ? absl::OkStatus() : StopNow();
         });
       }},
      {"stop its load", StopLoad},
      {"start, run and stop a load",
       [](Scene& s) {
         return Joined({StartLoad(30, 1000)(s), RunLoad(s, 300), CheckLoad(s),
                        StopLoad(s)});
       }},
      {"find its load",
       [](Scene& s) { return ToldLoad(calls::FindLoad(*s.guest)); }},
      {"list the pages of its load", ListLoadPages},
      {"check its load", [](Scene& s) { return CheckLoad(s); }},
      {"check its load, stopped",
       [](Scene& s) { return CheckLoad(s, StopNow); }},
      {"write over its load, check it",
       [](Scene& s) {
         const Pfn page = LoadPage(s);
         if (page.is_none()) return NotThere("load");
         return Joined({Write(page.value(), 0, "new")(s), CheckLoad(s)});
       }},
      {"set missing: a page of its load",
       [](Scene& s) {
         const Pfn page = LoadPage(s);
         if (page.is_none()) return NotThere("load");
         return Set(PagesAt(page.value(), 1), P2mClass::kMissing,
                    RamPolicy::kRelease)(s);
       }},
  };
}

inline MatrixOperations ProcessOperations() {
  using namespace matrix_internal;  // NOLINT(google-build-using-namespace)
  return {
      {"create 2 address spaces", [](Scene& s) { return CreateSpaces(s, 2); }},
      {"create 0 address spaces", [](Scene& s) { return CreateSpaces(s, 0); }},
      {"create too many address spaces",
       [](Scene& s) { return CreateSpaces(s, 100000); }},
      {"create 2 address spaces, stopped",
       [](Scene& s) { return CreateSpaces(s, 2, StopNow); }},
      {"destroy an address space", DestroySpaces({2})},
      {"destroy an address space that is not there", DestroySpaces({1, 99})},
      {"destroy an address space twice", DestroySpaces({1, 1})},
      {"destroy no address space", DestroySpaces({})},
      {"destroy an address space, stopped",
       [](Scene& s) {
         return ToldTotals(calls::DestroySpaces(*s.guest, {2}, StopNow));
       }},
      {"list address spaces", ListSpaces},
      {"translate in an address space",
       [](Scene& s) { return TranslateIn(s, 1); }},
      {"translate in one that is not there",
       [](Scene& s) { return TranslateIn(s, 99); }},
      {"sync address spaces", [](Scene& s) { return SyncSpaces(s); }},
      {"sync address spaces, stopped",
       [](Scene& s) { return SyncSpaces(s, StopNow); }},
  };
}

inline MatrixOperations VcpuOperations() {
  using namespace matrix_internal;  // NOLINT(google-build-using-namespace)
  return {
      {"pin virtual CPU 0",
       [](Scene& s) {
         return SetAffinity(s, {0}, {{1, 2}});
       }},
      {"pin all virtual CPUs",
       [](Scene& s) {
         return SetAffinity(s, {}, {{3, 1}});
       }},
      {"pin virtual CPU 9999",
       [](Scene& s) {
         return SetAffinity(s, {0, 9999}, {{1, 2}});
       }},
      {"pin to a CPU that the machine has not",
       [](Scene& s) {
         return SetAffinity(s, {0}, {{64, 1}});
       }},
      {"list virtual CPUs", ListVcpus},
  };
}

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_DOMAIN_GOLDENS_MATRIX_GUEST_OPERATIONS_H_
