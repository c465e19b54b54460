// guest read, guest write.

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/status_macros.h"
#include "client/ui/hex_dump.h"
#include "client/ui/output_file.h"
#include "client/ui/quantities.h"
#include "client/verbs/commands.h"
#include "client/verbs/op_arguments.h"

namespace simvisor::client {
namespace {

constexpr FieldName kReadFields[] = {{"length_bytes", "--length"}};
constexpr FieldName kWriteFields[] = {{"data", "the bytes to write"}};

struct ReadMemoryArgs {
  std::string domain;
  std::string pfn;
  uint32_t offset = 0;
  uint32_t length = 4096;
  std::string file;
};

absl::Status ReadMemory(Session& session, const ReadMemoryArgs& args) {
  session.NameFields(kReadFields);
  SIMVISOR_ASSIGN_OR_RETURN(const uint64_t pfn, ParseNumber("pfn", args.pfn));
  SIMVISOR_ASSIGN_OR_RETURN(const Target target, session.Open(args.domain));
  std::optional<OutputFile> file;
  if (!args.file.empty()) {
    SIMVISOR_ASSIGN_OR_RETURN(OutputFile created,
                              OutputFile::Create(args.file));
    file.emplace(std::move(created));
  }
  auto request = target.MakeRequest<v1::ReadGuestMemoryRequest>();
  request.set_pfn(pfn);
  request.set_offset_bytes(args.offset);
  request.set_length_bytes(args.length);
  auto response = target.client.Call(request);
  if (response.ok() && file.has_value()) return file->Finish(response->data());
  return session.Show(response, [&](const v1::ReadGuestMemoryResponse& read) {
    session.out() << HexDump(read.data(), args.offset);
  });
}

absl::Status WriteMemory(Session& session, const WriteArgs& args) {
  session.NameFields(kWriteFields);
  v1::WriteGuestMemoryRequest request;
  SIMVISOR_RETURN_IF_ERROR(Fill(args, request));
  SIMVISOR_ASSIGN_OR_RETURN(const Target target, session.Open(args.domain));
  *request.mutable_domain() = target.ref;
  return session.Show(target.client.Call(request));
}

void AddWrite(Commands& commands, Verb group) {
  auto args = std::make_shared<WriteArgs>();
  AddArguments(commands.Add(group, "write", "Write bytes of guest memory",
                            [args](Session& session) {
                              return WriteMemory(session, *args);
                            }),
               *args);
}

}  // namespace

void AddGuestCommands(Commands& commands) {
  Verb group =
      commands.AddGroup("guest", "The memory of a guest: read, write, load");
  auto args = std::make_shared<ReadMemoryArgs>();
  Verb read = commands.Add(
      group, "read", "Print bytes of guest memory",
      [args](Session& session) { return ReadMemory(session, *args); });
  read.AddPositional(kDomainName, args->domain, kDomainHelp).Required();
  read.AddPositional("PFN", args->pfn, kPfnHelp).Required();
  read.AddOption("--offset", args->offset, kOffsetHelp);
  read.AddOption("--length", args->length,
                 "Bytes to read, a page by default, at most 1 MiB");
  read.AddOption("-f,--file", args->file,
                 "Write the bytes to this file instead; - is standard "
                 "output")
      .ValueName("FILE");
  AddWrite(commands, group);
  AddGuestLoadCommand(commands, group);
}

}  // namespace simvisor::client
