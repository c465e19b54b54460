#include "client/session/frames_bar.h"

#include <algorithm>
#include <optional>

#include "absl/time/time.h"

namespace simvisor::client {
namespace {

// Most calls end before the first poll.
constexpr absl::Duration kPeriod = absl::Milliseconds(400);
constexpr absl::Duration kMostOfACall = absl::Seconds(2);

std::optional<uint64_t> OwnedPages(const Client& client,
                                   const CallLimits& limits) {
  const auto response = client.Call(v1::GetHostRequest(), limits);
  if (!response.ok()) return std::nullopt;
  return response->host().owned_pages();
}

v1::DomainMemory MemoryOf(const Target& target, const CallLimits& limits) {
  const auto response =
      target.client.Call(target.MakeRequest<v1::GetDomainRequest>(), limits);
  return response.ok() ? response->domain().memory() : v1::DomainMemory();
}

}  // namespace

FramesBar::FramesBar(const Session& session, const Client& client,
                     absl::string_view label, const CallLimits& limits,
                     Pages pages)
    : client_(client),
      limits_({.timeout = std::min(limits.timeout, kMostOfACall),
               .must_end = limits.must_end}),
      bar_(session.BarStream(false), label) {
  if (session.BarStream(false) == nullptr) return;
  const auto owned = OwnedPages(client, limits_);
  if (!owned) return;
  thread_ = std::thread(
      [this, owned = *owned, count = pages(limits_)] { Watch(owned, count); });
}

FramesBar::~FramesBar() {
  {
    absl::MutexLock lock(&mu_);
    stopped_ = true;
  }
  if (thread_.joinable()) thread_.join();
}

void FramesBar::Watch(uint64_t owned_before, uint64_t pages) {
  while (true) {
    {
      absl::MutexLock lock(&mu_);
      if (mu_.AwaitWithTimeout(absl::Condition(&stopped_), kPeriod)) return;
    }
    const auto owned = OwnedPages(client_, limits_);
    if (!owned) return;
    bar_.Update(std::max(*owned, owned_before) - std::min(*owned, owned_before),
                pages);
  }
}

uint64_t CurrentPages(const Target& target, const CallLimits& limits) {
  return MemoryOf(target, limits).current_pages();
}

uint64_t GuestPages(const v1::DomainMemory& memory) {
  return memory.current_pages() -
         std::min(memory.current_pages(), memory.foreign_held_pages());
}

uint64_t CurrentGuestPages(const Target& target, const CallLimits& limits) {
  return GuestPages(MemoryOf(target, limits));
}

}  // namespace simvisor::client
