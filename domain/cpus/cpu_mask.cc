#include "domain/cpus/cpu_mask.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstddef>

#include "absl/strings/str_format.h"
#include "base/error.h"

namespace simvisor {
namespace {

constexpr uint32_t kWordBits = CpuMaskTable<uint64_t>::kWordBits;

// Sets the bits [first, end), word by word.
void SetBits(uint32_t first, uint32_t end, std::vector<uint64_t>& words) {
  while (first < end) {
    const uint32_t bit = first % kWordBits;
    const uint32_t count = std::min(kWordBits - bit, end - first);
    const uint64_t ones = ~uint64_t{0} >> (kWordBits - count);
    words[first / kWordBits] |= ones << bit;
    first += count;
  }
}

std::vector<uint64_t> AllWords(uint32_t cpus) {
  std::vector<uint64_t> words((size_t{cpus} + kWordBits - 1) / kWordBits);
  SetBits(0, cpus, words);
  return words;
}

// The first CPU at or after `from` whose bit is `wanted`, else the number of
// bits.
uint32_t FindBit(absl::Span<const uint64_t> words, uint32_t from, bool wanted) {
  const auto bits = static_cast<uint32_t>(words.size() * kWordBits);
  while (from < bits) {
    const uint64_t word = words[from / kWordBits];
    const uint64_t rest = (wanted ? word : ~word) >> (from % kWordBits);
    if (rest != 0) return from + static_cast<uint32_t>(std::countr_zero(rest));
    from += kWordBits - from % kWordBits;
  }
  return bits;
}

std::string Describe(const CpuRange& range) {
  if (range.count == 0) return absl::StrFormat("CPUs from %d on", range.first);
  if (range.count == 1) return absl::StrFormat("CPU %d", range.first);
  return absl::StrFormat("CPUs %d to %d", range.first,
                         uint64_t{range.first} + range.count - 1);
}

}  // namespace

std::vector<CpuRange> CpuMask::Ranges() const {
  std::vector<CpuRange> ranges;
  const auto bits = static_cast<uint32_t>(words().size() * kWordBits);
  for (uint32_t at = FindBit(words(), 0, true); at < bits;) {
    const uint32_t end = FindBit(words(), at, false);
    ranges.push_back({at, end - at});
    at = FindBit(words(), end, true);
  }
  return ranges;
}

HostCpus::HostCpus(uint32_t cpus) : table_(cpus), all_(AllWords(cpus)) {
  assert(cpus <= kMaxHostCpus);
}

absl::StatusOr<CpuMask> HostCpus::MakeMask(
    absl::string_view what, absl::Span<const CpuRange> ranges) const {
  if (ranges.empty()) return All();
  std::vector<uint64_t> words(all_.size());
  for (const CpuRange& range : ranges) {
    if (range.first >= count() || range.count > count() - range.first) {
      return MakeError(
          absl::StatusCode::kInvalidArgument, Reason::kCpuInvalid,
          absl::StrFormat("%s: %s: the host has CPUs 0 to %d; name others, or "
                          "give the machine more CPUs",
                          what, Describe(range), count() - 1),
          {{fact::kValue, Describe(range)}, {fact::kLimit, count() - 1}});
    }
    SetBits(range.first, range.count == 0 ? count() : range.first + range.count,
            words);
  }
  return FromWords(std::move(words));
}

CpuMask HostCpus::FromWords(std::vector<uint64_t> words) const {
  // A host with one CPU has only one set: all CPUs.
  if (words == all_) return All();
  const uint32_t first = FindBit(words, 0, true);
  const absl::Span<const uint64_t> single = table_.Mask(first);
  if (std::equal(words.begin(), words.end(), single.begin())) {
    return CpuMask(single);
  }
  return CpuMask(std::move(words));
}

absl::Status HostCpus::CheckInvariants() const {
  const auto any = [](uint64_t word) { return word != 0; };
  if (std::any_of(table_.Empty().begin(), table_.Empty().end(), any)) {
    return absl::InternalError("the row of zeros of the CPU masks is not zero");
  }
  for (uint32_t cpu = 0; cpu < count(); ++cpu) {
    const absl::Span<const uint64_t> mask = table_.Mask(cpu);
    const uint64_t bit = uint64_t{1} << (cpu % kWordBits);
    if (mask[cpu / kWordBits] != bit ||
        std::count_if(mask.begin(), mask.end(), any) != 1) {
      return absl::InternalError(
          absl::StrFormat("the mask of CPU %d is not of only that CPU", cpu));
    }
  }
  if (all_ != AllWords(count())) {
    return absl::InternalError("the mask of all CPUs does not hold all");
  }
  return absl::OkStatus();
}

absl::Status HostCpus::CheckMask(const CpuMask& mask) const {
  const absl::Span<const uint64_t> words = mask.words();
  if (words.size() != all_.size()) {
    return absl::InternalError(absl::StrFormat(
        "a CPU mask has %d words, not %d", words.size(), all_.size()));
  }
  bool empty = true;
  for (size_t i = 0; i < words.size(); ++i) {
    empty = empty && words[i] == 0;
    if ((words[i] & ~all_[i]) != 0) {
      return absl::InternalError("a CPU mask names a CPU beyond the last");
    }
  }
  if (empty) return absl::InternalError("a CPU mask is empty");
  const CpuMask minimal =
      FromWords(std::vector<uint64_t>(words.begin(), words.end()));
  if (minimal.own_bytes() != mask.own_bytes()) {
    return absl::InternalError(
        "a CPU mask has words of its own and needs none");
  }
  return absl::OkStatus();
}

}  // namespace simvisor
