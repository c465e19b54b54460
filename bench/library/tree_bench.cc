// The tree that tools read: building it at boot, and reading the list through
// it.
//
//   tree_build/WHOSE/SHAPE/SIZE   of a list that has no tree yet
//   tree_fetch/WHOSE/POOL/SIZE    every page of the list, as a toolstack does
//
// The dense design writes the frame of every leaf page into pages of 512, and
// is read by copying its array page by page.

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "bench/baselines/word_array.h"
#include "bench/library/check.h"
#include "bench/library/machines.h"
#include "bench/library/pages_from.h"
#include "bench/library/register.h"
#include "bench/library/stopwatch.h"
#include "bench/library/tables.h"
#include "benchmark/benchmark.h"
#include "domain/units/abi.h"
#include "domain/units/units.h"

namespace simvisor::bench {
namespace {

constexpr uint64_t kPerPage = kAbiX86_64.words_per_page;
using WordPage = std::array<uint64_t, kPerPage>;

// Pages for the tree come after the list's own pages.
constexpr Pfn kTreePages{kPagesPerGiB / 2};

void BuildTree(benchmark::State& state, uint64_t gib, Shape shape) {
  for (auto _ : state) {
    const auto list = NewList(gib, shape);
    PagesFrom pages(kTreePages);
    state.SetIterationTime(
        SecondsOf([&] { MustBeOk(list.list->Publish(pages)); }));
  }
}

void BuildTreeDense(benchmark::State& state, uint64_t gib) {
  const WordArray& p2m = ArrayOf(gib, Pages::kSmall);
  const uint64_t leaves = p2m.size() / kPerPage;
  for (auto _ : state) {
    state.SetIterationTime(SecondsOf([&] {
      WordArray mids(leaves);
      for (uint64_t leaf = 0; leaf < leaves; ++leaf) mids[leaf] = p2m[leaf];
      benchmark::DoNotOptimize(mids.data());
    }));
  }
}

void ReadPage(Domain& domain, uint64_t mfn, WordPage& page) {
  bool zero = false;
  MustBeOk(domain.contents().ReadFrame(
      Mfn(mfn),
      absl::MakeSpan(reinterpret_cast<char*>(page.data()), sizeof(page)),
      &zero));
  if (zero) page.fill(0);
}

// Reads every leaf of the list and returns the sum of the leaves' first words.
uint64_t Fetch(Domain& domain) {
  const MfnListList list = MustHave(domain.p2m().FindMfnListList());
  const uint64_t leaves = (list.max_pfn.value() + kPerPage - 1) / kPerPage;
  WordPage top, mid, leaf;
  ReadPage(domain, list.root.root.value(), top);
  uint64_t sum = 0;
  for (uint64_t i = 0; i < leaves; ++i) {
    if (i % kPerPage == 0) ReadPage(domain, top[i / kPerPage], mid);
    ReadPage(domain, mid[i % kPerPage], leaf);
    sum += leaf[0];
  }
  return sum;
}

void FetchTree(benchmark::State& state, uint64_t gib, Pool pool) {
  Host& host = SharedHost(pool);
  const PageCount pages(gib * kPagesPerGiB);
  const auto domain = MustCreate(host, MakeSpec("guest", pages));
  for (auto _ : state) benchmark::DoNotOptimize(Fetch(*domain));
  MustDestroy(host, domain);
}

void FetchDense(benchmark::State& state, uint64_t gib) {
  const WordArray& p2m = ArrayOf(gib, Pages::kSmall);
  WordPage leaf;
  for (auto _ : state) {
    uint64_t sum = 0;
    for (uint64_t at = 0; at < p2m.size(); at += kPerPage) {
      std::copy_n(p2m.data() + at, kPerPage, leaf.data());
      benchmark::DoNotOptimize(leaf);
      sum += leaf[0];
    }
    benchmark::DoNotOptimize(sum);
  }
}

// Lists of single frames are slow to make, so there are few iterations.
void RegisterBuild(uint64_t gib, Shape shape, int iterations) {
  benchmark::RegisterBenchmark(
      absl::StrCat("tree_build/ours/", NameOf(shape), "/", SizeName(gib))
          .c_str(),
      BuildTree, gib, shape)
      ->UseManualTime()
      ->Iterations(iterations)
      ->Unit(benchmark::kMicrosecond);
}

}  // namespace

void RegisterTree() {
  for (const uint64_t gib : {1, 64}) {
    RegisterBuild(gib, Shape::kContiguous, 100);
    benchmark::RegisterBenchmark(
        absl::StrCat("tree_build/dense/", SizeName(gib)).c_str(),
        BuildTreeDense, gib)
        ->UseManualTime()
        ->Unit(benchmark::kMicrosecond);
    benchmark::RegisterBenchmark(
        absl::StrCat("tree_fetch/ours/contiguous/", SizeName(gib)).c_str(),
        FetchTree, gib, Pool::kWhole)
        ->Unit(benchmark::kMicrosecond);
    benchmark::RegisterBenchmark(
        absl::StrCat("tree_fetch/dense/", SizeName(gib)).c_str(), FetchDense,
        gib)
        ->Unit(benchmark::kMicrosecond);
  }
  RegisterBuild(512, Shape::kContiguous, 20);
  RegisterBuild(1, Shape::kFull, 5);
  benchmark::RegisterBenchmark("tree_fetch/ours/scatter/1GiB", FetchTree, 1,
                               Pool::kScatter)
      ->Unit(benchmark::kMicrosecond);
}

}  // namespace simvisor::bench
