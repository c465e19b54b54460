#include "client/ui/shortfall_text.h"

#include <string>

#include "absl/strings/str_cat.h"

namespace simvisor::client {
namespace {

using Shortfall = v1::BalloonShortfall;

constexpr char kEmptyBalloon[] =
    "its balloon is empty, so the guest has no pfns for more pages, which "
    "mem-max does not change: only a domain created with more memory or maxmem "
    "can grow further";

std::string Why(const v1::DomainMemory& memory) {
  switch (memory.shortfall().cause()) {
    case Shortfall::CAUSE_NOT_RUNNING:
      return "its guest does not run; it moves when it is unpaused";
    case Shortfall::CAUSE_BALLOON_EMPTY:
      return kEmptyBalloon;
    case Shortfall::CAUSE_MOVING:
      return "it has not finished";
    case Shortfall::CAUSE_GUEST_MEMORY:
      return "the guest has no free page to give";
    case Shortfall::CAUSE_MAX_MEM:
      return "it has all that its limit allows; mem-max raises it";
    case Shortfall::CAUSE_HOST_FULL:
      return "the host has no free frame for it; balloon another domain down";
    case Shortfall::CAUSE_RETRYING:
      return "the host or the guest had too few pages, and has some now";
    default:
      return "the daemon gives a cause that this client does not know";
  }
}

std::string WhenNext(const Shortfall& shortfall) {
  if (shortfall.cause() == Shortfall::CAUSE_NOT_RUNNING) return "";
  if (shortfall.retry_seconds() == 0) {
    return "; it has given up until its target changes";
  }
  return shortfall.given_up()
             ? "; it has given up for an hour, or until its target changes"
             : absl::StrCat("; it tries again within ",
                            shortfall.retry_seconds(), " s");
}

}  // namespace

std::string ExplainShortfall(const v1::DomainMemory& memory) {
  return absl::StrCat(Why(memory), WhenNext(memory.shortfall()));
}

}  // namespace simvisor::client
