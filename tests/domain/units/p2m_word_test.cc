#include "domain/units/p2m_word.h"

#include <cstdint>

#include "domain/units/abi.h"
#include "gtest/gtest.h"

namespace simvisor {
namespace {

TEST(AbiTest, DerivedSpansAreThoseOfTheKernel) {
  EXPECT_EQ(kAbiX86_64.leaf_span(), 512);
  EXPECT_EQ(kAbiX86_64.mid_span(), 262144);
  EXPECT_EQ(kAbiX86_64.pte_page_span(), 262144);
  EXPECT_EQ(kAbiX86_64.max_p2m_pfn(), uint64_t{1} << 27);
  EXPECT_EQ(kAbiX86_64.remap_chunk(), 509);
  EXPECT_EQ(kAbiX86_64.area_align_bytes(), uint64_t{2} << 20);
  EXPECT_EQ(kAbiX86_32Pae.leaf_span(), 1024);
  EXPECT_EQ(kAbiX86_32Pae.mid_span(), 1048576);
  EXPECT_EQ(kAbiX86_32Pae.pte_page_span(), 524288);
  EXPECT_EQ(kAbiX86_32Pae.max_p2m_pfn(), uint64_t{1} << 30);
  EXPECT_EQ(kAbiX86_32Pae.remap_chunk(), 1021);
  EXPECT_EQ(kAbiX86_32Pae.area_align_bytes(), uint64_t{4} << 20);
}

TEST(P2mWordTest, InvalidHasBothFlagsAndIsNeitherIdentityNorForeign) {
  const P2mWord word;
  EXPECT_TRUE(word.is_invalid());
  EXPECT_EQ(word.Class(), P2mClass::kMissing);
  EXPECT_FALSE(word.is_ram());
  EXPECT_EQ(word.Number(), ~uint64_t{0});
  EXPECT_EQ(word.ToString(), "INVALID");
}

TEST(P2mWordTest, ClassesAndNumbersComeBack) {
  EXPECT_EQ(P2mWord::Ram(Mfn(0)).Class(), P2mClass::kRam);
  EXPECT_EQ(P2mWord::Ram(Mfn(0x12)).ToString(), "ram:0x12");
  EXPECT_EQ(P2mWord::Identity(Pfn(0x12)).Class(), P2mClass::kIdentity);
  EXPECT_EQ(P2mWord::Identity(Pfn(0x12)).Number(), 0x12);
  EXPECT_EQ(P2mWord::Foreign(Mfn(0x12)).Class(), P2mClass::kForeign);
  EXPECT_EQ(P2mWord::Foreign(Mfn(0x12)).ToString(), "foreign:0x12");
}

TEST(P2mWordTest, WordsFitTheGuestsWidthAndComeBack) {
  const P2mWord words[] = {P2mWord(), P2mWord::Ram(Mfn(0x3fffffff)),
                           P2mWord::Identity(Pfn(0x3fffffff)),
                           P2mWord::Foreign(Mfn(7))};
  for (const Abi& abi : {kAbiX86_64, kAbiX86_32Pae}) {
    for (const P2mWord word : words) {
      ASSERT_TRUE(word.FitsAbi(abi));
      EXPECT_EQ(P2mWord::FromAbi(abi, word.ToAbi(abi)), word)
          << abi.name << " " << word.ToString();
    }
  }
  EXPECT_EQ(P2mWord().ToAbi(kAbiX86_32Pae), 0xffffffff);
  EXPECT_EQ(P2mWord::Foreign(Mfn(7)).ToAbi(kAbiX86_32Pae), 0x80000007);
  EXPECT_EQ(P2mWord::Identity(Pfn(7)).ToAbi(kAbiX86_32Pae), 0x40000007);
}

TEST(P2mWordTest, NumbersThatRunIntoPaesFlagsDoNotFit) {
  const P2mWord word = P2mWord::Ram(Mfn(uint64_t{1} << 30));
  EXPECT_FALSE(word.FitsAbi(kAbiX86_32Pae));
  EXPECT_TRUE(word.FitsAbi(kAbiX86_64));
}

}  // namespace
}  // namespace simvisor
