// A thread that owns guests: it creates, saves, restores, moves and ends them,
// and knows their contents, whatever other threads do with them meanwhile.
//
// Thread safety: belongs to one thread.

#ifndef SIMVISOR_TESTS_DOMAIN_MODEL_HOST_MIX_OWNER_H_
#define SIMVISOR_TESTS_DOMAIN_MODEL_HOST_MIX_OWNER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/domain/model/host_mix.h"
#include "tests/support/precopy_testing.h"

namespace simvisor {

// Kernels and loads are below these pages.  Only owners write to these pages,
// and they are never given up; others may write to higher ones.
inline constexpr uint64_t kOwnPages = 1000;
inline constexpr uint64_t kOwnEnd = 1040;
inline constexpr uint64_t kAnybodysEnd = 1700;
// Guests are not made smaller than this, so the pages below stay.
inline constexpr uint64_t kLeastPages = 1800;
// From here on words are set.
inline constexpr uint64_t kSetPages = 2000;

class MixOwner : private Actor {
 public:
  MixOwner(Mix& mix, int number, uint64_t seed)
      : Actor(mix, seed), name_(absl::StrCat("own-", number, "-")) {}

  void Step() {
    if (guests_.empty() || (guests_.size() < 3 && Chance(10))) return Create();
    using Call = void (MixOwner::*)(Guest&);
    static constexpr Call kCalls[] = {
        &MixOwner::Write,   &MixOwner::Write,     &MixOwner::Check,
        &MixOwner::Down,    &MixOwner::Down,      &MixOwner::SetTarget,
        &MixOwner::Set,     &MixOwner::Identity,  &MixOwner::MovePage,
        &MixOwner::Map,     &MixOwner::Unmap,     &MixOwner::Unmap,
        &MixOwner::Load,    &MixOwner::CheckLoad, &MixOwner::Save,
        &MixOwner::Migrate, &MixOwner::Migrate,   &MixOwner::Destroy,
    };
    const size_t index = Pick(guests_.size());
    (this->*kCalls[Pick(std::size(kCalls))])(guests_[index]);
    if (guests_[index].domain == nullptr) {
      guests_.erase(guests_.begin() + static_cast<ptrdiff_t>(index));
    }
  }

  void CheckAll() {
    for (Guest& guest : guests_) Check(guest);
  }

 private:
  struct Guest {
    int host = 0;
    DomainSpec spec;
    std::shared_ptr<Domain> domain;  // null once it has ended
    std::map<uint64_t, std::string> content;
  };

  void Create() {
    Guest guest;
    guest.host = static_cast<int>(Pick(2));
    DomainSpec& spec = guest.spec;
    const uint64_t memory = 2200 + Pick(1500);
    spec = MakeSpec(absl::StrCat(name_, ++created_), memory,
                    memory + Pick(2) * 1200);
    spec.arch = Chance(50) ? Arch::kX86_32Pae : Arch::kX86_64;
    if (Chance(50)) spec.p2m.tools_view = ToolsView::kLinear;
    if (Chance(50)) spec.p2m.balloon_room = BalloonRoom::kCompact;
    auto created = mix().host(guest.host).CreateDomain(spec, false, NeverStop);
    if (!Note("create", created)) return;
    guest.domain = *std::move(created);
    guests_.push_back(std::move(guest));
  }

  void Write(Guest& guest) {
    const uint64_t pfn = kOwnPages + Pick(kOwnEnd - kOwnPages);
    const std::string text = absl::StrCat(guest.spec.name, " ", Pick(1 << 20));
    if (Note("write",
             guest.domain->contents().Write({"write"}, Pfn(pfn), 0, text))) {
      // A longer text may have been there.
      std::string& held = guest.content[pfn];
      held.replace(0, text.size(), text);
    }
  }

  void Check(Guest& guest) {
    std::string page(kPageSize, '\0');
    for (uint64_t pfn = kOwnPages; pfn < kOwnEnd; ++pfn) {
      ASSERT_THAT(
          guest.domain->contents().Read(Pfn(pfn), 0, absl::MakeSpan(page)),
          IsOk());
      std::string wanted = guest.content[pfn];
      wanted.resize(kPageSize);
      EXPECT_EQ(page, wanted) << guest.spec.name << " pfn " << pfn;
    }
  }

  void Down(Guest& guest) {
    const uint64_t pages = guest.domain->Info().memory.current.value();
    if (pages <= kLeastPages) return;
    // Only its owner makes a guest smaller, so this leaves enough.
    Note("set target down",
         guest.domain->balloon().SetTarget(
             {"set memory target"},
             PageCount(kLeastPages + Pick(pages - kLeastPages))));
  }

  void SetTarget(Guest& guest) {
    const uint64_t most = guest.domain->Info().memory.static_max.value();
    Note("set target", guest.domain->balloon().SetTarget(
                           {"set memory target"},
                           PageCount(kLeastPages + Pick(most - kLeastPages))));
  }

  PfnExtent PickRange() {
    return {Pfn(kSetPages + Pick(1500)), PageCount(1 + Pick(20))};
  }

  // Whether the guest may lose some pages to a change of words.
  bool CanLose(const Guest& guest) {
    return guest.domain->Info().memory.current.value() > kLeastPages + 20;
  }

  void Set(Guest& guest) {
    if (!CanLose(guest)) return;
    Note("set p2m", guest.domain->p2m().SetRange({"set p2m"}, PickRange(),
                                                 P2mClass::kMissing, Mfn(),
                                                 RamPolicy::kRelease));
  }

  void Identity(Guest& guest) {
    if (!CanLose(guest)) return;
    const PfnExtent range = PickRange();
    Note("mark identity",
         guest.domain->p2m().MarkIdentity({"mark identity"}, range.first,
                                          range.end(), true));
  }

  // Takes a frame out of its word, and puts it back.
  void MovePage(Guest& guest) {
    const Pfn pfn = PickRange().first;
    std::vector<P2mWord> words;
    ASSERT_THAT(guest.domain->p2m().Translate({pfn.value()}, words), IsOk());
    if (!words[0].is_ram()) return;
    const Mfn frame(words[0].Number());
    const PfnExtent range = {pfn, PageCount(1)};
    if (!Note("keep", guest.domain->p2m().SetRange({"set p2m"}, range,
                                                   P2mClass::kMissing, Mfn(),
                                                   RamPolicy::kKeep))) {
      return;
    }
    Note("set ram",
         guest.domain->p2m().SetRange({"set p2m"}, range, P2mClass::kRam, frame,
                                      RamPolicy::kRefuse));
  }

  void Map(Guest& guest) {
    const auto owner = AnyDomain(guest.host);
    if (owner == nullptr) return;
    std::vector<ForeignSlot> slots;
    for (int i = 0; i < 20; ++i) {
      slots.push_back({Pfn(kSetPages + Pick(2500)), AnyFrame(*owner)});
    }
    ForeignReport report;
    Note("map", guest.domain->p2m().MapForeign({"map foreign"}, slots, report));
    for (const SlotError& error : report.errors) Note("slot", error.status);
  }

  void Unmap(Guest& guest) {
    std::vector<uint64_t> pfns;
    for (const P2mRun& run :
         RunsByClass(*guest.domain, Pfn(0),
                     Pfn(guest.domain->p2m().Summary()->summary.p2m_size))) {
      if (run.word.Class() != P2mClass::kForeign) continue;
      for (Pfn at = run.pfns.first; at < run.pfns.end(); at += PageCount(1)) {
        pfns.push_back(at.value());
      }
    }
    if (pfns.empty()) return;
    ForeignReport report;
    Note("unmap", mix()
                      .host(guest.host)
                      .UnmapForeign({"unmap foreign"}, guest.domain->id(), pfns,
                                    report));
    EXPECT_EQ(report.done, pfns.size());
  }

  void Load(Guest& guest) {
    if (Chance(40)) {
      Note("stop load", guest.domain->load().Stop({"stop its load"}));
      return;
    }
    LoadSpec spec;
    spec.working_set = PageCount(1 + Pick(100));
    spec.seed = Pick(1000);
    Note("start load", guest.domain->load().Start({"start a load"}, spec));
  }

  void CheckLoad(Guest& guest) {
    const auto check = guest.domain->load().Check({"check its load"});
    if (Note("check load", check)) {
      EXPECT_EQ(check->mismatches, PageCount(0)) << guest.spec.name;
    }
  }

  // Saves to an image in memory and restores on either host, or lets it go on.
  void Save(Guest& guest) {
    auto record = guest.domain->migration().Suspend({"save"});
    if (!Note("suspend", record)) return;
    const uint64_t suspension = record->suspension;
    ImageSaver saver(guest.domain, *std::move(record), ImageLayer::kLibxc, "");
    std::string image;
    while (!saver.done()) ASSERT_THAT(saver.Next(image), IsOk());
    if (Chance(30)) {
      EXPECT_TRUE(Note("resume", guest.domain->migration().Resume(
                                     {"resume"}, suspension, false)));
      return Check(guest);
    }
    EXPECT_TRUE(Note("destroy saved",
                     mix().host(guest.host).DestroyDomain(guest.domain)));
    guest.domain = nullptr;
    guest.host = static_cast<int>(Pick(2));
    auto restored = RestoreAll(mix().host(guest.host), image, guest.spec);
    if (!Note("restore", restored)) return;  // no room: it is lost
    guest.domain = *std::move(restored);
    Note("unpause", guest.domain->Unpause({"unpause"}));
    Check(guest);
  }

  void Migrate(Guest& guest) {
    const int there = 1 - guest.host;
    auto moved = MoveGuest(guest.domain, mix().host(there), guest.spec, [&] {
      if (Chance(50)) Write(guest);
    });
    if (!Note("migrate", moved)) {
      // It may be suspended by then, and only this thread ends the suspension.
      EXPECT_THAT(ResumeGuest(*guest.domain), IsOk());
      return Check(guest);
    }
    ASSERT_THAT(guest.domain->migration().BeginHandover({"handover"}), IsOk());
    EXPECT_THAT(ResumeGuest(*moved->twin), IsOk());
    guest.domain->migration().EndHandover();
    EXPECT_THAT(mix().host(guest.host).DestroyDomain(guest.domain), IsOk());
    guest.domain = moved->twin;
    guest.host = there;
    Check(guest);
  }

  void Destroy(Guest& guest) {
    Check(guest);
    EXPECT_TRUE(
        Note("destroy", mix().host(guest.host).DestroyDomain(guest.domain)));
    guest.domain = nullptr;
  }

  const std::string name_;
  int created_ = 0;
  std::vector<Guest> guests_;
};

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_DOMAIN_MODEL_HOST_MIX_OWNER_H_
