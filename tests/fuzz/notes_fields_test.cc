// Each field of a kernel's notes, one at a time, with impossible values.

#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "domain/collections/state_codec.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/fuzz/guest_difference.h"
#include "tests/fuzz/notes_guests.h"
#include "tests/support/mapping_epoch.h"
#include "tests/support/status_matchers.h"

namespace simvisor {
namespace {

using testing::HasSubstr;

constexpr uint64_t kAll = std::numeric_limits<uint64_t>::max();

// Names the numbers of notes, by the order in which they are written.
class FieldNames {
 public:
  FieldNames(const std::vector<uint64_t>& numbers, const DomainSpec& spec)
      : numbers_(numbers), spec_(spec) {
    Config();
    List();
    Guest();
  }

  const std::vector<std::string>& names() const { return names_; }

 private:
  uint64_t Take(absl::string_view name) {
    names_.emplace_back(name);
    return numbers_.at(names_.size() - 1);
  }
  void Items(absl::string_view count, std::vector<absl::string_view> each) {
    for (uint64_t n = Take(count); n > 0; --n) {
      for (const absl::string_view name : each) Take(name);
    }
  }

  void Config() {
    for (const char* name :
         {"version", "config.hotplug_limit_gib", "config.tools_view",
          "config.balloon_room", "config.balloon_max_retry",
          "config.shared_kernel_pmd", "config.user_pgds", "config.e820_host"}) {
      Take(name);
    }
    Items("config.e820",
          {"config.e820.start", "config.e820.size", "config.e820.type"});
    for (const char* name : {"vcpus", "target", "static_max", "max_pages"}) {
      Take(name);
    }
    Items("ram", {"ram", "ram"});
  }

  void List() {
    const uint64_t size = Take("p2m.size");
    Take("p2m.last_pfn");
    Take("p2m.tree");
    for (uint64_t mids = 0; mids < size / AbiOf(spec_.arch).mid_span();) {
      mids += Take("p2m.mids.count");
      Take("p2m.mids.backing");
    }
    Items("p2m.pages",
          {"p2m.pages", "p2m.pages", "p2m.pages.role", "p2m.pages.index"});
    Items("p2m.reused", {"p2m.reused.first", "p2m.reused.count"});
    Items("p2m.identity",
          {"p2m.identity", "p2m.identity", "p2m.identity.number"});
    Items("p2m.extra", {"p2m.extra", "p2m.extra"});
  }

  void Guest() {
    Items("free", {"free", "free"});
    Take("remapped");
    Take("released");
    Items("extra_regions", {"extra_regions", "extra_regions"});
    Items("balloon.low", {"balloon.low", "balloon.low", "balloon.striped"});
    Items("balloon.high", {"balloon.high", "balloon.high"});
    for (const char* name : {"driver.target", "driver.gave_up_target",
                             "driver.state", "driver.delay", "driver.retry"}) {
      Take(name);
    }
    if (spec_.arch == Arch::kX86_32Pae) {
      Take("address_spaces.next_id");
      Take("address_spaces.entries_rewritten");
      std::vector<absl::string_view> each = {"address_spaces.id",
                                             "address_spaces.table_page",
                                             "address_spaces.table_number"};
      each.resize(
          3 + (spec_.pae_kernel.shared_kernel_pmd ? spec_.pae_kernel.user_pgds
                                                  : 4),
          "address_spaces.pmd");
      Items("address_spaces", each);
    }
    if (Take("load") == 1) {
      for (const char* name : {"load.pages_per_second", "load.pattern",
                               "load.seed", "load.writes"}) {
        Take(name);
      }
      Items("load.pages", {"load.pages", "load.pages"});
    }
    Items("sections", {"section.tag", "section.length", "section.epoch"});
  }

  const std::vector<uint64_t>& numbers_;
  const DomainSpec& spec_;
  std::vector<std::string> names_;
};

std::string Bytes(const std::vector<uint64_t>& numbers) {
  StateWriter out;
  for (const uint64_t number : numbers) out.Put(number);
  return out.bytes();
}

// Restores `guest` with changed notes and destroys it again.
absl::Status Awaken(const NotesGuest& guest, Host& host,
                    const std::vector<uint64_t>& numbers) {
  const auto incoming = SendGuest(guest, host);
  const std::string notes = Bytes(numbers);
  const auto awake = incoming->Awaken({.bytes = notes,
                                       .record_pages = guest.record_pages,
                                       .pages = guest.record.pages,
                                       .vcpus = guest.record.vcpus,
                                       .leaf_pages = guest.leaf_pages});
  EXPECT_THAT(host.Audit().findings, testing::IsEmpty());
  if (!awake.ok()) return awake.status();
  return host.DestroyDomain(*awake).status();
}

// Fields that may have any value of their type.
const std::set<std::string>& FreeFields() {
  static const auto* const kFields = new std::set<std::string>{
      "config.balloon_max_retry",
      "address_spaces.entries_rewritten",
      "load.seed",
  };
  return *kFields;
}

class NotesFieldsTest : public testing::TestWithParam<size_t> {
 protected:
  const NotesGuest& guest_ = NotesGuestsMade()[GetParam()];
  const std::unique_ptr<Host> host_ = MakeFuzzHost();
};

TEST_P(NotesFieldsTest, EveryFieldIsNamedAndValidNotesAreAccepted) {
  const FieldNames fields(guest_.numbers, guest_.spec);
  ASSERT_EQ(fields.names().size(), guest_.numbers.size());
  EXPECT_THAT(Awaken(guest_, *host_, guest_.numbers), IsOk());
}

TEST_P(NotesFieldsTest, LargestNumberInAnyFieldIsRefusedByItsName) {
  const FieldNames fields(guest_.numbers, guest_.spec);
  for (size_t i = 0; i < guest_.numbers.size(); ++i) {
    const std::string& name = fields.names()[i];
    if (FreeFields().contains(name) && name != "config.balloon_max_retry") {
      continue;
    }
    std::vector<uint64_t> numbers = guest_.numbers;
    numbers[i] = kAll;
    EXPECT_THAT(
        Awaken(guest_, *host_, numbers),
        IsError(absl::StatusCode::kInvalidArgument, Reason::kImageMalformed,
                testing::AllOf(HasSubstr("the kernel's notes, of "),
                               HasSubstr(": " + name + ", at byte "))))
        << "number " << i;
    EXPECT_EQ(host_->Info().owned, PageCount(kFuzzDom0Pages));
  }
}

// For each field, some value near the right one, or 0, is refused.
TEST_P(NotesFieldsTest, EveryFieldIsCheckedAgainstTheOthers) {
  // Counts and figures that cannot be checked against other fields.
  const std::set<std::string> alone = {
      "config.e820_host", "config.balloon_max_retry",
      "remapped",         "released",
      "static_max",       "address_spaces.entries_rewritten",
      "load.seed",        "load.writes",
      "load.pattern"};
  const FieldNames fields(guest_.numbers, guest_.spec);
  std::map<std::string, bool> refused;
  for (size_t i = 0; i < guest_.numbers.size(); ++i) {
    const std::string& name = fields.names()[i];
    for (const uint64_t value :
         {uint64_t{0}, guest_.numbers[i] + 1, guest_.numbers[i] - 1}) {
      if (refused[name]) break;
      std::vector<uint64_t> numbers = guest_.numbers;
      numbers[i] = value;
      refused[name] = !Awaken(guest_, *host_, numbers).ok();
    }
  }
  for (const auto& [name, was] : refused) {
    EXPECT_TRUE(was || alone.contains(name)) << name;
  }
}

TEST_P(NotesFieldsTest, NotesThatEndAfterAnyFieldAreRefused) {
  const FieldNames fields(guest_.numbers, guest_.spec);
  for (size_t i = 0; i < guest_.numbers.size(); ++i) {
    const std::vector<uint64_t> numbers(guest_.numbers.begin(),
                                        guest_.numbers.begin() + i);
    EXPECT_THAT(Awaken(guest_, *host_, numbers),
                IsError(absl::StatusCode::kInvalidArgument,
                        Reason::kImageMalformed, HasSubstr("at byte ")))
        << fields.names()[i];
  }
}

TEST_P(NotesFieldsTest, TheRestOfTheImageMustAgreeWithTheNotes) {
  const auto with = [&](auto change) {
    const auto incoming = SendGuest(guest_, *host_);
    GuestNotes notes = {.bytes = guest_.record.notes,
                        .record_pages = guest_.record_pages,
                        .pages = guest_.record.pages,
                        .vcpus = guest_.record.vcpus,
                        .leaf_pages = guest_.leaf_pages};
    change(notes);
    return incoming->Awaken(notes).status();
  };
  const auto malformed = [](absl::string_view what) {
    return IsError(absl::StatusCode::kInvalidArgument, Reason::kImageMalformed,
                   HasSubstr(std::string(what)));
  };
  EXPECT_THAT(with([](GuestNotes& notes) { *notes.pages += PageCount(1); }),
              malformed("nr_pages of start_info"));
  EXPECT_THAT(with([](GuestNotes& notes) { notes.vcpus = 3; }),
              malformed("vcpus, at byte"));
  std::vector<uint64_t> leaves = guest_.leaf_pages;
  ++leaves.at(1);
  EXPECT_THAT(with([&](GuestNotes& notes) { notes.leaf_pages = leaves; }),
              malformed("leaf 1 of the p2m list"));
  std::vector<Pfn> twice = guest_.record_pages;
  twice.push_back(twice.front());
  EXPECT_THAT(with([&](GuestNotes& notes) { notes.record_pages = twice; }),
              malformed("the notes name twice"));
  const std::vector<Pfn> used = {Pfn(0)};
  EXPECT_THAT(with([&](GuestNotes& notes) { notes.record_pages = used; }),
              malformed("do not call free"));
  EXPECT_EQ(host_->Info().owned, PageCount(kFuzzDom0Pages));
}

// Whether notes had a field of this name before version 3, when they ended with
// the guest's load, or without one.
bool IsOld(absl::string_view name) {
  return name != "load" && !absl::StartsWith(name, "section");
}

TEST_P(NotesFieldsTest, NotesOfVersion2MakeTheSameGuest) {
  const FieldNames fields(guest_.numbers, guest_.spec);
  std::vector<uint64_t> numbers = {2};
  for (size_t i = 1; i < guest_.numbers.size(); ++i) {
    if (IsOld(fields.names()[i])) numbers.push_back(guest_.numbers[i]);
  }
  const auto awaken = [&](Host& host, const std::vector<uint64_t>& noted) {
    const std::string notes = Bytes(noted);
    return SendGuest(guest_, host)
        ->Awaken({.bytes = notes, .record_pages = guest_.record_pages});
  };
  const auto newer_host = MakeFuzzHost();
  const auto newer = awaken(*newer_host, guest_.numbers);
  ASSERT_THAT(newer, IsOk());
  const auto older = awaken(*host_, numbers);
  ASSERT_THAT(older, IsOk());
  EXPECT_EQ(EpochOf(**older), 2u);
  EXPECT_EQ(DifferenceBetween(**newer, **older, {700}), std::nullopt);
  EXPECT_THAT(host_->Audit().findings, testing::IsEmpty());
  ASSERT_THAT(host_->DestroyDomain(*older), IsOk());
  numbers.push_back(1);
  EXPECT_THAT(awaken(*host_, numbers).status(),
              IsError(absl::StatusCode::kInvalidArgument,
                      Reason::kImageMalformed, HasSubstr(", at byte ")));
}

// Version 1 did not know batches either, and subtracted the room from the
// driver's figures.
TEST_P(NotesFieldsTest, NotesOfVersion1MakeTheSameGuest) {
  const FieldNames fields(guest_.numbers, guest_.spec);
  const uint64_t room = (guest_.spec.max_memory - guest_.spec.memory).value();
  const auto first = [&](uint64_t taken_off) {
    std::vector<uint64_t> numbers;
    for (size_t i = 0; i < guest_.numbers.size(); ++i) {
      const std::string& name = fields.names()[i];
      const uint64_t number = guest_.numbers[i];
      if (name == "version") {
        numbers.push_back(1);
      } else if (name == "driver.target") {
        numbers.insert(numbers.end(), {taken_off, number - taken_off});
      } else if (name == "balloon.striped" || name == "driver.gave_up_target") {
        EXPECT_EQ(number, 0u) << name;
      } else if (IsOld(name)) {
        numbers.push_back(number);
      }
    }
    return Bytes(numbers);
  };
  const auto awaken = [&](Host& host, const std::string& notes) {
    return SendGuest(guest_, host)
        ->Awaken({.bytes = notes, .record_pages = guest_.record_pages});
  };
  const auto second_host = MakeFuzzHost();
  const auto second = awaken(*second_host, Bytes(guest_.numbers));
  ASSERT_THAT(second, IsOk());
  for (const uint64_t taken_off : {uint64_t{0}, room}) {
    const auto host = MakeFuzzHost();
    const auto guest = awaken(*host, first(taken_off));
    ASSERT_THAT(guest, IsOk());
    EXPECT_EQ(DifferenceBetween(**second, **guest, {700}), std::nullopt);
    EXPECT_THAT(host->Audit().findings, testing::IsEmpty());
  }
  EXPECT_THAT(
      awaken(*host_, first(room - 1)).status(),
      IsError(absl::StatusCode::kInvalidArgument, Reason::kImageMalformed,
              HasSubstr(": driver.taken_off, at byte ")));
}

INSTANTIATE_TEST_SUITE_P(All, NotesFieldsTest, testing::Range<size_t>(0, 4));

}  // namespace
}  // namespace simvisor
