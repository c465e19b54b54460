// The notes that kernels put into a save image, for guests that cover
// everything that can be noted (docs/images.md).
//
// notes.txt has the bytes in hexadecimal, and the length and a hash of the
// whole image.  A guest restored from the image makes the same notes again,
// except that its mappings are of the next epoch.  notes_version_2.txt has the
// notes of an earlier version, which make the same guests; it does not change.
// live_images.txt has length and hash of what live migrations send.

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/domain/goldens/golden_calls.h"
#include "tests/domain/goldens/golden_guests.h"
#include "tests/domain/goldens/golden_text.h"
#include "tests/domain/vm/domain_copy.h"
#include "tests/support/golden_file.h"

namespace simvisor {
namespace {

GoldenGuest Fresh() {
  return {"x86_64, tree, faithful room: as it booted",
          GuestSpec(k64, kTree, kFaithful, 3000, 4000), [](GuestScene&) {}};
}

GoldenGuest BothWays() {
  return {"x86_64, linear, compact room: ballooned both ways",
          GuestSpec(k64, kLinear, kCompact, 3000, 6000), [](GuestScene& s) {
            lives::Limit(s, 6000);
            lives::Down(s, 700);
            lives::Up(s, 1900);
            lives::Down(s, 3);
            lives::Write(s, 1000);
          }};
}

GoldenGuest Processes() {
  return {"x86_32_pae, tree, faithful room: processes come and go",
          GuestSpec(kPae, kTree, kFaithful, 3000, 4000), [](GuestScene& s) {
            lives::Spaces(s, 5);
            lives::EndSpaces(s, {2, 4});
            lives::Spaces(s, 1);
          }};
}

GoldenGuest SharedTables() {
  DomainSpec spec = GuestSpec(kPae, kLinear, kCompact, 2600, 9000);
  spec.pae_kernel = {.shared_kernel_pmd = true, .user_pgds = 2};
  return {"x86_32_pae, linear, compact room: shared tables, a larger guest",
          spec, [](GuestScene& s) {
            lives::Spaces(s, 130);
            lives::Limit(s, 9000);
            lives::Up(s, 2000);
            lives::EndSpaces(s, {7});
          }};
}

GoldenGuest Load() {
  return {"x86_64, tree, compact room: a load that writes anywhere",
          GuestSpec(k64, kTree, kCompact, 3000, 4000), [](GuestScene& s) {
            lives::Down(s, 40);
            lives::Load(s, LoadPattern::kRandom, 300, 1000);
          }};
}

GoldenGuest HotLoad() {
  return {"x86_32_pae, linear, faithful room: a hot spot and processes",
          GuestSpec(kPae, kLinear, kFaithful, 3000, 4000), [](GuestScene& s) {
            lives::Spaces(s, 2);
            lives::Load(s, LoadPattern::kHotspot, 77, 500);
            lives::Down(s, 1025);
          }};
}

GoldenGuest ForeignRoom() {
  return {"x86_64, linear, faithful room: room was lent out and came back",
          GuestSpec(k64, kLinear, kFaithful, 3000, 4000), [](GuestScene& s) {
            lives::Limit(s, 4000);
            lives::Down(s, 10);
            lives::UseForeign(s, {3500, 3100, 3999, 3000});
            lives::Up(s, 7);
          }};
}

GoldenGuest IdentityRanges() {
  return {"x86_64, tree, faithful room: identity ranges and moved frames",
          GuestSpec(k64, kTree, kFaithful, 3000, 4000), [](GuestScene& s) {
            lives::Identity(s, 1024, 1536);
            lives::Identity(s, 2001, 2007);
            lives::Identity(s, 3000, 3600);
            lives::Set(s, {Pfn(700), PageCount(3)}, P2mClass::kMissing);
            lives::Set(s, {Pfn(100000), PageCount(2)}, P2mClass::kMissing);
            lives::MoveFrame(s, 2500, 3700);
          }};
}

GoldenGuest OddSizes() {
  DomainSpec spec = GuestSpec(k64, kTree, kCompact, 2777, 300001);
  spec.hotplug_limit_gib = 3;
  spec.vcpus = 5;
  return {"x86_64, tree, compact room: odd sizes and a hotplug limit", spec,
          [](GuestScene& s) {
            lives::Limit(s, 300001);
            lives::Up(s, 1111);
          }};
}

GoldenGuest HostMap() {
  DomainSpec spec = GuestSpec(kPae, kTree, kCompact, 4096, 5000);
  spec.e820 =
      MakeMap({Ram(0, 0x9f800), Reserved(0x9f800, 0x100000),
               Ram(0x100000, 9 * kMiB + 0x123),
               Reserved(10 * kMiB, 11 * kMiB + 1), Ram(12 * kMiB, 24 * kMiB)});
  spec.balloon_max_retry = 0;
  return {"x86_32_pae, tree, compact room: holes in its map", spec,
          [](GuestScene& s) {
            lives::Down(s, 64);
            lives::Spaces(s, 1);
          }};
}

GoldenGuest ToTryAgain() {
  return {"x86_64, tree, faithful room: its driver is to try again",
          GuestSpec(k64, kTree, kFaithful, 3000, 9000), [](GuestScene& s) {
            lives::Limit(s, 9000);
            lives::Target(s, 8000);
            lives::WakeUntil(s, BalloonState::kAgain);
          }};
}

GoldenGuest TooSmallATarget() {
  return {"x86_32_pae, linear, compact room: a target below what it kept",
          GuestSpec(kPae, kLinear, kCompact, 3000, 4000), [](GuestScene& s) {
            lives::Load(s, LoadPattern::kSequential, 1000, 10);
            lives::Target(s, 900);
            lives::WakeUntil(s, BalloonState::kAgain);
            lives::EndLoad(s);
          }};
}

GoldenGuest GaveUp() {
  DomainSpec spec = GuestSpec(k64, kLinear, kFaithful, 3000, 9000);
  spec.balloon_max_retry = 2;
  return {"x86_64, linear, faithful room: its driver gave up", spec,
          [](GuestScene& s) {
            lives::Limit(s, 9000);
            lives::Target(s, 8000);
            lives::WakeUntil(s, BalloonState::kCancelled);
          }};
}

GoldenGuest GaveUpTarget() {
  return {"x86_32_pae, tree, faithful room: its balloon ran empty",
          GuestSpec(kPae, kTree, kFaithful, 3000, 4000), [](GuestScene& s) {
            lives::Limit(s, 5000);
            lives::Target(s, 4700);
            lives::WakeUntil(s, BalloonState::kCancelled);
          }};
}

std::vector<GoldenGuest> Guests() {
  return {Fresh(),    BothWays(),    Processes(),   SharedTables(),
          Load(),     HotLoad(),     ForeignRoom(), IdentityRanges(),
          OddSizes(), HostMap(),     ToTryAgain(),  TooSmallATarget(),
          GaveUp(),   GaveUpTarget()};
}

// FNV-1a.
uint64_t HashOf(absl::string_view bytes) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : bytes) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  }
  return hash;
}

std::string InHex(const std::string& bytes) {
  constexpr size_t kBytesPerLine = 32;
  std::string text;
  for (size_t at = 0; at < bytes.size(); at += kBytesPerLine) {
    absl::StrAppend(&text, "  ",
                    absl::BytesToHexString(bytes.substr(at, kBytesPerLine)),
                    "\n");
  }
  return text;
}

absl::Status StopNow() {
  return MakeError(absl::StatusCode::kCancelled, Reason::kCancelled, "stopped");
}

std::unique_ptr<Host> MakeElsewhere(const DomainSpec& spec) {
  return MakeHost(kDom0Pages + spec.memory.value() + 8000, Placement::kScatter);
}

// The notes of a guest that has just arrived, before its driver has worked.
std::string NotesOnceMore(const Host& host, Domain& guest) {
  const uint64_t suspension = calls::Info(guest).suspension;
  EXPECT_THAT(calls::Resume(guest, suspension, /*paused=*/false, StopNow),
              IsOk());
  EXPECT_THAT(calls::Audit(host).findings, testing::IsEmpty());
  auto record = calls::Suspend(guest, SuspendFor::kSave);
  EXPECT_THAT(record, IsOk());
  return record.ok() ? record->notes : "";
}

// The guest's notes after a restore elsewhere.
std::string NotesElsewhere(const DomainSpec& spec, const std::string& image) {
  const auto host = MakeElsewhere(spec);
  const auto restored =
      calls::RestoreImage(*host, image, {"guest", Arrival::kSuspended});
  EXPECT_THAT(restored, IsOk());
  return restored.ok() ? NotesOnceMore(*host, **restored) : "";
}

// Notes that differ from `notes`, of a guest that was created, only in the
// epoch, which is their last number.
std::string InNextEpoch(std::string notes) {
  EXPECT_EQ(notes.back(), 1);
  notes.back() = 2;
  return notes;
}

// Saves the guest, and compares its notes with those after a restore.
std::string TextOf(const GoldenGuest& golden) {
  GuestScene scene = MakeGuestScene(golden.spec);
  golden.live(scene);
  EXPECT_THAT(calls::Audit(*scene.host).findings, testing::IsEmpty());
  auto record = calls::Suspend(*scene.guest, SuspendFor::kSave);
  EXPECT_THAT(record, IsOk());
  if (!record.ok()) return "";
  const std::string notes = record->notes;
  const DomainMemory memory = calls::Info(*scene.guest).memory;
  const auto image = calls::SaveImage(scene.guest, *std::move(record));
  EXPECT_THAT(image, IsOk());
  EXPECT_EQ(InHex(NotesElsewhere(golden.spec, *image)),
            InHex(InNextEpoch(notes)));
  return absl::StrFormat(
      "%s\n  current %d, target %d, balloon %d, driver %s; image of %d bytes, "
      "hash %016x\n%s",
      golden.name, memory.current.value(), memory.target.value(),
      memory.balloon.value(), TextOf(memory.balloon_state), image->size(),
      HashOf(*image), InHex(notes));
}

TEST(NotesGoldenTest, KernelsNoteTheBytesOfTheGoldenFileHereAndElsewhere) {
  std::string text;
  for (const GoldenGuest& guest : Guests()) {
    SCOPED_TRACE(guest.name);
    absl::StrAppend(&text, TextOf(guest));
  }
  ExpectGolden("notes.txt", text);
}

// The notes of each guest in a golden file, by name.
std::map<std::string, std::string> NotesIn(const std::string& file) {
  std::map<std::string, std::string> notes;
  std::string name;
  const std::string text =
      ReadFile("tests/testdata/goldens/" + file).value_or("");
  for (const absl::string_view line :
       absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    if (!absl::StartsWith(line, "  ")) {
      name = std::string(line);
    } else if (!absl::StartsWith(line, "  current")) {
      absl::StrAppend(&notes[name], absl::HexStringToBytes(line.substr(2)));
    }
  }
  return notes;
}

// Suspends the guest, and awakes it elsewhere from its pages and `notes`, which
// an earlier version made of it.
void ExpectSameGuestOf(const GoldenGuest& golden, const std::string& notes) {
  GuestScene scene = MakeGuestScene(golden.spec);
  golden.live(scene);
  const auto record = calls::Suspend(*scene.guest, SuspendFor::kSave);
  ASSERT_THAT(record, IsOk());
  ASSERT_NE(notes, record->notes);
  const auto host = MakeElsewhere(golden.spec);
  const auto incoming = SendPages(*scene.guest, *host, golden.spec, *record);
  ASSERT_NE(incoming, nullptr);
  const auto awake =
      incoming->Awaken({.bytes = notes, .record_pages = RecordPages(*record)},
                       LimitsFrom::kNotes, Arrival::kSuspended);
  ASSERT_THAT(awake, IsOk());
  EXPECT_EQ(InHex(NotesOnceMore(*host, **awake)),
            InHex(InNextEpoch(record->notes)));
}

TEST(NotesGoldenTest, NotesOfVersion2MakeTheSameGuests) {
  const auto notes = NotesIn("notes_version_2.txt");
  EXPECT_EQ(notes.size(), Guests().size());
  for (const GoldenGuest& guest : Guests()) {
    SCOPED_TRACE(guest.name);
    ExpectSameGuestOf(guest, notes.at(guest.name));
  }
}

// What a guest does between two passes of a live migration.
void LiveOn(GuestScene& s) {
  lives::Write(s, 900);
  lives::Write(s, 1200);
  lives::Down(s, 70);
  lives::Up(s, 30);
  lives::Load(s, LoadPattern::kRandom, 64, 100);
  lives::EndLoad(s);
  lives::Set(s, {Pfn(1700), PageCount(5)}, P2mClass::kIdentity);
  if (s.guest->abi().arch == kPae) {
    lives::Spaces(s, 3);
    lives::EndSpaces(s, {1});
  }
}

// Sends a running guest, and compares its copy's notes with its own.
std::string LiveTextOf(Arch arch, ToolsView view, BalloonRoom room) {
  const DomainSpec spec = GuestSpec(arch, view, room, 3000, 4000);
  GuestScene scene = MakeGuestScene(spec);
  lives::Write(scene, 900);
  lives::Write(scene, 1000);
  const auto live = calls::StartLogDirty(*scene.guest);
  EXPECT_THAT(live, IsOk());
  std::vector<std::pair<size_t, PageCount>> passes;
  const auto image = calls::SaveLive(
      scene.guest, *live, [&] { LiveOn(scene); }, passes);
  EXPECT_THAT(image, IsOk());
  if (!image.ok()) return "";
  std::string text = absl::StrFormat(
      "%s, %s, %s room\n", arch == k64 ? "x86_64" : "x86_32_pae",
      view == kTree ? "tree" : "linear",
      room == kFaithful ? "faithful" : "compact");
  for (const auto& [bytes, pages] : passes) {
    absl::StrAppend(
        &text,
        absl::StrFormat("  %d bytes, %d pages with data, hash %016x\n", bytes,
                        pages.value(),
                        HashOf(absl::string_view(*image).substr(0, bytes))));
  }
  EXPECT_THAT(calls::Resume(*scene.guest, calls::Info(*scene.guest).suspension,
                            /*paused=*/false),
              IsOk());
  const auto again = calls::Suspend(*scene.guest, SuspendFor::kMigration);
  EXPECT_THAT(again, IsOk());
  EXPECT_EQ(InHex(NotesElsewhere(spec, *image)),
            InHex(InNextEpoch(again->notes)));
  return text;
}

TEST(NotesGoldenTest, LiveMigrationsSendTheBytesOfTheGoldenFile) {
  std::string text;
  for (const Arch arch : {k64, kPae}) {
    for (const ToolsView view : {kTree, kLinear}) {
      for (const BalloonRoom room : {kFaithful, kCompact}) {
        absl::StrAppend(&text, LiveTextOf(arch, view, room));
      }
    }
  }
  ExpectGolden("live_images.txt", text);
}

}  // namespace
}  // namespace simvisor
