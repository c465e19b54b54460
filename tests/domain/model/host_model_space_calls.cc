// HostModel: the calls about processes of PAE guests.

#include <cstdint>
#include <iterator>
#include <vector>

#include "tests/domain/model/host_model.h"

namespace simvisor {

template <typename Result>
bool HostModel::FailsForItsKind(const Guest& guest, const Result& result) {
  if (&guest.model.abi() != &kAbiX86_32Pae) {
    EXPECT_THAT(result, Fails(Code::kFailedPrecondition, Reason::kArchNotPae));
    return true;
  }
  if (!guest.model.booted()) {
    EXPECT_THAT(result,
                Fails(Code::kFailedPrecondition, Reason::kDomainNotBooted));
    return true;
  }
  return false;
}

void HostModel::CreateSpaces() {
  Guest& guest = PickGuest();
  GuestModel& model = guest.model;
  const auto count = static_cast<uint32_t>(Pick(Chance(70) ? 20 : 500));
  const auto made =
      guest.domain->processes().Create({"create address spaces"}, count);
  if (FailsForItsKind(guest, made)) return;
  if (count == 0) {
    EXPECT_THAT(made, Fails(Code::kInvalidArgument, Reason::kRangeInvalid));
    return;
  }
  if (model.spaces().PagesFor(count) > model.free().size()) {
    EXPECT_THAT(made,
                Fails(Code::kResourceExhausted, Reason::kGuestMemoryExhausted));
    return;
  }
  ASSERT_THAT(made, IsOk());
  EXPECT_EQ(made->first_id, model.spaces().next_id());
  // The kernel zeroes its pages, and they hold zeros afterwards.
  for (const uint64_t pfn : model.CreateSpaces(count)) {
    const uint64_t mfn = model.words().at(pfn);
    if (contents_.erase(mfn) > 0) freed_contents_.insert(mfn);
  }
}

void HostModel::DestroySpaces() {
  Guest& guest = PickGuest();
  GuestModel& model = guest.model;
  std::vector<uint64_t> ids;
  const uint64_t percent = Chance(30) ? 100 : Pick(100);
  for (const auto& [id, space] : model.spaces().spaces()) {
    if (Chance(percent)) ids.push_back(id);
  }
  const bool unknown = Chance(10);
  if (unknown) ids.push_back(model.spaces().next_id() + Pick(3));
  const auto ended =
      guest.domain->processes().Destroy({"destroy address spaces"}, ids);
  if (FailsForItsKind(guest, ended)) return;
  if (unknown) {
    EXPECT_THAT(ended, Fails(Code::kNotFound, Reason::kAddressSpaceNotFound));
    return;
  }
  ASSERT_THAT(ended, IsOk());
  for (const uint64_t id : ids) model.DestroySpace(id);
  EXPECT_EQ(ended->spaces, model.spaces().spaces().size());
}

void HostModel::TranslateInSpace() {
  const Guest& guest = PickGuest();
  const auto& spaces = guest.model.spaces().spaces();
  const uint64_t id = spaces.empty() || Chance(5)
                          ? guest.model.spaces().next_id()
                          : std::prev(spaces.end())->first;
  std::vector<uint64_t> pfns;
  for (int i = 0; i < 50; ++i) {
    pfns.push_back(Pick(guest.model.size()));
    pfns.push_back(Pick(guest.model.memory()));
  }
  std::vector<P2mWord> words;
  const absl::Status status =
      guest.domain->processes().TranslateIn(id, pfns, words);
  if (FailsForItsKind(guest, status)) return;
  if (!spaces.contains(id)) {
    EXPECT_THAT(status, Fails(Code::kNotFound, Reason::kAddressSpaceNotFound));
    return;
  }
  ASSERT_THAT(status, IsOk());
  for (size_t i = 0; i < pfns.size(); ++i) {
    EXPECT_EQ(words.at(i).ToString(), guest.model.Word(pfns[i]).ToString())
        << "pfn " << pfns[i];
  }
}

void HostModel::CheckSpaces(const Guest& guest) {
  const SpaceModel& model = guest.model.spaces();
  EXPECT_EQ(guest.domain->Info().memory.address_space_pages.value(),
            model.pages().size());
  if (&guest.model.abi() != &kAbiX86_32Pae || !guest.model.booted()) return;
  std::vector<AddressSpaceInfo> listed;
  ASSERT_THAT(guest.domain->processes().List(0, 1 << 20, listed), IsOk());
  ASSERT_EQ(listed.size(), model.spaces().size());
  auto at = model.spaces().begin();
  for (const AddressSpaceInfo& space : listed) {
    const auto& [id, expected] = *at++;
    EXPECT_EQ(space.id, id);
    EXPECT_EQ(space.pgd.value(), guest.model.words().at(expected.table));
    EXPECT_EQ(space.pgd_offset, 32 * expected.place);
    for (size_t i = 0; i < space.pmds.size(); ++i) {
      EXPECT_EQ(space.pmds[i],
                i < expected.pmds.size()
                    ? Mfn(guest.model.words().at(expected.pmds[i]))
                    : Mfn::None());
    }
  }
}

}  // namespace simvisor
