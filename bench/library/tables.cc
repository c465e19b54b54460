#include "bench/library/tables.h"

#include <cstdlib>
#include <map>
#include <memory>
#include <utility>

#include "bench/library/check.h"
#include "bench/library/pages_from.h"
#include "domain/units/abi.h"
#include "domain/units/units.h"

namespace simvisor::bench {
namespace {

constexpr uint64_t kLeaf = kAbiX86_64.leaf_span();
constexpr uint64_t kRamBeforeHoles = kPagesPerGiB;

void StoreScattered(P2mWords& words, uint64_t first, uint64_t end,
                    uint64_t pages) {
  for (uint64_t pfn = first; pfn < end; ++pfn) {
    words.Store(words.PermitWhileNew(), Pfn(pfn),
                P2mWord::Ram(Mfn(ScatteredFrame(pfn, pages))));
  }
}

void StoreShape(P2mWords& words, uint64_t pages, Shape shape) {
  if (shape == Shape::kFull) return StoreScattered(words, 0, pages, pages);
  words.Fill(words.PermitWhileNew(), {Pfn(0), PageCount(pages)},
             RangeFill::Ram(Mfn(0)));
  if (shape != Shape::kHalf) return;
  for (uint64_t leaf = kLeaf; leaf < pages; leaf += 2 * kLeaf) {
    StoreScattered(words, leaf, leaf + kLeaf, pages);
  }
}

std::unique_ptr<WordArray> MakeArray(uint64_t gib, Pages kind) {
  const uint64_t pages = gib * kPagesPerGiB;
  auto array = std::make_unique<WordArray>(pages, kind);
  for (uint64_t pfn = 0; pfn < pages; ++pfn) {
    (*array)[pfn] = ScatteredFrame(pfn, pages);
  }
  return array;
}

std::unique_ptr<ThreeLevelTree> MakeTree(uint64_t gib, bool holes) {
  const uint64_t pages = holes ? kRamBeforeHoles : gib * kPagesPerGiB;
  auto tree = std::make_unique<ThreeLevelTree>(pages);
  for (uint64_t pfn = 0; pfn < pages; ++pfn) {
    tree->Set(pfn, ScatteredFrame(pfn, pages));
  }
  return tree;
}

}  // namespace

std::string NameOf(Shape shape) {
  switch (shape) {
    case Shape::kContiguous:
      return "contiguous";
    case Shape::kHalf:
      return "half";
    case Shape::kFull:
      return "full";
    case Shape::kHoles:
      return "holes";
  }
  std::abort();
}

ListOverWords NewList(uint64_t gib, Shape shape) {
  const Pfn end(gib * kPagesPerGiB);
  const uint64_t ram = shape == Shape::kHoles ? kRamBeforeHoles : end.value();
  PagesFrom pages(Pfn(0));
  ListOverWords list;
  list.words =
      MustHave(P2mWords::Create(kAbiX86_64, AreaEnd(kAbiX86_64, end, end)));
  BuilderList built =
      MustHave(BuilderList::Build(*list.words, PageCount(ram), pages));
  StoreShape(*list.words, ram, shape);
  list.list = MustHave(P2mList::Relocate(list.words->PermitWhileNew(),
                                         std::move(built), {}, end, pages));
  return list;
}

const P2mList& ListOf(uint64_t gib, Shape shape) {
  static auto& lists = *new std::map<std::pair<uint64_t, Shape>, ListOverWords>;
  auto& list = lists[{gib, shape}];
  if (list.list == nullptr) list = NewList(gib, shape);
  return *list.list;
}

const WordArray& ArrayOf(uint64_t gib, Pages pages) {
  static auto& arrays =
      *new std::map<std::pair<uint64_t, Pages>, std::unique_ptr<WordArray>>;
  auto& array = arrays[{gib, pages}];
  if (!array) array = MakeArray(gib, pages);
  return *array;
}

const ThreeLevelTree& TreeOf(uint64_t gib, bool holes) {
  static auto& trees =
      *new std::map<std::pair<uint64_t, bool>, std::unique_ptr<ThreeLevelTree>>;
  auto& tree = trees[{gib, holes}];
  if (!tree) tree = MakeTree(gib, holes);
  return *tree;
}

}  // namespace simvisor::bench
