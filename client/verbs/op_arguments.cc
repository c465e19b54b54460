#include "client/verbs/op_arguments.h"

#include "absl/strings/str_cat.h"
#include "client/ui/exit_code.h"
#include "client/ui/files.h"
#include "client/ui/hex_dump.h"
#include "client/verbs/commands.h"

namespace simvisor::client {
namespace {

// The end of the list in a MarkIdentityRangeRequest.
constexpr uint64_t kEndOfList = UINT64_MAX;

// Limit of WriteGuestMemoryRequest.data.
constexpr size_t kMaxWriteBytes = 1 << 20;

}  // namespace

void AddNoWait(Verb verb, bool& no_wait) {
  verb.AddFlag("--no-wait", no_wait,
               "Fail with exit code 4 if a secondary MMU does not let go of "
               "its\npages at once");
}

void AddArguments(Verb verb, TargetArgs& args) {
  verb.AddPositional(kDomainName, args.domain, kDomainHelp).Required();
  verb.AddPositional("SIZE", args.size, kXlSizeHelp).Required();
}

void AddArguments(Verb verb, MemSetArgs& args) {
  AddArguments(verb, static_cast<TargetArgs&>(args));
  AddNoWait(verb, args.no_wait);
}

void AddArguments(Verb verb, BalloonArgs& args) {
  verb.AddPositional(kDomainName, args.domain, kDomainHelp).Required();
  verb.AddPositional("PAGES|SIZE", args.size,
                     "Number of pages, or a size such as 512m (t, g, m, k, b)")
      .Required();
  verb.AddFlag("--partial", args.partial,
               "Move fewer pages if not all can be moved");
}

void AddArguments(Verb verb, BalloonDownArgs& args) {
  AddArguments(verb, static_cast<BalloonArgs&>(args));
  AddNoWait(verb, args.no_wait);
}

void AddArguments(Verb verb, LookupArgs& args) {
  verb.AddPositional(kDomainName, args.domain, kDomainHelp).Required();
  verb.AddPositional("PFN", args.pfns, kPfnHelp).Required();
}

void AddArguments(Verb verb, SetArgs& args) {
  verb.AddPositional(kDomainName, args.domain, kDomainHelp).Required();
  verb.AddPositional("PFN", args.first, "First pfn, decimal or 0x...")
      .Required();
  verb.AddPositional("COUNT", args.count, "Number of pfns").Required();
  verb.AddPositional("CLASS", args.class_name, "Class of the words")
      .Required()
      .OneOf({"missing", "identity", "ram"});
  verb.AddPositional(
      "MFN", args.mfn,
      "For ram: frame of the first pfn; the others follow in order");
  const Argument release = verb.AddFlag(
      "--release", args.release, "Free the frames of words that are RAM now");
  verb.AddFlag("--keep", args.keep,
               "Keep such frames with the domain, mapped by no word")
      .Excludes(release);
  AddNoWait(verb, args.no_wait);
}

// The parser accepts no other names.
v1::P2mClass ClassOf(const SetArgs& args) {
  if (args.class_name == "ram") return v1::P2M_CLASS_RAM;
  return args.class_name == "identity" ? v1::P2M_CLASS_IDENTITY
                                       : v1::P2M_CLASS_MISSING;
}

v1::RamPolicy PolicyOf(const SetArgs& args) {
  if (args.release) return v1::RAM_POLICY_RELEASE;
  return args.keep ? v1::RAM_POLICY_KEEP : v1::RAM_POLICY_REFUSE;
}

absl::StatusOr<uint64_t> MfnOf(const SetArgs& args) {
  const bool is_ram = ClassOf(args) == v1::P2M_CLASS_RAM;
  if (is_ram == args.mfn.empty()) {
    return UsageError(is_ram ? "ram needs the MFN of the first pfn"
                             : "only ram takes an MFN");
  }
  if (!is_ram) return uint64_t{0};
  return ParseNumber("mfn", args.mfn);
}

void AddArguments(Verb verb, MarkArgs& args) {
  verb.AddPositional(kDomainName, args.domain, kDomainHelp).Required();
  verb.AddPositional("START", args.start, "First pfn, decimal or 0x...")
      .Required();
  verb.AddPositional("END", args.end, "One past the last pfn, or 'end'")
      .Required();
  verb.AddFlag(
      "--release", args.release,
      "Free the frames of RAM in the range; without it, RAM there is refused");
  AddNoWait(verb, args.no_wait);
}

absl::StatusOr<uint64_t> EndOf(const MarkArgs& args) {
  if (args.end == "end") return kEndOfList;
  return ParseNumber("pfn", args.end);
}

void AddArguments(Verb verb, WriteArgs& args) {
  verb.AddPositional(kDomainName, args.domain, kDomainHelp).Required();
  verb.AddPositional("PFN", args.pfn, kPfnHelp).Required();
  verb.AddPositional("TEXT", args.text, "Bytes to write, as text");
  verb.AddOption("--hex", args.hex, "Bytes to write, such as '00 ff a0'");
  verb.AddOption("-f,--file", args.file,
                 "File that holds the bytes, at most 1 MiB; - is standard "
                 "input")
      .ValueName("FILE");
  verb.AddOption("--offset", args.offset, kOffsetHelp);
}

absl::StatusOr<std::string> DataOf(const WriteArgs& args) {
  const int sources =
      !args.text.empty() + !args.hex.empty() + !args.file.empty();
  if (sources != 1) {
    return UsageError("give the bytes as TEXT, with --hex or with --file");
  }
  if (!args.file.empty()) return ReadFile(args.file, kMaxWriteBytes);
  absl::StatusOr<std::string> data =
      args.hex.empty() ? args.text : ParseHexBytes(args.hex);
  if (data.ok() && data->size() > kMaxWriteBytes) {
    return UsageError(absl::StrCat(
        data->size(), " bytes are above the limit of ", kMaxWriteBytes));
  }
  return data;
}

}  // namespace simvisor::client
