// Copies a suspended domain page by page into another host, as an image does,
// but without the image.

#ifndef SIMVISOR_TESTS_DOMAIN_COPY_H_
#define SIMVISOR_TESTS_DOMAIN_COPY_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "domain/domain/domain.h"
#include "domain/domain/suspend_types.h"
#include "domain/host/incoming_domain.h"
#include "gtest/gtest.h"
#include "tests/host_testing.h"

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

inline std::unique_ptr<IncomingDomain> SendPages(const Domain& from, Host& to,
                                                 const DomainSpec& spec,
                                                 const SuspendRecord& record) {
  auto incoming = IncomingDomain::Create(to, spec, record.last_pfn);
  EXPECT_THAT(incoming, IsOk());
  if (!incoming.ok()) return nullptr;
  constexpr PageCount kBatch{1024};
  for (Pfn at(0); at < record.last_pfn; at += kBatch) {
    const auto pages =
        from.ReadForImage({at, std::min(kBatch, record.last_pfn - at)});
    EXPECT_THAT(pages, IsOk());
    for (size_t i = 0; i < pages->size(); ++i) {
      const ImagePage& page = (*pages)[i];
      if (page.kind == ImagePage::Kind::kAbsent) continue;
      const Pfn pfn = at + PageCount(i);
      EXPECT_THAT((*incoming)->ReceiveFrames({pfn, PageCount(1)}), IsOk());
      if (page.data != nullptr) {
        EXPECT_THAT((*incoming)->ReceivePage(pfn, *page.data), IsOk());
      }
    }
  }
  return *std::move(incoming);
}

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_DOMAIN_COPY_H_
