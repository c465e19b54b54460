// The epoch of a domain's mappings, through the lives that a guest can have.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "domain/collections/state_codec.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/domain/vm/domain_copy.h"
#include "tests/support/host_testing.h"
#include "tests/support/mapping_epoch.h"

namespace simvisor {
namespace {

class DomainEpochTest : public testing::Test {
 protected:
  DomainEpochTest() : spec_(MakeSpec("traveller", 3000, 4000)) {}

  // Suspends a guest, and awakes it on another host from `notes`, or from its
  // own if they are empty.
  std::shared_ptr<Domain> Travel(Domain& guest, std::string notes = "") {
    const auto record = guest.migration().Suspend({"save"});
    EXPECT_THAT(record, IsOk());
    hosts_.push_back(MakeHost(20000));
    if (notes.empty()) notes = record->notes;
    auto awake =
        SendPages(guest, *hosts_.back(), spec_, *record)
            ->Awaken({.bytes = notes, .record_pages = RecordPages(*record)});
    EXPECT_THAT(awake, IsOk());
    EXPECT_THAT((*awake)->Unpause({"unpause"}), IsOk());
    return *std::move(awake);
  }
  // The notes of a guest, but of another epoch.
  std::string NotesInEpoch(Domain& guest, uint64_t epoch) {
    const auto record = guest.migration().Suspend({"save"});
    EXPECT_THAT(record, IsOk());
    EXPECT_THAT(guest.migration().Resume({"resume"}, record->suspension, false),
                IsOk());
    StateWriter number;
    number.Put(epoch);
    // The last section has a length of 1, and holds epoch 1.
    std::string notes = record->notes.substr(0, record->notes.size() - 2);
    notes.push_back(static_cast<char>(number.bytes().size()));
    return notes + number.bytes();
  }

  DomainSpec spec_;
  std::vector<std::unique_ptr<Host>> hosts_;
};

TEST_F(DomainEpochTest, ItGrowsWithEachArrivalAndNotOtherwise) {
  hosts_.push_back(MakeHost(20000));
  const auto created = MustCreate(*hosts_.back(), spec_);
  EXPECT_EQ(EpochOf(*created), 1u);
  ASSERT_THAT(created->balloon().Down({"balloon down"}, PageCount(10), false),
              IsOk());
  const auto record = created->migration().Suspend({"save"});
  ASSERT_THAT(record, IsOk());
  ASSERT_THAT(
      created->migration().Resume({"resume"}, record->suspension, false),
      IsOk());
  EXPECT_EQ(EpochOf(*created), 1u);
  const auto second = Travel(*created);
  EXPECT_EQ(EpochOf(*second), 2u);
  const auto third = Travel(*second);
  EXPECT_EQ(EpochOf(*third), 3u);
  EXPECT_EQ(EpochOf(*created), 1u);
}

TEST_F(DomainEpochTest, LargestIsFollowedByTheFirst) {
  hosts_.push_back(MakeHost(20000));
  const auto created = MustCreate(*hosts_.back(), spec_);
  const uint64_t largest = ~uint64_t{0};
  const auto next = Travel(*created, NotesInEpoch(*created, largest - 1));
  EXPECT_EQ(EpochOf(*next), largest);
  EXPECT_EQ(EpochOf(*Travel(*next)), 1u);
}

}  // namespace
}  // namespace simvisor
