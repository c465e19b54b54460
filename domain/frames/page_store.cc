#include "domain/frames/page_store.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cassert>
#include <new>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"
#include "base/error.h"

namespace simvisor {
namespace {

constexpr uint64_t kChunkPages = 4096;
constexpr uint64_t kChunkBytes = kChunkPages * kPageSize;
constexpr uint64_t kSpareBytes = uint64_t{64} << 20;
constexpr uint64_t kWords = kChunkPages / 64;
static_assert(kWords == 64, "one word tells which words have free pages");

}  // namespace

struct PageStore::Chunk {
  explicit Chunk(MappingBudget::Mapping mapping)
      : memory(std::move(mapping)), pages(static_cast<Page*>(memory.get())) {
    free.fill(~uint64_t{0});
  }

  bool IsFree() const { return free_pages == kChunkPages; }

  // Bit n of word w is for page 64 * w + n.
  std::array<uint64_t, kWords> free;
  std::array<uint64_t, kWords> kept{};  // free pages that have memory
  uint64_t words_with_free = ~uint64_t{0};
  uint32_t free_pages = kChunkPages;
  uint32_t kept_pages = 0;
  MappingBudget::Mapping memory;
  Page* pages;             // mapped memory
  Chunks::iterator place;  // in the list that has the chunk
};

void PageStore::Return::operator()(Page* page) const {
  store_->GiveBack(page, chunk_);
}

PageStore::PageStore(PageCount limit, AllocationFaults* faults)
    : limit_(limit), faults_(faults) {}

PageStore::~PageStore() { assert(used() == PageCount(0)); }

PageCount PageStore::kept() const {
  absl::MutexLock lock(&mu_);
  return PageCount(kept_);
}

absl::Status PageStore::Take(size_t count, std::vector<Ptr>& pages) {
  absl::MutexLock lock(&mu_);
  const uint64_t used = used_.load(std::memory_order_relaxed);
  const uint64_t limit = limit_.value();
  if (limit != 0 && (used > limit || count > limit - used)) {
    return MakeError(
        absl::StatusCode::kResourceExhausted, Reason::kGuestContentsExhausted,
        absl::StrFormat("it needs room for the contents of %d more pages, and "
                        "guests have %d of the %d that the host holds; destroy "
                        "guests that have written much",
                        count, used, limit),
        {{fact::kRequested, count},
         {fact::kAvailable, limit - std::min(limit, used)},
         {fact::kLimit, limit},
         {fact::kUnit, "pages"}});
  }
  pages.reserve(pages.size() + count);
  const bool fault =
      faults_ != nullptr && faults_->FailNow(AllocationSite::kContents);
  if (fault || !MakeRoom(count)) {
    return MakeError(
        absl::StatusCode::kResourceExhausted, Reason::kDaemonMemoryExhausted,
        absl::StrFormat("the system refuses memory for the contents of %d more "
                        "pages besides the %d of all guests; destroy guests "
                        "that have written much",
                        count, used),
        {{fact::kRequested, count}, {fact::kUnit, "pages"}});
  }
  for (size_t i = 0; i < count; ++i) pages.push_back(TakePage());
  return absl::OkStatus();
}

PageStore::Ptr PageStore::TakeAnyway() {
  absl::MutexLock lock(&mu_);
  if (MakeRoom(1)) return TakePage();
  Ptr page(new Page(), Return(this, nullptr));
  CountTaken();
  return page;
}

PageStore::Use PageStore::TakeUse() {
  absl::MutexLock lock(&mu_);
  const uint64_t used = used_.load(std::memory_order_relaxed);
  return {PageCount(std::exchange(most_used_, used)), PageCount(used)};
}

void PageStore::CountTaken() {
  const uint64_t used = used_.load(std::memory_order_relaxed) + 1;
  used_.store(used, std::memory_order_relaxed);
  most_used_ = std::max(most_used_, used);
}

bool PageStore::MakeRoom(size_t count) {
  while (room_ < count) {
    // Leave some address space for messages and threads.
    if (!budget_.Map(kSpareBytes, /*faults=*/nullptr).ok()) return false;
    absl::StatusOr<MappingBudget::Mapping> memory =
        budget_.Map(kChunkBytes, /*faults=*/nullptr);
    if (!memory.ok()) return false;
    // Use up chunks that already have room first, so that others become free.
    roomy_.emplace_back(*std::move(memory));
    roomy_.back().place = std::prev(roomy_.end());
    room_ += kChunkPages;
  }
  return true;
}

PageStore::Ptr PageStore::TakePage() {
  assert(!roomy_.empty());
  Chunk& chunk = roomy_.front();
  const size_t w = std::countr_zero(chunk.words_with_free);
  const uint64_t bit = chunk.free[w] & -chunk.free[w];
  Page* const page = chunk.pages + 64 * w + std::countr_zero(bit);
  chunk.free[w] &= ~bit;
  if (chunk.free[w] == 0) chunk.words_with_free &= ~(uint64_t{1} << w);
  if ((chunk.kept[w] & bit) != 0) {
    chunk.kept[w] &= ~bit;
    --chunk.kept_pages;
    --kept_;
    page->fill('\0');
  }
  if (--chunk.free_pages == 0) full_.splice(full_.end(), roomy_, chunk.place);
  --room_;
  CountTaken();
  return Ptr(page, Return(this, &chunk));
}

void PageStore::GiveBack(Page* page, Chunk* chunk) {
  absl::MutexLock lock(&mu_);
  used_.store(used_.load(std::memory_order_relaxed) - 1,
              std::memory_order_relaxed);
  if (chunk == nullptr) {
    delete page;
    return;
  }
  const uint64_t number = page - chunk->pages;
  const uint64_t bit = uint64_t{1} << number % 64;
  chunk->free[number / 64] |= bit;
  chunk->words_with_free |= uint64_t{1} << number / 64;
  chunk->kept[number / 64] |= bit;
  ++chunk->kept_pages;
  ++kept_;
  ++room_;
  if (++chunk->free_pages == 1) {
    roomy_.splice(roomy_.end(), full_, chunk->place);
  }
  if (kept_ > kMostKept) Trim();
}

void PageStore::Trim() {
  for (auto chunk = roomy_.begin(); chunk != roomy_.end();) {
    if (chunk->IsFree()) {
      kept_ -= chunk->kept_pages;
      room_ -= kChunkPages;
      chunk = roomy_.erase(chunk);
      continue;
    }
    for (uint64_t first = 0; chunk->kept_pages > 0 && first < kChunkPages;) {
      const uint64_t rest = chunk->kept[first / 64] >> first % 64;
      if (rest == 0) {
        first = first / 64 * 64 + 64;
        continue;
      }
      first += std::countr_zero(rest);
      uint64_t end = first;
      while (end < kChunkPages &&
             (chunk->kept[end / 64] >> end % 64 & 1) != 0) {
        chunk->kept[end / 64] &= ~(uint64_t{1} << end % 64);
        ++end;
      }
      // Cannot fail: this is a private mapping without locked pages.
      madvise(chunk->pages + first, (end - first) * kPageSize, MADV_DONTNEED);
      chunk->kept_pages -= end - first;
      kept_ -= end - first;
      first = end;
    }
    ++chunk;
  }
}

}  // namespace simvisor
