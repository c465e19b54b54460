#include "tests/vectors/cpu_mask_replay.h"

#include <algorithm>
#include <cstdint>

#include "absl/types/span.h"
#include "domain/cpus/cpu_mask_table.h"

namespace simvisor {
namespace {

template <typename Word>
Json TableSize(uint32_t cpus) {
  const CpuMaskTableSize size = CpuMaskTable<Word>(cpus).Size();
  return {{"naive", size.naive_bytes},
          {"rows", size.rows},
          {"row_bytes", size.row_bytes},
          {"compact", size.table_bytes}};
}

// Where the window begins and where its bit is, in words of the table.
template <typename Word>
Json Window(uint32_t cpus, uint32_t cpu) {
  const CpuMaskTable<Word> table(cpus);
  const absl::Span<const Word> mask = table.Mask(cpu);
  const auto first = static_cast<size_t>(mask.data() - table.Empty().data());
  const auto bit = std::find_if(mask.begin(), mask.end(),
                                [](Word word) { return word != 0; });
  return {first, first + static_cast<size_t>(bit - mask.begin())};
}

bool KnowsBits(const Json& step) {
  return step["bits"] == 64 || step["bits"] == 32;
}

}  // namespace

void CpuMaskReplay::AddTo(Operations& operations) {
  operations.Add("cpumask", "cpus bits", this, &CpuMaskReplay::CpuMask);
  operations.Add("cpumask_window", "cpus cpu bits", this,
                 &CpuMaskReplay::CpuMaskWindow);
}

Json CpuMaskReplay::CpuMask(const Json& step) {
  if (!KnowsBits(step)) return CannotReplay("a word has 32 or 64 bits");
  const uint32_t cpus = step["cpus"];
  return step["bits"] == 64 ? TableSize<uint64_t>(cpus)
                            : TableSize<uint32_t>(cpus);
}

Json CpuMaskReplay::CpuMaskWindow(const Json& step) {
  if (!KnowsBits(step)) return CannotReplay("a word has 32 or 64 bits");
  return step["bits"] == 64 ? Window<uint64_t>(step["cpus"], step["cpu"])
                            : Window<uint32_t>(step["cpus"], step["cpu"]);
}

}  // namespace simvisor
