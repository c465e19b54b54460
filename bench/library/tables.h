// The p2m lists, arrays and trees for timing lookups.
//
// Shared ones are made when they are first requested, which takes seconds for
// the largest, and kept to the end of the program: benchmarks run in a random
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
  kFull,   // no two neighbouring pages have consecutive frames
  kHoles,  // 1 GiB of RAM, nothing after it
};
std::string NameOf(Shape shape);

// The frame of a page in a scattered leaf: a permutation of 2^k pages.
constexpr uint64_t ScatteredFrame(uint64_t pfn, uint64_t pages) {
  return pfn * 0x9E3779B97F4A7C15 & (pages - 1);
}

// A relocated list.
// REQUIRES: `gib` is a power of 2; also for the functions below.
ListOverWords NewList(uint64_t gib, Shape shape);

const P2mList& ListOf(uint64_t gib, Shape shape);
const WordArray& ArrayOf(uint64_t gib, Pages pages);
// With kHoles, or full; the rest of a list's shape makes no difference to a
// tree.
const ThreeLevelTree& TreeOf(uint64_t gib, bool holes);

}  // namespace simvisor::bench

#endif  // SIMVISOR_BENCH_LIBRARY_TABLES_H_
