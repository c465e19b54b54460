#include "tests/domain/smmu/explorer/client_actor.h"

#include <utility>
#include <variant>

#include "domain/smmu/seeded_mistakes.h"
#include "tests/domain/smmu/mmu_text.h"

namespace simvisor {

using MoveKind = ClientPlan::Move::Kind;

ClientActor::ClientActor(World& world, ClientPlan plan)
    : world_(world),
      plan_(std::move(plan)),
      breaks_left_(plan_.breaks ? 1 : 0),
      resumes_left_(plan_.resumes),
      renewals_left_(plan_.renewals) {
  if (plan_.registered) Register();
}

void ClientActor::Register() {
  if (world_.mmus.Totals().open_ranges > 0) {
    world_.Violate("a registration is told that no range is open, and one is");
  }
  auto place = world_.quota.Take(world_.context());
  const auto id =
      world_.mmus.Insert(world_.context(), plan_.spec, *std::move(place), {},
                         /*epoch=*/1, world_.now);
  if (!id.ok()) {
    world_.Violate("a registration fails: ", id.status().ToString());
    return;
  }
  id_ = *id;
  attached_ = true;
  registered_at_ = world_.now;
  Settle();
  // A client that is stuck later has handled this.
  Handle(/*refuse=*/false);
}

bool ClientActor::Usable() const {
  return !left_ && !gone_ && world_.now < usable_until_;
}

bool ClientActor::MayMove() const {
  if (moves_done_ == plan_.moves.size()) return false;
  const ClientPlan::Move& move = plan_.moves[moves_done_];
  return move.kind != MoveKind::kCommit || resolved_.contains(move.fault.req);
}

void ClientActor::AddOptions(std::vector<int>& options) const {
  if (id_ == SubscriptionId{}) return;
  if (!attached_) {
    if (resumes_left_ > 0 && !gone_) options.push_back(kResume);
    return;
  }
  if (next_.has_value() && !plan_.stuck) {
    options.push_back(kHandle);
    const auto* const begin = std::get_if<mmu::RangeBegin>(&next_->body);
    if (plan_.may_refuse && begin != nullptr && !begin->blockable) {
      options.push_back(kRefuse);
    }
  }
  if (!answers_.empty()) options.push_back(kAnswer);
  if (gone_ || left_) return;
  if (MayMove()) options.push_back(kMove);
  if (renewals_left_ > 0) options.push_back(kRenew);
  if (breaks_left_ > 0) options.push_back(kBreak);
}

void ClientActor::Take(int option) {
  switch (option) {
    case kHandle:
    case kRefuse:
      Handle(option == kRefuse);
      break;
    case kAnswer:
      SendAnswer();
      break;
    case kMove:
      Move();
      break;
    case kRenew: {
      const uint64_t nonce = static_cast<uint64_t>(renewals_left_--);
      renewals_[nonce] = world_.now;
      (void)world_.mmus.Renew(id_, nonce, world_.now);
      break;
    }
    case kBreak:
      Break();
      break;
    case kResume:
      Resume();
      break;
    default:
      break;
  }
}

// --- Messages ----------------------------------------------------------------

void ClientActor::Settle() {
  if (!attached_ || next_.has_value()) return;
  bool over = false;
  std::vector<mmu::Message> messages = world_.mmus.TakeMessages(id_, 1, &over);
  if (!messages.empty()) next_ = std::move(messages.front());
}

void ClientActor::Handle(bool refuse) {
  const mmu::Message message = *std::exchange(next_, std::nullopt);
  if (!std::holds_alternative<mmu::Resumed>(message.body)) {
    last_ev_ = message.ev;
  }
  if (const auto* begin = std::get_if<mmu::RangeBegin>(&message.body)) {
    HandleBegin(*begin, message.ev, refuse);
  } else if (const auto* end = std::get_if<mmu::RangeEnd>(&message.body)) {
    HandleClose(end->range);
  } else if (const auto* abort = std::get_if<mmu::RangeAbort>(&message.body)) {
    HandleClose(abort->range);
  } else if (const auto* page =
                 std::get_if<mmu::PageInvalidate>(&message.body)) {
    DropIn({page->pfn, PageCount(1)}, /*only_writable=*/false);
    Acknowledge(message.ev);
  } else if (std::holds_alternative<mmu::Release>(message.body)) {
    table_.clear();
    open_.clear();
    Acknowledge(message.ev);
  } else {
    HandleReply(message.body);
  }
}

void ClientActor::HandleReply(const mmu::Body& body) {
  if (const auto* registered = std::get_if<mmu::Registered>(&body)) {
    token_ = registered->token;
    usable_until_ = registered_at_ + plan_.spec.lease;
  } else if (const auto* resolved = std::get_if<mmu::Resolved>(&body)) {
    resolved_[resolved->req] = {.mfn = resolved->mfn.value(),
                                .seq = resolved->seq};
  } else if (const auto* installed = std::get_if<mmu::Installed>(&body)) {
    HandleInstalled(*installed);
  } else if (const auto* renewed = std::get_if<mmu::Renewed>(&body)) {
    if (renewed->extended) {
      usable_until_ = renewals_[renewed->nonce] + plan_.spec.lease;
    }
  } else if (std::holds_alternative<mmu::Fenced>(body) ||
             std::holds_alternative<mmu::Unregistered>(body)) {
    GoneForEver();
  }
}

void ClientActor::HandleBegin(const mmu::RangeBegin& begin, uint64_t ev,
                              bool refuse) {
  const uint64_t range = static_cast<uint64_t>(begin.range);
  if (!open_.insert(range).second) {
    world_.Violate("a client is told twice of the begin of range ", range);
  }
  if (refuse) {
    (void)world_.mmus.Nack(id_, ev, world_.now);
    return;
  }
  for (const PfnExtent pfns : begin.pfns) {
    DropIn(pfns, begin.reason == InvalidateReason::kProtect);
  }
  Acknowledge(ev);
}

void ClientActor::HandleClose(RangeId range) {
  if (open_.erase(static_cast<uint64_t>(range)) == 0 && !left_) {
    world_.Violate("a client is told of the close of range ",
                   static_cast<uint64_t>(range), ", which it has not open");
  }
}

void ClientActor::HandleInstalled(const mmu::Installed& installed) {
  if (left_ && !IsSeeded(SeededMistake::kInstallAfterLeaving)) return;
  const auto prepared = resolved_.find(installed.req);
  if (prepared != resolved_.end() &&
      prepared->second.mfn != installed.mfn.value()) {
    world_.Violate("a client prepared mfn ", prepared->second.mfn,
                   ", and installs mfn ", installed.mfn.value());
  }
  for (uint64_t i = 0; i < installed.count; ++i) {
    table_[installed.pfn.value() + i] = {.mfn = installed.mfn.value() + i,
                                         .writable = installed.writable};
  }
}

void ClientActor::DropIn(PfnExtent pfns, bool only_writable) {
  for (auto at = table_.begin(); at != table_.end();) {
    const bool hit = pfns.Contains(Pfn(at->first));
    if (hit && !only_writable) {
      at = table_.erase(at);
      continue;
    }
    if (hit) at->second.writable = false;
    ++at;
  }
}

void ClientActor::GoneForEver() {
  gone_ = true;
  // One that installs after it has left goes on to use that.
  if (!left_) table_.clear();
  open_.clear();
}

void ClientActor::Acknowledge(uint64_t ev) {
  answers_.push_back(ev);
  if (!plan_.late_answers) SendAnswer();
}

void ClientActor::SendAnswer() {
  (void)world_.mmus.Ack(id_, answers_.front(), world_.now);
  answers_.pop_front();
}

// --- What it does by itself --------------------------------------------------

void ClientActor::Move() {
  const ClientPlan::Move& move = plan_.moves[moves_done_++];
  switch (move.kind) {
    case MoveKind::kFault:
      (void)world_.mmus.Fault(id_, move.fault);
      break;
    case MoveKind::kCommit:
      (void)world_.mmus.Commit(id_, move.fault.req);
      break;
    case MoveKind::kWatch:
      (void)world_.mmus.Watch(id_, 1000 + moves_done_, move.pfns);
      break;
    case MoveKind::kUnwatch:
      DropIn(move.pfns, /*only_writable=*/false);
      (void)world_.mmus.Unwatch(id_, 1000 + moves_done_, move.pfns);
      break;
    case MoveKind::kUnregister:
      table_.clear();
      open_.clear();
      left_ = true;
      world_.mmus.Unregister(id_);
      break;
  }
}

void ClientActor::Break() {
  --breaks_left_;
  attached_ = false;
  if (next_.has_value()) lost_ = MessageText(*next_);
  next_.reset();
  world_.mmus.Detach(id_, world_.now);
  // Without its stream it cannot access anything, and comes back with nothing,
  // unless it can resume.
  if (!plan_.spec.resumable) {
    table_.clear();
    open_.clear();
    gone_ = true;
  }
}

void ClientActor::Resume() {
  --resumes_left_;
  const absl::Status resumed = world_.mmus.Reattach(
      world_.context(), id_, token_, last_ev_, nullptr, world_.now);
  if (!resumed.ok()) {
    table_.clear();
    open_.clear();
    gone_ = true;
    return;
  }
  attached_ = true;
}

// --- What must hold ----------------------------------------------------------

void ClientActor::Check() const {
  const bool uses =
      Usable() || (left_ && IsSeeded(SeededMistake::kInstallAfterLeaving));
  if (!uses) return;
  for (const auto& [pfn, mapping] : table_) {
    const P2mWord word = world_.machine.Lookup(Pfn(pfn));
    if (!word.is_ram() || word.Number() != mapping.mfn) {
      world_.Violate("a client has mfn ", mapping.mfn, " at pfn ", pfn,
                     ", which is ", word.ToString());
    }
  }
}

void ClientActor::CheckEnd() const {
  if (!attached_ || gone_ || plan_.stuck) return;
  for (const uint64_t range : open_) {
    if (world_.suspended == RangeId(range)) continue;
    world_.Violate("a client is never told of the close of range ", range);
  }
}

void ClientActor::AddWritable(std::set<uint64_t>& pfns) const {
  if (!Usable()) return;
  for (const auto& [pfn, mapping] : table_) {
    if (mapping.writable) pfns.insert(pfn);
  }
}

void ClientActor::AppendState(std::string& text) const {
  absl::StrAppend(&text, attached_, gone_, left_, " ", last_ev_, lost_, " ",
                  absl::ToUnixMillis(usable_until_), " ", moves_done_, " ",
                  breaks_left_, resumes_left_, renewals_left_, " ");
  for (const auto& [pfn, mapping] : table_) {
    absl::StrAppend(&text, pfn, ":", mapping.mfn, mapping.writable ? "w" : "r");
  }
  for (const uint64_t range : open_) absl::StrAppend(&text, " o", range);
  for (const auto& [req, resolved] : resolved_) {
    absl::StrAppend(&text, " r", req, ":", resolved.mfn, ":", resolved.seq);
  }
  for (const uint64_t ev : answers_) absl::StrAppend(&text, " a", ev);
  for (const auto& [nonce, sent] : renewals_) {
    absl::StrAppend(&text, " n", nonce, ":", absl::ToUnixMillis(sent));
  }
  if (next_.has_value()) absl::StrAppend(&text, "\n", MessageText(*next_));
  if (id_ == SubscriptionId{}) return;
  bool over = false;
  for (const mmu::Message& message :
       world_.mmus.TakeMessages(id_, 1000000, &over)) {
    absl::StrAppend(&text, "\n", MessageText(message));
  }
}

std::string ClientActor::Describe(int option) const {
  switch (option) {
    case kHandle:
    case kRefuse:
      return absl::StrCat(plan_.spec.name,
                          option == kRefuse ? " refuses " : " handles ",
                          next_.has_value() ? MessageText(*next_) : "nothing");
    case kAnswer:
      return absl::StrCat(plan_.spec.name, "'s answer arrives");
    case kMove:
      return absl::StrCat(plan_.spec.name, " makes its move ", moves_done_ + 1);
    case kRenew:
      return absl::StrCat(plan_.spec.name, " renews");
    case kBreak:
      return absl::StrCat(plan_.spec.name, "'s stream breaks");
    default:
      return absl::StrCat(plan_.spec.name, " resumes");
  }
}

}  // namespace simvisor
