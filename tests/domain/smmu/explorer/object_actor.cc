#include "tests/domain/smmu/explorer/object_actor.h"

#include <utility>
#include <variant>

#include "tests/domain/smmu/mmu_text.h"

namespace simvisor {

ObjectActor::ObjectActor(World& world, std::vector<FaultRequest> faults)
    : world_(world), faults_(std::move(faults)) {
  world_.has_objects = true;
  MmuSpec spec;
  spec.name = "object";
  auto place = world_.quota.Take(world_.context());
  const auto id = world_.mmus.Insert(world_.context(), spec, *std::move(place),
                                     {nullptr, this}, /*epoch=*/1, world_.now);
  if (id.ok()) id_ = *id;
}

void ObjectActor::AddOptions(std::vector<int>& options) const {
  if (faults_made_ < faults_.size()) options.push_back(kFault);
  if (faults_unread_ > 0) options.push_back(kReadQueue);
}

void ObjectActor::Take(int option) {
  if (option == kReadQueue) return ReadQueue();
  (void)world_.mmus.Fault(id_, faults_[faults_made_++]);
  ++faults_unread_;
}

void ObjectActor::ReadQueue() {
  faults_unread_ = 0;
  bool over = false;
  for (const mmu::Message& message :
       world_.mmus.TakeMessages(id_, 1000000, &over)) {
    const auto* const installed = std::get_if<mmu::Installed>(&message.body);
    if (installed == nullptr) continue;
    table_[installed->pfn.value()] = installed->mfn.value();
  }
}

void ObjectActor::DropIn(PfnExtent pfns) {
  std::erase_if(table_, [&](const auto& mapping) {
    return pfns.Contains(Pfn(mapping.first));
  });
}

// --- Calls -------------------------------------------------------------------

void ObjectActor::Begin(const mmu::RangeBegin& range) {
  if (!open_.insert(static_cast<uint64_t>(range.range)).second) {
    world_.Violate("an object is called twice for the begin of a range");
  }
  ReadQueue();
  for (const PfnExtent pfns : range.pfns) DropIn(pfns);
}

void ObjectActor::Page(const mmu::PageInvalidate& page) {
  ReadQueue();
  DropIn({page.pfn, PageCount(1)});
}

void ObjectActor::End(RangeId range, uint64_t, bool) {
  if (open_.erase(static_cast<uint64_t>(range)) == 0) {
    world_.Violate("an object is called for the end of a range without begin");
  }
}

void ObjectActor::Release(const mmu::Release&) {
  ReadQueue();
  table_.clear();
  open_.clear();
}

// --- What must hold ----------------------------------------------------------

void ObjectActor::Check() const {
  for (const auto& [pfn, mfn] : table_) {
    const P2mWord word = world_.machine.Lookup(Pfn(pfn));
    if (!word.is_ram() || word.Number() != mfn) {
      world_.Violate("an object has mfn ", mfn, " at pfn ", pfn, ", which is ",
                     word.ToString());
    }
  }
}

void ObjectActor::CheckEnd() const {
  if (!open_.empty()) world_.Violate("an object is not called for an end");
}

void ObjectActor::AppendState(std::string& text) const {
  absl::StrAppend(&text, faults_made_, " ", faults_unread_);
  for (const auto& [pfn, mfn] : table_)
    absl::StrAppend(&text, " ", pfn, ":", mfn);
  for (const uint64_t range : open_) absl::StrAppend(&text, " o", range);
  bool over = false;
  for (const mmu::Message& message :
       world_.mmus.TakeMessages(id_, 1000000, &over)) {
    absl::StrAppend(&text, "\n", MessageText(message));
  }
}

std::string ObjectActor::Describe(int option) const {
  if (option == kReadQueue) return "the object reads its queue";
  return absl::StrCat("the object faults for the ", faults_made_ + 1, ". time");
}

}  // namespace simvisor
