// The p2m lists, arrays and trees that lookups are timed in.
//
// Shared ones are made when they are first asked for, which takes seconds for
// the largest, and kept to the end of the program: benchmarks come in a random
// order, many times each.
//
// Thread safety: one thread.

#ifndef SIMVISOR_BENCH_LIBRARY_TABLES_H_
#define SIMVISOR_BENCH_LIBRARY_TABLES_H_

#include <cstdint>
#include <memory>
#include <string>

#include "bench/baselines/three_level_tree.h"
#include "bench/baselines/word_array.h"
#include "domain/p2m/p2m_codec.h"
#include "domain/p2m/p2m_list.h"

namespace simvisor::bench {

enum class Shape {
  kContiguous,
  kHalf,   // every second leaf (2 MiB) scattered frame by frame
  kFull,   // no two neighbours follow each other
  kHoles,  // 1 GiB of RAM, nothing behind it
};
std::string NameOf(Shape shape);

// The frame of a page in a scattered leaf: a permutation of 2^k pages.
constexpr uint64_t ScatteredFrame(uint64_t pfn, uint64_t pages) {
  return pfn * 0x9E3779B97F4A7C15 & (pages - 1);
}

// A relocated list.  REQUIRES: `gib` is a power of 2, in each of these.
ListOverWords NewList(uint64_t gib, Shape shape);

const P2mList& ListOf(uint64_t gib, Shape shape);
const WordArray& ArrayOf(uint64_t gib, Pages pages);
// With kHoles, or full: what else a tree holds makes no difference to it.
const ThreeLevelTree& TreeOf(uint64_t gib, bool holes);

}  // namespace simvisor::bench

#endif  // SIMVISOR_BENCH_LIBRARY_TABLES_H_
