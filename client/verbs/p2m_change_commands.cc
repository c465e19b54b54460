// identity mark, p2m set.

#include <memory>

#include "base/status_macros.h"
#include "client/verbs/commands.h"
#include "client/verbs/op_arguments.h"

namespace simvisor::client {
namespace {

constexpr FieldName kSetFields[] = {{"first_mfn", "MFN"},
                                    {"p2m_class", "CLASS"}};

absl::Status Mark(Session& session, const MarkArgs& args) {
  v1::MarkIdentityRangeRequest request;
  SIMVISOR_RETURN_IF_ERROR(Fill(args, request));
  SIMVISOR_ASSIGN_OR_RETURN(const Target target, session.Open(args.domain));
  *request.mutable_domain() = target.ref;
  return session.Show(target.client.Call(request),
                      [&](const v1::MarkIdentityRangeResponse& response) {
                        session.out()
                            << args.domain << ": " << response.marked_pages()
                            << " pfns are identity, "
                            << response.released_pages() << " frames released, "
                            << response.p2m_pages_taken()
                            << " pages taken for the p2m list\n";
                      });
}

absl::Status Set(Session& session, const SetArgs& args) {
  session.NameFields(kSetFields);
  v1::SetP2mRangeRequest request;
  SIMVISOR_RETURN_IF_ERROR(Fill(args, request));
  SIMVISOR_ASSIGN_OR_RETURN(const Target target, session.Open(args.domain));
  *request.mutable_domain() = target.ref;
  return session.Show(target.client.Call(request),
                      [&](const v1::SetP2mRangeResponse& response) {
                        session.out()
                            << args.domain << ": " << request.count()
                            << " pfns set, " << response.released_pages()
                            << " frames released, "
                            << response.p2m_pages_taken()
                            << " pages taken for the p2m list\n";
                      });
}

}  // namespace

void AddIdentityCommands(Commands& commands) {
  Verb group =
      commands.AddGroup("identity", "Ranges whose pfns map to equal mfns");
  auto args = std::make_shared<MarkArgs>();
  AddArguments(
      commands.Add(group, "mark", "Make every word of a range identity",
                   [args](Session& session) { return Mark(session, *args); }),
      *args);
}

void AddP2mSetCommand(Commands& commands, Verb p2m) {
  auto args = std::make_shared<SetArgs>();
  AddArguments(
      commands.Add(p2m, "set", "Set every word of a range",
                   [args](Session& session) { return Set(session, *args); }),
      *args);
}

}  // namespace simvisor::client
