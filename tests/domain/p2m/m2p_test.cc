#include "domain/p2m/m2p.h"

#include <memory>

#include "gtest/gtest.h"
#include "tests/support/change_permit.h"
#include "tests/support/p2m_pages.h"

namespace simvisor {
namespace {

constexpr uint64_t kM2pBase = 1000;

// 2048 pages at mfns from kM2pBase on; pfn 5 is foreign, 6 ballooned out, 7
// names another identity, and pfns past the pages are identity.
class M2pTest : public testing::TestWithParam<const Abi*> {
 protected:
  M2pTest() : pages_(uint64_t{1} << 20, uint64_t{1} << 21) {
    list_ = BuiltList(*GetParam(), 2048, kM2pBase, pages_);
    EXPECT_TRUE(list_.Relocate(Pfn(0), pages_).ok());
    EXPECT_TRUE(list_->TrySet(kPermit, Pfn(5), P2mWord::Foreign(Mfn(0x123))));
    EXPECT_TRUE(list_->TrySet(kPermit, Pfn(6), P2mWord::Invalid()));
    EXPECT_TRUE(list_->TrySet(kPermit, Pfn(7), P2mWord::Identity(Pfn(0x99))));
  }

  void Expect(uint64_t mfn, Pfn candidate, Pfn pfn, Pfn local) {
    const MfnTranslation got = MfnToPfn(*list_.words, Mfn(mfn), candidate);
    EXPECT_EQ(got.pfn.value(), pfn.value()) << mfn;
    EXPECT_EQ(got.local.value(), local.value()) << mfn;
  }

  const Pfn none_ = Pfn::None();
  PagesFrom pages_;
  TestList list_;
};

TEST_P(M2pTest, CandidateThatTheListConfirmsIsTheDomainsOwn) {
  Expect(kM2pBase + 100, Pfn(100), Pfn(100), Pfn(100));
}

TEST_P(M2pTest, CandidateThatTheListDeniesIsDropped) {
  // Another domain's entry, the balloon's windows, a word with flags.
  Expect(kM2pBase + 100, Pfn(101), none_, none_);
  Expect(kM2pBase + 6, Pfn(6), none_, none_);
  Expect(0x123, Pfn(5), none_, none_);
  Expect(kM2pBase + 100, none_, none_, none_);
}

TEST_P(M2pTest, FrameThatTheListHasAsIdentityAnswersItselfButIsNotLocal) {
  Expect(4000, none_, Pfn(4000), none_);
  Expect(4000, Pfn(100), Pfn(4000), none_);
  // The word of 7 names another pfn, so 7 is not an answer, and 0x99 is RAM.
  Expect(7, none_, none_, none_);
  Expect(0x99, Pfn(7), none_, none_);
}

TEST_P(M2pTest, InvalidFrameNumberHasNoAnswer) {
  Expect(~uint64_t{0}, none_, none_, none_);
}

INSTANTIATE_TEST_SUITE_P(Abis, M2pTest,
                         testing::Values(&kAbiX86_64, &kAbiX86_32Pae),
                         [](const auto& param) {
                           return std::string(param.param->name);
                         });

}  // namespace
}  // namespace simvisor
