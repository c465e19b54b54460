// guest read, guest write.

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"
#include "client/cli/exit_code.h"
#include "client/cli/files.h"
#include "client/cli/hex_dump.h"
#include "client/cli/quantities.h"

namespace simvisor::client {
namespace {

// Bound of WriteGuestMemoryRequest.data.
constexpr size_t kMaxWriteBytes = 1 << 20;

struct ReadArgs {
  std::string domain;
  std::string pfn;
  uint32_t offset = 0;
  uint32_t length = 4096;
  std::string file;
};

struct WriteArgs {
  std::string domain;
  std::string pfn;
  uint32_t offset = 0;
  std::string text;
  std::string hex;
  std::string file;
};

absl::Status Read(Session& session, const ReadArgs& args) {
  auto pfn = ParseNumber("pfn", args.pfn);
  if (!pfn.ok()) return pfn.status();
  auto target = session.Open(args.domain);
  if (!target.ok()) return target.status();
  auto request = target->MakeRequest<v1::ReadGuestMemoryRequest>();
  request.set_pfn(*pfn);
  request.set_offset_bytes(args.offset);
  request.set_length_bytes(args.length);
  auto response = target->client.ReadGuestMemory(request);
  if (response.ok() && !args.file.empty()) {
    return WriteFile(args.file, response->data());
  }
  return session.Show(response, [&](const v1::ReadGuestMemoryResponse& read) {
    session.out() << HexDump(read.data(), args.offset);
  });
}

absl::StatusOr<std::string> DataOf(const WriteArgs& args) {
  const int sources =
      !args.text.empty() + !args.hex.empty() + !args.file.empty();
  if (sources != 1) {
    return UsageError(
        "guest write: give the bytes as TEXT, with --hex or with --file");
  }
  if (!args.text.empty()) return args.text;
  if (!args.hex.empty()) return ParseHexBytes(args.hex);
  return ReadFile(args.file, kMaxWriteBytes);
}

absl::Status Write(Session& session, const WriteArgs& args) {
  auto pfn = ParseNumber("pfn", args.pfn);
  if (!pfn.ok()) return pfn.status();
  auto data = DataOf(args);
  if (!data.ok()) return data.status();
  auto target = session.Open(args.domain);
  if (!target.ok()) return target.status();
  auto request = target->MakeRequest<v1::WriteGuestMemoryRequest>();
  request.set_pfn(*pfn);
  request.set_offset_bytes(args.offset);
  request.set_data(*std::move(data));
  return session.Show(target->client.WriteGuestMemory(request));
}

constexpr char kOffsetHelp[] = "Offset of the first byte in its page";

void AddWrite(Commands& commands, CLI::App& group) {
  auto args = std::make_shared<WriteArgs>();
  CLI::App& verb =
      commands.Add(group, "write", "Write bytes of guest memory",
                   [args](Session& session) { return Write(session, *args); });
  verb.add_option("DOM", args->domain, kDomainHelp)->required();
  verb.add_option("PFN", args->pfn, kPfnHelp)->required();
  verb.add_option("TEXT", args->text, "Bytes to write, as text");
  verb.add_option("--hex", args->hex, "Bytes to write, such as '00 ff a0'");
  verb.add_option("-f,--file", args->file,
                  "File that holds the bytes, at most 1 MiB; - is standard "
                  "input");
  verb.add_option("--offset", args->offset, kOffsetHelp);
}

}  // namespace

void AddGuestCommands(Commands& commands) {
  CLI::App& group =
      commands.AddGroup("guest", "The memory of a guest: read, write, load");
  auto args = std::make_shared<ReadArgs>();
  CLI::App& read =
      commands.Add(group, "read", "Print bytes of guest memory",
                   [args](Session& session) { return Read(session, *args); });
  read.add_option("DOM", args->domain, kDomainHelp)->required();
  read.add_option("PFN", args->pfn, kPfnHelp)->required();
  read.add_option("--offset", args->offset, kOffsetHelp);
  read.add_option("--length", args->length,
                  "Bytes to read, a page by default, at most 1 MiB");
  read.add_option("-f,--file", args->file,
                  "Write the bytes to this file instead; - is standard "
                  "output");
  AddWrite(commands, group);
  AddGuestLoadCommand(commands, group);
}

}  // namespace simvisor::client
