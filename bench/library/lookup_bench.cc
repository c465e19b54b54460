// Lookups: the p2m list against a plain array and the three-level tree.
//
//   lookup_PATTERN/TABLE[/SHAPE]/SIZE
//
// Patterns: `random` looks up independent pages, so that the processor overlaps
// several lookups; in `dependent` each page follows from the previous answer,
// so that it waits for every one; `sequential` goes from page to page.
// Choosing the page costs the same in all tables: one step of a generator, or
// adding 1.

#include <bit>
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "bench/library/random.h"
#include "bench/library/register.h"
#include "bench/library/tables.h"
#include "benchmark/benchmark.h"

namespace simvisor::bench {
namespace {

constexpr int kBatch = 1 << 14;  // lookups between two clock readings

enum class Pattern { kRandom, kDependent, kSequential };

// Runs `load`, the lookup of one page, for pages below 2^k.
template <Pattern pattern, typename Load>
void Measure(benchmark::State& state, uint64_t pages, Load load) {
  const int shift = 64 - std::countr_zero(pages);
  uint64_t seed = 1;
  uint64_t next = 0;
  for (auto _ : state) {
    uint64_t sum = 0;
    for (int i = 0; i < kBatch; ++i) {
      if constexpr (pattern == Pattern::kSequential) {
        sum += load(next++ & (pages - 1));
      } else {
        seed = NextState(seed);
        const uint64_t word = load(seed >> shift);
        sum += word;
        if constexpr (pattern == Pattern::kDependent) seed ^= word;
      }
    }
    benchmark::DoNotOptimize(sum);
  }
  state.SetItemsProcessed(state.iterations() * kBatch);
}

template <typename Load>
void MeasureAs(Pattern pattern, benchmark::State& state, uint64_t pages,
               Load load) {
  switch (pattern) {
    case Pattern::kRandom:
      return Measure<Pattern::kRandom>(state, pages, load);
    case Pattern::kDependent:
      return Measure<Pattern::kDependent>(state, pages, load);
    case Pattern::kSequential:
      return Measure<Pattern::kSequential>(state, pages, load);
  }
}

void LookInList(benchmark::State& state, Pattern pattern, uint64_t gib,
                Shape shape) {
  const P2mWords::Reader words(ListOf(gib, shape).words());
  MeasureAs(pattern, state, gib * kPagesPerGiB,
            [=](uint64_t pfn) { return words.Lookup(Pfn(pfn)).raw(); });
}

void LookInArray(benchmark::State& state, Pattern pattern, uint64_t gib,
                 Pages pages) {
  const uint64_t* const words = ArrayOf(gib, pages).data();
  MeasureAs(pattern, state, gib * kPagesPerGiB,
            [=](uint64_t pfn) { return words[pfn]; });
}

void LookInTree(benchmark::State& state, Pattern pattern, uint64_t gib,
                bool holes) {
  const ThreeLevelTree& tree = TreeOf(gib, holes);
  MeasureAs(pattern, state, gib * kPagesPerGiB,
            [&](uint64_t pfn) { return tree.Lookup(pfn); });
}

void RegisterPattern(const std::string& name, Pattern pattern) {
  const auto lists = [&](uint64_t gib, Shape shape) {
    benchmark::RegisterBenchmark(
        absl::StrCat(name, "/ours/", NameOf(shape), "/", SizeName(gib)).c_str(),
        LookInList, pattern, gib, shape);
  };
  for (const uint64_t gib : {1, 64, 512}) {
    const std::string size = SizeName(gib);
    for (const Shape shape : {Shape::kContiguous, Shape::kHalf, Shape::kFull}) {
      lists(gib, shape);
    }
    benchmark::RegisterBenchmark(absl::StrCat(name, "/array/", size).c_str(),
                                 LookInArray, pattern, gib, Pages::kSmall);
    benchmark::RegisterBenchmark(absl::StrCat(name, "/tree/", size).c_str(),
                                 LookInTree, pattern, gib, false);
  }
  benchmark::RegisterBenchmark(absl::StrCat(name, "/array_2m/64GiB").c_str(),
                               LookInArray, pattern, 64, Pages::kHuge);
  benchmark::RegisterBenchmark(absl::StrCat(name, "/tree/holes/64GiB").c_str(),
                               LookInTree, pattern, 64, true);
  lists(64, Shape::kHoles);
  // Sizes beyond the reach of an array in memory and of a three-level tree.
  lists(4096, Shape::kContiguous);
  lists(4096, Shape::kHoles);
}

}  // namespace

void RegisterLookups() {
  RegisterPattern("lookup_random", Pattern::kRandom);
  RegisterPattern("lookup_dependent", Pattern::kDependent);
  RegisterPattern("lookup_sequential", Pattern::kSequential);
}

}  // namespace simvisor::bench
