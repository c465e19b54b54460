#include "domain/guest/guest_load.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace simvisor {
namespace {

// Number `n`, counted from 0, of the numbers that splitmix64 gives from
// `state`.
uint64_t SplitMix(uint64_t state, uint64_t n) {
  uint64_t z = state + (n + 1) * 0x9E3779B97F4A7C15;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

void PutLittleEndian(uint64_t word, char* out) {
  for (int i = 0; i < 8; ++i) out[i] = static_cast<char>(word >> (8 * i));
}

uint64_t HotspotPage(uint64_t pages, uint64_t random) {
  const uint64_t hot = std::max<uint64_t>(pages / 10, 1);
  const uint64_t rest = random / 10;
  if (random % 10 != 9 || hot == pages) return rest % hot;
  return hot + rest % (pages - hot);
}

}  // namespace

LoadSpec LoadSpec::FitTo(PageCount free) const {
  constexpr uint64_t kRate = 1000;
  constexpr uint64_t kMostPages = 64 * kPagesPerMiB;
  LoadSpec fitted = *this;
  if (pages_per_second == 0) fitted.pages_per_second = kRate;
  if (working_set == PageCount(0)) {
    fitted.working_set =
        PageCount(std::clamp<uint64_t>(free.value() / 4, 1, kMostPages));
  }
  return fitted;
}

uint64_t PageOfWrite(const LoadSpec& spec, uint64_t n) {
  const uint64_t pages = spec.working_set.value();
  switch (spec.pattern) {
    case LoadPattern::kSequential:
      return n % pages;
    case LoadPattern::kRandom:
      return SplitMix(spec.seed, n) % pages;
    case LoadPattern::kHotspot:
      break;
  }
  return HotspotPage(pages, SplitMix(spec.seed, n));
}

void FillPage(const LoadSpec& spec, uint64_t index, uint64_t n, Page& page) {
  PutLittleEndian(n, page.data());
  const uint64_t state = SplitMix(SplitMix(spec.seed, index), n);
  for (uint64_t word = 1; word < kPageSize / 8; ++word) {
    PutLittleEndian(SplitMix(state, word), page.data() + 8 * word);
  }
}

LastWrites::LastWrites(const LoadSpec& spec)
    : spec_(spec),
      last_(spec.working_set.value(), 0),
      unseen_(spec.working_set.value()) {}

bool LastWrites::Follow(uint64_t end, uint64_t most) {
  assert(followed_ <= end);
  if (!begun_) from_ = followed_ = end;
  begun_ = true;
  // Backwards, the first write that goes to a page is its last one.
  for (; from_ > 0 && unseen_ > 0; --most) {
    if (most == 0) return false;
    --from_;
    uint64_t& last = last_[PageOfWrite(spec_, from_)];
    if (last != 0) continue;
    last = from_ + 1;
    --unseen_;
  }
  if (spec_.pattern == LoadPattern::kSequential && end > last_.size()) {
    // Earlier writes have been overwritten.
    followed_ = std::max<uint64_t>(followed_, end - last_.size());
  }
  for (; followed_ < end && most > 0; --most) {
    last_[PageOfWrite(spec_, followed_)] = followed_ + 1;
    ++followed_;
  }
  return followed_ >= end;
}

void LastWrites::Expect(uint64_t index, Page& page) const {
  if (last_[index] == 0) {
    page.fill('\0');
  } else {
    FillPage(spec_, index, last_[index] - 1, page);
  }
}

GuestLoad::GuestLoad(const LoadSpec& spec, PfnSet pages, uint64_t writes)
    : spec_(spec), pages_(std::move(pages)), writes_(writes) {
  assert(pages_.size() == spec_.working_set);
  uint64_t index = 0;
  for (const auto& [first, end] : pages_.extents()) {
    parts_.push_back({index, ExtentBetween(first, end)});
    index += parts_.back().pfns.count.value();
  }
}

std::vector<GuestLoad::Part>::const_iterator GuestLoad::PartOf(
    uint64_t index) const {
  const auto next = std::upper_bound(
      parts_.begin(), parts_.end(), index,
      [](uint64_t wanted, const Part& part) { return wanted < part.index; });
  return next - 1;
}

Pfn GuestLoad::PageAt(uint64_t index) const {
  assert(index < spec_.working_set.value());
  const auto part = PartOf(index);
  return part->pfns.first + PageCount(index - part->index);
}

std::vector<PfnExtent> GuestLoad::PagesFrom(uint64_t index, size_t most) const {
  std::vector<PfnExtent> extents;
  if (index >= spec_.working_set.value()) return extents;
  for (auto at = PartOf(index); at != parts_.end() && extents.size() < most;
       ++at) {
    const PageCount skipped(std::max(index, at->index) - at->index);
    extents.push_back(ExtentBetween(at->pfns.first + skipped, at->pfns.end()));
  }
  return extents;
}

Pfn GuestLoad::NextPage() const { return PageAt(PageOfWrite(spec_, writes_)); }

Pfn GuestLoad::NextWrite(Page& page) {
  assert(writes_ < kMaxWrites);
  const uint64_t index = PageOfWrite(spec_, writes_);
  FillPage(spec_, index, writes_, page);
  ++writes_;
  return PageAt(index);
}

void GuestLoad::Encode(StateWriter& out) const {
  out.Put(spec_.pages_per_second);
  out.Put(static_cast<uint64_t>(spec_.pattern));
  out.Put(spec_.seed);
  out.Put(writes_);
  out.Put(pages_);
}

std::optional<GuestLoad> GuestLoad::Decode(StateReader& in, Pfn end) {
  LoadSpec spec;
  spec.pages_per_second =
      in.Get("load.pages_per_second", 1, LoadSpec::kMaxPagesPerSecond);
  spec.pattern = static_cast<LoadPattern>(
      in.Get("load.pattern", static_cast<uint64_t>(LoadPattern::kHotspot)));
  spec.seed = in.Get("load.seed");
  const uint64_t writes = in.Get("load.writes", kMaxWrites);
  PfnSet pages = in.GetSet("load.pages", end);
  if (pages.empty()) in.Fail("no page; a load has at least one");
  if (pages.size() > LoadSpec::kMaxWorkingSet) {
    in.Fail("more pages than a load may have");
  }
  if (!in.ok()) return std::nullopt;
  spec.working_set = pages.size();
  return GuestLoad(spec, std::move(pages), writes);
}

}  // namespace simvisor
