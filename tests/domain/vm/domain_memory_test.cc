// Contents of a domain's pages, and its frame-list tree as tools walk it.

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/host_testing.h"

namespace simvisor {
namespace {

using Code = absl::StatusCode;
using testing::HasSubstr;

constexpr uint64_t kHostPages = 60000;

Page ReadPage(const Host& host, Mfn mfn) {
  Page page;
  bool zero = false;
  EXPECT_THAT(host.ReadFrame(mfn, absl::MakeSpan(page), &zero), IsOk());
  if (zero) page.fill(0);
  return page;
}

uint64_t Entry(const Page& page, const Abi& abi, uint64_t index) {
  uint64_t value = 0;
  std::memcpy(&value, page.data() + index * abi.word_bytes, abi.word_bytes);
  return value;
}

std::string ReadBytes(Domain& domain, uint64_t pfn, uint64_t offset,
                      uint64_t size) {
  std::string bytes(size, '?');
  EXPECT_THAT(domain.contents().Read(Pfn(pfn), offset, absl::MakeSpan(bytes)),
              IsOk());
  return bytes;
}

// Walks the tree only by mfn and compares every word with a lookup.  In a
// shared identity leaf the stored word is INVALID.
void WalkTree(const Host& host, Domain& domain) {
  const auto tree = domain.p2m().FindMfnListList();
  ASSERT_THAT(tree, IsOk());
  const Abi& abi = *tree->abi;
  const Page top = ReadPage(host, tree->root.root);
  uint64_t ram = 0;
  for (uint64_t pfn = 0; pfn < tree->max_pfn.value(); pfn += abi.leaf_span()) {
    const Page mid = ReadPage(host, Mfn(Entry(top, abi, pfn / abi.mid_span())));
    const uint64_t slot = pfn / abi.leaf_span() % abi.words_per_page;
    const Page leaf = ReadPage(host, Mfn(Entry(mid, abi, slot)));
    for (uint64_t i = 0; i < abi.leaf_span(); ++i) {
      const P2mWord stored = P2mWord::FromAbi(abi, Entry(leaf, abi, i));
      const P2mWord word = WordOf(domain, pfn + i);
      if (stored.is_invalid() && word == P2mWord::Identity(Pfn(pfn + i))) {
        continue;
      }
      ASSERT_EQ(stored.ToString(), word.ToString()) << "pfn " << pfn + i;
      ram += word.is_ram() ? 1 : 0;
    }
  }
  EXPECT_EQ(ram, domain.Info().memory.current.value());
}

TEST(DomainTreeTest, EveryWordOfTheTreeIsWhatALookupAnswers) {
  for (const Placement placement : {Placement::kLowest, Placement::kScatter}) {
    for (const Arch arch : {Arch::kX86_64, Arch::kX86_32Pae}) {
      const auto host = MakeHost(kHostPages, placement);
      DomainSpec spec = MakeSpec("a", 5001, 9000);
      spec.arch = arch;
      const auto domain = MustCreate(*host, spec);
      WalkTree(*host, *domain);
      ASSERT_THAT(
          domain->balloon().Down({"balloon down"}, PageCount(777), false),
          IsOk());
      ASSERT_THAT(domain->p2m().MarkIdentity({"mark identity"}, Pfn(100000),
                                             Pfn(101000), false),
                  IsOk());
      ASSERT_THAT(
          domain->p2m().SetRange({"set p2m"}, {Pfn(200000), PageCount(3)},
                                 P2mClass::kMissing, Mfn(), RamPolicy::kKeep),
          IsOk());
      WalkTree(*host, *domain);
      EXPECT_THAT(host->Audit().findings, testing::IsEmpty());
    }
  }
}

TEST(DomainTreeTest, RootIsNotPublishedBeforeBoot) {
  const auto host = MakeHost(kHostPages);
  const auto domain = MustCreate(*host, MakeSpec("a", 1000), true);
  EXPECT_THAT(domain->p2m().FindMfnListList(),
              IsError(Code::kFailedPrecondition, Reason::kDomainNotBooted,
                      HasSubstr("unpause")));
}

TEST(DomainMemoryTest, WritesSpanPagesAndUnwrittenBytesAreZero) {
  const auto host = MakeHost(kHostPages, Placement::kScatter);
  const auto domain = MustCreate(*host, MakeSpec("a", 2000));
  const std::string data(2 * kPageSize, 'x');
  ASSERT_THAT(domain->contents().Write({"write"}, Pfn(1000), 4000, data),
              IsOk());
  EXPECT_EQ(ReadBytes(*domain, 1000, 3990, 20),
            std::string(10, '\0') + std::string(10, 'x'));
  EXPECT_EQ(ReadBytes(*domain, 1000, 4000, data.size()), data);
  EXPECT_EQ(ReadBytes(*domain, 1002, 4000, 1), std::string(1, '\0'));
  const Page frame = ReadPage(*host, Mfn(WordOf(*domain, 1001).Number()));
  EXPECT_EQ(std::string(frame.begin(), frame.end()),
            std::string(kPageSize, 'x'));
}

TEST(DomainMemoryTest, WriteThatMeetsAHoleWritesNothing) {
  const auto host = MakeHost(kHostPages);
  const auto domain = MustCreate(*host, MakeSpec("a", 2000));
  ASSERT_THAT(
      domain->p2m().SetRange({"set p2m"}, {Pfn(1001), PageCount(1)},
                             P2mClass::kMissing, Mfn(), RamPolicy::kRelease),
      IsOk());
  EXPECT_THAT(
      domain->contents().Write({"write"}, Pfn(1000), 0, std::string(5000, 'x')),
      IsError(Code::kFailedPrecondition, Reason::kPfnNotRam,
              HasSubstr("0x3e9")));
  EXPECT_EQ(ReadBytes(*domain, 1000, 0, 1), std::string(1, '\0'));
}

TEST(DomainMemoryTest, KernelsOwnPagesCanBeReadAndNotWritten) {
  const auto host = MakeHost(kHostPages);
  const auto domain = MustCreate(*host, MakeSpec("a", 2000));
  const auto tree = domain->p2m().FindMfnListList();
  ASSERT_THAT(tree, IsOk());
  std::vector<FrameRun> runs;
  ASSERT_THAT(host->LookupFrames({tree->root.root, PageCount(1)}, 1, runs),
              IsOk());
  const Pfn top = runs.at(0).first_pfn;
  EXPECT_THAT(domain->contents().Write({"write"}, top, 0, "x"),
              IsError(Code::kFailedPrecondition, Reason::kPageInUseByKernel,
                      HasSubstr("p2m list")));
  const Page page = ReadPage(*host, tree->root.root);
  EXPECT_EQ(ReadBytes(*domain, top.value(), 0, kPageSize),
            std::string(page.begin(), page.end()));
}

TEST(DomainMemoryTest, BadRangesAreRefused) {
  const auto host = MakeHost(kHostPages);
  const auto domain = MustCreate(*host, MakeSpec("a", 2000));
  EXPECT_THAT(
      domain->contents().Write({"write"}, Pfn(1000), 0, ""),
      IsError(Code::kInvalidArgument, Reason::kRangeInvalid, testing::_));
  EXPECT_THAT(
      domain->contents().Write({"write"}, Pfn(1000), kPageSize, "x"),
      IsError(Code::kInvalidArgument, Reason::kRangeInvalid, testing::_));
  for (const uint64_t pfn : {uint64_t{2000}, uint64_t{1} << 40, ~uint64_t{0}}) {
    EXPECT_THAT(
        domain->contents().Write({"write"}, Pfn(pfn), 0, "x"),
        IsError(Code::kFailedPrecondition, Reason::kPfnNotRam, testing::_))
        << pfn;
  }
}

// Every way in which a frame leaves a domain.
TEST(DomainMemoryTest, ContentsNeverReachTheNextOwner) {
  const auto host = MakeHost(kDom0Pages + 256 + 4000);
  const auto first = MustCreate(*host, MakeSpec("first", 4000));
  ASSERT_THAT(first->contents().Write({"write"}, Pfn(1000), 0,
                                      std::string(3000 * kPageSize, 's')),
              IsOk());
  ASSERT_THAT(first->balloon().Down({"balloon down"}, PageCount(1000), false),
              IsOk());
  ASSERT_THAT(
      first->p2m().MarkIdentity({"mark identity"}, Pfn(1000), Pfn(1500), true),
      IsOk());
  ASSERT_THAT(
      first->p2m().SetRange({"set p2m"}, {Pfn(1500), PageCount(500)},
                            P2mClass::kMissing, Mfn(), RamPolicy::kRelease),
      IsOk());
  // Frames in no word are freed, with what they hold, when the domain ends.
  ASSERT_THAT(
      first->p2m().SetRange({"set p2m"}, {Pfn(2000), PageCount(500)},
                            P2mClass::kMissing, Mfn(), RamPolicy::kKeep),
      IsOk());
  const auto second = MustCreate(*host, MakeSpec("second", 2000));
  ASSERT_THAT(host->DestroyDomain(first->id()), IsOk());
  const auto third = MustCreate(*host, MakeSpec("third", 2000));
  for (const auto& domain : {second, third}) {
    for (uint64_t pfn = 0; pfn < 2000; ++pfn) {
      Page page;
      bool zero = false;
      ASSERT_THAT(host->ReadFrame(Mfn(WordOf(*domain, pfn).Number()),
                                  absl::MakeSpan(page), &zero),
                  IsOk());
      EXPECT_TRUE(zero || page.front() != 's') << pfn;
    }
  }
}

TEST(DomainMemoryTest, FrameThatComesBackToItsDomainIsEmpty) {
  const auto host = MakeHost(kHostPages);
  const auto domain = MustCreate(*host, MakeSpec("a", 2000));
  const Mfn mfn(WordOf(*domain, 1999).Number());
  ASSERT_THAT(domain->contents().Write({"write"}, Pfn(1999), 0, "gone"),
              IsOk());
  ASSERT_THAT(domain->balloon().Down({"balloon down"}, PageCount(1), false),
              IsOk());
  ASSERT_THAT(domain->balloon().Up({"balloon up"}, PageCount(1), false),
              IsOk());
  EXPECT_EQ(WordOf(*domain, 1999), P2mWord::Ram(mfn));
  EXPECT_EQ(ReadBytes(*domain, 1999, 0, 4), std::string(4, '\0'));
}

TEST(DomainMemoryTest, FramesThatAreKeptKeepTheirContents) {
  const auto host = MakeHost(kHostPages);
  const auto domain = MustCreate(*host, MakeSpec("a", 2000, 3000));
  ASSERT_THAT(domain->contents().Write({"write"}, Pfn(1500), 0, "kept"),
              IsOk());
  const Mfn mfn(WordOf(*domain, 1500).Number());
  ASSERT_THAT(
      domain->p2m().SetRange({"set p2m"}, {Pfn(1500), PageCount(1)},
                             P2mClass::kMissing, Mfn(), RamPolicy::kKeep),
      IsOk());
  EXPECT_EQ(ReadPage(*host, mfn)[0], 'k');
  ASSERT_THAT(domain->p2m().SetRange({"set p2m"}, {Pfn(2500), PageCount(1)},
                                     P2mClass::kRam, mfn, RamPolicy::kRefuse),
              IsOk());
  EXPECT_EQ(ReadBytes(*domain, 2500, 0, 4), "kept");
  ExpectClean(*host, kDom0Pages + 2000);
}

}  // namespace
}  // namespace simvisor
