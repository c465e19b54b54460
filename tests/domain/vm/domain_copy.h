// Copies a suspended domain page by page into another host, as an image does,
// but without the image.

#ifndef SIMVISOR_TESTS_DOMAIN_VM_DOMAIN_COPY_H_
#define SIMVISOR_TESTS_DOMAIN_VM_DOMAIN_COPY_H_

#include <memory>
#include <utility>
#include <vector>

#include "domain/guest/suspend_record.h"
#include "domain/host/host.h"
#include "domain/host/incoming_domain.h"
#include "domain/vm/domain.h"
#include "gtest/gtest.h"
#include "tests/support/host_testing.h"

namespace simvisor {

// The pages of a record, which hold nothing once the guest has resumed.
inline std::vector<Pfn> RecordPages(const SuspendRecord& record) {
  std::vector<Pfn> pages = record.notes_pages;
  pages.insert(pages.end(), {record.start_info, record.gdt});
  if (record.tools.view == ToolsView::kTree) {
    pages.insert(pages.end(), record.tables.begin(), record.tables.end());
  }
  return pages;
}

inline std::unique_ptr<IncomingDomain> SendPages(Domain& from, Host& to,
                                                 const DomainSpec& spec,
                                                 const SuspendRecord& record) {
  auto incoming = IncomingDomain::Create(to, spec, record.last_pfn);
  EXPECT_THAT(incoming, IsOk());
  if (!incoming.ok()) return nullptr;
  for (Pfn at(0); at < record.last_pfn;) {
    std::vector<ImageRun> runs;
    const auto next = from.migration().ReadForImage(
        ExtentBetween(at, record.last_pfn), 100, runs);
    EXPECT_THAT(next, IsOk());
    if (!next.ok()) break;
    for (const ImageRun& run : runs) {
      if (run.kind == ImageRun::Kind::kAbsent) continue;
      EXPECT_THAT((*incoming)->Receive(run.pfns), IsOk());
      if (run.data != nullptr) {
        EXPECT_THAT((*incoming)->WritePage(run.pfns.first, *run.data), IsOk());
      }
    }
    at = *next;
  }
  return *std::move(incoming);
}

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_DOMAIN_VM_DOMAIN_COPY_H_
