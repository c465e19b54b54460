#include "client/api/tlb_pages.h"

namespace simvisor::client {
namespace {

constexpr int kMaxYoungRuns = 4096;

uint64_t EndOf(const v1::PfnExtent& pfns) {
  return pfns.first_pfn() + pfns.count();
}

}  // namespace

std::optional<uint64_t> TlbPages::Use(uint64_t pfn, bool write) {
  const auto page = pages_.find(pfn);
  if (page == pages_.end() || (write && !page->second.writable)) {
    return std::nullopt;
  }
  used_.insert(pfn);
  return page->second.mfn;
}

void TlbPages::Install(const v1::SubscribeResponse::Installed& installed) {
  for (uint64_t i = 0; i < installed.count(); ++i) {
    pages_.insert_or_assign(
        installed.pfn() + i,
        Page{.mfn = installed.mfn() + i, .writable = installed.writable()});
  }
}

void TlbPages::LetGo(const v1::PfnExtent& pfns, bool keep_read_only) {
  const auto first = pages_.lower_bound(pfns.first_pfn());
  const auto last = pages_.lower_bound(EndOf(pfns));
  if (!keep_read_only) {
    pages_.erase(first, last);
    return;
  }
  for (auto it = first; it != last; ++it) it->second.writable = false;
}

void TlbPages::AddYoung(const v1::SubscribeResponse::Young& young,
                        v1::SubscribeRequest::YoungReply& reply) {
  const auto first = used_.lower_bound(young.pfns().first_pfn());
  const auto last = used_.lower_bound(EndOf(young.pfns()));
  for (auto it = first; it != last; ++it) {
    if (reply.young_size() > 0 && EndOf(*reply.young().rbegin()) == *it) {
      auto& run = *reply.mutable_young(reply.young_size() - 1);
      run.set_count(run.count() + 1);
      continue;
    }
    auto& run = *reply.add_young();
    run.set_first_pfn(*it);
    run.set_count(1);
  }
  if (young.clear()) used_.erase(first, last);
  if (reply.young_size() > kMaxYoungRuns) {
    reply.clear_young();
    *reply.add_young() = young.pfns();
  }
}

}  // namespace simvisor::client
