// A PAE guest's address spaces on their own list.

#ifndef SIMVISOR_TESTS_DOMAIN_PROCESSES_ADDRESS_SPACES_TESTING_H_
#define SIMVISOR_TESTS_DOMAIN_PROCESSES_ADDRESS_SPACES_TESTING_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "domain/guest/free_pages.h"
#include "domain/processes/address_spaces.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/change_permit.h"
#include "tests/support/p2m_pages.h"
#include "tests/support/status_matchers.h"

namespace simvisor {

inline constexpr const Abi& kAbi = kAbiX86_32Pae;
inline constexpr uint64_t kMfnBase = 0x10000;
inline constexpr uint64_t kFirstFree = 2000;
inline constexpr uint64_t kFreePages = 3000;
inline constexpr uint64_t kMids = 4;
// In the second mid, which is identity.
inline constexpr uint64_t kSplitPfn = kAbi.mid_span() + 5;

inline absl::Status NoStop() { return absl::OkStatus(); }

// A guest with a mid of RAM and three of identity.
class AddressSpacesTest : public testing::Test {
 protected:
  AddressSpacesTest() {
    EXPECT_THAT(list_.Relocate(Pfn(kMids * kAbi.mid_span()), list_source_),
                IsOk());
    EXPECT_THAT(list_->Publish(list_source_), IsOk());
    free_.Return({Pfn(kFirstFree), PageCount(kFreePages)});
  }

  ~AddressSpacesTest() override {
    if (spaces_ != nullptr) {
      EXPECT_THAT(spaces_->CheckInvariants(), IsOk());
    }
    EXPECT_THAT(list_->CheckInvariants(), IsOk());
  }

  AddressSpaces& Make(bool shared, int user_pgds = 3) {
    spaces_ =
        std::make_unique<AddressSpaces>(PaeKernel{shared, user_pgds}, *list_);
    list_->SetPmdListener(spaces_.get());
    return *spaces_;
  }

  uint64_t Create(uint64_t count) {
    const auto first = spaces_->Create(count, free_, NoStop);
    EXPECT_THAT(first, IsOk());
    return first.value_or(0);
  }
  absl::Status Destroy(const std::vector<uint64_t>& ids) {
    return spaces_->Destroy(ids, free_, NoStop);
  }
  std::vector<AddressSpaceInfo> All() const {
    std::vector<AddressSpaceInfo> all;
    spaces_->List(0, 1 << 20, all);
    return all;
  }
  P2mWord Seen(uint64_t id, uint64_t pfn) const {
    std::vector<P2mWord> words;
    EXPECT_THAT(spaces_->Translate(id, {pfn}, words), IsOk());
    return words.at(0);
  }
  void Split(uint64_t pfn) {
    ASSERT_THAT(list_->Set(kPermit, Pfn(pfn), P2mWord::Ram(Mfn(0x99)), free_),
                IsOk());
  }
  // An 8-byte entry of the page at `pfn`.
  uint64_t Entry(Mfn page, uint64_t index) const {
    std::string content(kPageSize, '?');
    const Pfn pfn(page.value() - kMfnBase);
    EXPECT_TRUE(spaces_->RenderPage(pfn, absl::MakeSpan(content)));
    uint64_t entry = 0;
    for (size_t i = 8; i > 0; --i) {
      entry = entry << 8 | static_cast<uint8_t>(content[index * 8 + i - 1]);
    }
    return entry;
  }

  PagesFrom list_source_{0, kFirstFree};
  TestList list_ = BuiltList(kAbi, kAbi.mid_span(), kMfnBase, list_source_);
  FreePages free_;
  std::unique_ptr<AddressSpaces> spaces_;
};

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_DOMAIN_PROCESSES_ADDRESS_SPACES_TESTING_H_
