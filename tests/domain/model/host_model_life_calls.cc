// HostModel: domains come, pause, change their names and go.

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/domain/model/host_model.h"

namespace simvisor {

void HostModel::Create() {
  const DomainSpec spec = PickSpec();
  const bool start_paused = Chance(30);
  const auto created = host_->CreateDomain(spec, start_paused, NeverStop);
  const uint64_t memory = spec.memory.value();
  const uint64_t most = spec.max_memory.value();
  GuestModel::Spec model;
  model.abi = &AbiOf(spec.arch);
  model.memory = memory;
  model.p2m = spec.p2m;
  model.pae_kernel = spec.pae_kernel;
  model.max_memory = most == 0 ? memory : most;
  if (memory == 0 || memory >> 32 != 0 || model.max_memory < memory) {
    EXPECT_THAT(created,
                Fails(Code::kInvalidArgument, Reason::kMemorySizeInvalid));
    return;
  }
  const bool taken = std::any_of(
      guests_.begin(), guests_.end(),
      [&](const auto& guest) { return guest.second.name == spec.name; });
  if (taken) {
    EXPECT_THAT(created, Fails(Code::kAlreadyExists, Reason::kNameInUse));
    return;
  }
  model.map = spec.e820.entries().empty()
                  ? E820Map::SingleRam(PageCount(model.max_memory))
                  : spec.e820;
  if (spec.e820_host) {
    model.map =
        *GuestE820FromHost(Machine(), spec.memory, PageCount(model.max_memory));
  }
  if (model.map.EndPage().value() < memory) {
    EXPECT_THAT(created, Fails(Code::kInvalidArgument, Reason::kE820Malformed));
    return;
  }
  const uint64_t boot_pages = GuestModel::BootPages(model);
  if (boot_pages > UsablePages(model)) {
    EXPECT_THAT(created,
                Fails(Code::kInvalidArgument, Reason::kMemorySizeInvalid));
    return;
  }
  if (memory > free_) {
    EXPECT_THAT(created,
                Fails(Code::kResourceExhausted, Reason::kHostMemoryExhausted));
    return;
  }
  ASSERT_THAT(created, IsOk());
  ++last_id_;  // a create that fails does not use up an id
  EXPECT_EQ((*created)->id().value(), last_id_);
  Adopt(*created, model, boot_pages, start_paused);
  guests_.at(last_id_).name = spec.name;
  guests_.at(last_id_).vcpus.resize(spec.vcpus);
}

void HostModel::Destroy() {
  if (guests_.size() < 9 && Chance(80)) return;
  if (!gone_.empty() && Chance(20)) {
    const DomainId id(gone_[Pick(gone_.size())]);
    if (dying_.contains(id.value())) {
      EXPECT_THAT(host_->DestroyDomain(id),
                  Fails(Code::kFailedPrecondition, Reason::kDomainDying));
    } else {
      EXPECT_THAT(host_->DestroyDomain(id),
                  Fails(Code::kNotFound, Reason::kDomainNotFound));
    }
    return;
  }
  Guest& guest = PickGuest();
  const uint16_t id = guest.domain->id().value();
  if (id == 0) {
    EXPECT_THAT(host_->DestroyDomain(DomainId(id)),
                Fails(Code::kFailedPrecondition, Reason::kDom0Protected));
    return;
  }
  DestroyGuest(id, Chance(50));
}

void HostModel::DestroyGuest(uint16_t id, bool by_name) {
  Guest& guest = guests_.at(id);
  const GuestModel& model = guest.model;
  const auto freed = by_name ? host_->DestroyDomain(guest.name)
                             : host_->DestroyDomain(DomainId(id));
  ASSERT_THAT(freed, IsOk());
  uint64_t others = 0;  // frames of dying owners that go with it
  for (const auto& [pfn, mfn] : model.foreign()) others += Unref(mfn) ? 1 : 0;
  // This model does not cover the contents of the kernel's pages.
  std::set<uint64_t> pages = model.structure();
  pages.insert(model.spaces().pages().begin(), model.spaces().pages().end());
  for (const uint64_t pfn : pages) {
    const uint64_t mfn = model.words().at(pfn);
    if (contents_.erase(mfn) > 0) freed_contents_.insert(mfn);
  }
  std::vector<uint64_t> frames(model.unmapped().begin(),
                               model.unmapped().end());
  for (const auto& [pfn, mfn] : model.words()) {
    if (mfn != GuestModel::kMissing) frames.push_back(mfn);
  }
  const uint64_t held = Release(frames);
  EXPECT_EQ(freed->value(), model.current() - held + others);
  if (HeldBy(id) > 0) dying_.insert(id);
  EXPECT_THAT(guest.domain->Pause({"pause"}),
              Fails(Code::kFailedPrecondition, Reason::kDomainDying));
  EXPECT_THAT(host_->Find(guest.name),
              Fails(Code::kNotFound, Reason::kDomainNotFound));
  gone_.push_back(id);
  guests_.erase(id);
}

void HostModel::Rename() {
  Guest& guest = PickGuest();
  const uint16_t id = guest.domain->id().value();
  const std::string name = absl::StrCat("guest-", Pick(12));
  const auto renamed = host_->RenameDomain(DomainId(id), name);
  if (id == 0) {
    EXPECT_THAT(renamed,
                Fails(Code::kFailedPrecondition, Reason::kDom0Protected));
    return;
  }
  for (const auto& [other, entry] : guests_) {
    if (entry.name != name || other == id) continue;
    EXPECT_THAT(renamed, Fails(Code::kAlreadyExists, Reason::kNameInUse));
    return;
  }
  EXPECT_THAT(renamed, IsOk());
  guest.name = name;
}

void HostModel::PauseOrUnpause() {
  Guest& guest = PickGuest();
  if (Chance(35)) {
    const auto state = guest.domain->Pause({"pause"});
    ASSERT_THAT(state, IsOk());
    if (guest.state == DomainState::kRunning) {
      guest.state = DomainState::kPaused;
    }
    EXPECT_EQ(*state, guest.state);
    return;
  }
  const bool wakes = guest.overdue || (guest.unread && Wakes(guest));
  const auto state = guest.domain->Unpause({"unpause"});
  ASSERT_THAT(state, IsOk());
  if (guest.state == DomainState::kBuilt || wakes) {
    if (guest.state != DomainState::kRunning) RunGuest(guest);
  } else if (guest.state == DomainState::kPaused) {
    guest.state = DomainState::kRunning;
    ReadTarget(guest);
  }
  EXPECT_EQ(*state, DomainState::kRunning);
}

}  // namespace simvisor
