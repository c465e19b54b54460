// mem-set, mem-max, balloon.

#include <algorithm>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/size.h"
#include "base/status_macros.h"
#include "client/session/domain_fate.h"
#include "client/session/frames_bar.h"
#include "client/ui/domain_text.h"
#include "client/ui/exit_signals.h"
#include "client/ui/quantities.h"
#include "client/ui/shortfall_text.h"
#include "client/verbs/commands.h"
#include "client/verbs/op_arguments.h"

namespace simvisor::client {
namespace {

// xl mem-set does not wait for the guest.  Here the guest has moved already, so
// a note says why it stopped short of the target.
void NoteShortMove(Session& session, const v1::DomainRef& ref,
                   const v1::DomainMemory& memory) {
  if (!memory.has_shortfall()) return;
  session.PrintRemark(
      "note",
      absl::StrCat(DomainText(ref), " has ", SizeOfPages(GuestPages(memory)),
                   ", its target is ", SizeOfPages(memory.target_pages()), ": ",
                   ExplainShortfall(memory)));
}

// A maximum gives a guest no pfns.  Before it boots, its room is not known, and
// nothing of it is available.
void NoteLackOfPfns(Session& session, const v1::DomainRef& ref,
                    const v1::DomainMemory& memory) {
  const uint64_t most = GuestPages(memory) + memory.balloon_pages();
  if (memory.available_pages() == 0 || most >= memory.static_max_pages()) {
    return;
  }
  session.PrintRemark(
      "note", absl::StrCat(DomainText(ref), " has pfns for ", SizeOfPages(most),
                           ", which mem-max does not change; only a domain "
                           "created with more memory or maxmem can grow "
                           "further"));
}

// For a command whose output is printed: says how far its call has got if a
// signal has come; pages that it has moved stay moved.  Returns `status`.
absl::Status EndMove(Session& session, const Target& target,
                     const Interruption& interruption,
                     const absl::Status& status) {
  if (interruption.signal() != 0) {
    AnnounceAsking(session);
    EndInterrupted(session, status, FindMemoryFate(target.client, target.ref));
  }
  return status;
}

absl::Status MemSet(Session& session, const MemSetArgs& args) {
  v1::SetMemoryTargetRequest request;
  SIMVISOR_RETURN_IF_ERROR(Fill(args, request));
  SIMVISOR_ASSIGN_OR_RETURN(const Target target, session.Open(args.domain));
  *request.mutable_domain() = target.ref;
  // Ends the program when it goes, if a signal has come.
  const Interruption interruption;
  const CallLimits limits = EndSoonAfter(interruption);
  const auto response = [&] {
    FramesBar bar(session, target.client, "mem-set", limits,
                  [&](const CallLimits& of_call) {
                    const uint64_t now = CurrentGuestPages(target, of_call);
                    const uint64_t goal = request.target_pages();
                    return std::max(now, goal) - std::min(now, goal);
                  });
    return target.client.Call(request, limits);
  }();
  if (response.ok()) {
    NoteShortMove(session, target.ref, response->memory());
  }
  return EndMove(session, target, interruption, session.Show(response));
}

absl::Status MemMax(Session& session, const TargetArgs& args) {
  SIMVISOR_ASSIGN_OR_RETURN(const uint64_t pages, ParseXlMemory(args.size));
  SIMVISOR_ASSIGN_OR_RETURN(const Target target, session.Open(args.domain));
  auto request = target.MakeRequest<v1::SetMaxMemoryRequest>();
  request.set_max_pages(pages);
  const auto response = target.client.Call(request);
  if (response.ok()) NoteLackOfPfns(session, target.ref, response->memory());
  return session.Show(response);
}

template <typename Request, typename Args>
absl::Status Balloon(Session& session, const Args& args,
                     absl::string_view direction) {
  Request request;
  SIMVISOR_RETURN_IF_ERROR(Fill(args, request));
  SIMVISOR_ASSIGN_OR_RETURN(const Target target, session.Open(args.domain));
  *request.mutable_domain() = target.ref;
  // Ends the program when it goes, if a signal has come.
  const Interruption interruption;
  const CallLimits limits = EndSoonAfter(interruption);
  const auto response = [&] {
    FramesBar bar(session, target.client, "balloon", limits,
                  [&](const CallLimits&) { return request.pages(); });
    return target.client.Call(request, limits);
  }();
  const absl::Status shown = session.Show(response, [&](const auto& moved) {
    session.out() << args.domain << ": " << moved.moved_pages() << " of "
                  << request.pages() << " pages ballooned " << direction << "; "
                  << FormatPages(moved.memory().current_pages()) << " now, "
                  << moved.memory().balloon_pages()
                  << " pages in the balloon\n";
  });
  return EndMove(session, target, interruption, shown);
}

void AddBalloonCommands(Commands& commands) {
  Verb group =
      commands.AddGroup("balloon", "Move pages between a guest and the host");
  auto down = std::make_shared<BalloonDownArgs>();
  AddArguments(commands.Add(group, "down", "Take pages from a guest",
                            [down](Session& session) {
                              return Balloon<v1::BalloonDownRequest>(
                                  session, *down, "down");
                            }),
               *down);
  auto up = std::make_shared<BalloonArgs>();
  AddArguments(commands.Add(group, "up", "Give pages to a guest",
                            [up](Session& session) {
                              return Balloon<v1::BalloonUpRequest>(session, *up,
                                                                   "up");
                            }),
               *up);
  AddBalloonStateCommand(commands, group);
}

}  // namespace

void AddMemoryCommands(Commands& commands) {
  auto set_args = std::make_shared<MemSetArgs>();
  AddArguments(commands.Add("mem-set", "Set the memory target of a guest",
                            [set_args](Session& session) {
                              return MemSet(session, *set_args);
                            }),
               *set_args);
  auto args = std::make_shared<TargetArgs>();
  AddArguments(
      commands.Add("mem-max",
                   "Set the most memory that a domain may have; the hypervisor "
                   "allows 1 MiB more, as after create and mem-set",
                   [args](Session& session) { return MemMax(session, *args); }),
      *args);
  AddBalloonCommands(commands);
}

}  // namespace simvisor::client
