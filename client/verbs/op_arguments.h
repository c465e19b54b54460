// The arguments of verbs that are operations on memory: as commands, and as
// lines of `simvisor batch`.
//
// Each kind has a struct that the parser fills in, a function that declares the
// arguments, and a Fill() that copies them into a message: the request of the
// unary method or an operation of a stream, whose fields have the same names.
// Fill() does not set the domain; it fails with the errors of quantities.h.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_CLIENT_VERBS_OP_ARGUMENTS_H_
#define SIMVISOR_CLIENT_VERBS_OP_ARGUMENTS_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/status_macros.h"
#include "client/ui/command_line.h"
#include "client/ui/quantities.h"
#include "simvisor/v1/common.pb.h"
#include "simvisor/v1/secondary_mmus.pb.h"

namespace simvisor::client {

// The flag --no-wait, of changes for which secondary MMUs must let go of pages.
void AddNoWait(Verb verb, bool& no_wait);

// What the flag asks for; unset without it.
template <typename Args>
v1::SecondaryMmuWait WaitOf(const Args& args) {
  return args.no_wait ? v1::SECONDARY_MMU_WAIT_NEVER
                      : v1::SECONDARY_MMU_WAIT_UNSPECIFIED;
}

// mem-max
struct TargetArgs {
  std::string domain;
  std::string size;
};
void AddArguments(Verb verb, TargetArgs& args);

template <typename Message>
absl::Status Fill(const TargetArgs& args, Message& message) {
  SIMVISOR_ASSIGN_OR_RETURN(const uint64_t pages, ParseXlMemory(args.size));
  message.set_target_pages(pages);
  return absl::OkStatus();
}

// mem-set
struct MemSetArgs : TargetArgs {
  bool no_wait = false;
};
void AddArguments(Verb verb, MemSetArgs& args);

template <typename Message>
absl::Status Fill(const MemSetArgs& args, Message& message) {
  message.set_secondary_mmus(WaitOf(args));
  return Fill(static_cast<const TargetArgs&>(args), message);
}

// balloon up
struct BalloonArgs {
  std::string domain;
  std::string size;
  bool partial = false;
};
void AddArguments(Verb verb, BalloonArgs& args);

template <typename Message>
absl::Status Fill(const BalloonArgs& args, Message& message) {
  SIMVISOR_ASSIGN_OR_RETURN(const uint64_t pages, ParsePages(args.size));
  message.set_pages(pages);
  message.set_allow_partial(args.partial);
  return absl::OkStatus();
}

// balloon down
struct BalloonDownArgs : BalloonArgs {
  bool no_wait = false;
};
void AddArguments(Verb verb, BalloonDownArgs& args);

template <typename Message>
absl::Status Fill(const BalloonDownArgs& args, Message& message) {
  message.set_secondary_mmus(WaitOf(args));
  return Fill(static_cast<const BalloonArgs&>(args), message);
}

// p2m lookup
struct LookupArgs {
  std::string domain;
  std::vector<std::string> pfns;
};
void AddArguments(Verb verb, LookupArgs& args);

template <typename Message>
absl::Status Fill(const LookupArgs& args, Message& message) {
  for (const std::string& text : args.pfns) {
    SIMVISOR_ASSIGN_OR_RETURN(const uint64_t pfn, ParseNumber("pfn", text));
    message.add_pfns(pfn);
  }
  return absl::OkStatus();
}

// p2m set
struct SetArgs {
  std::string domain;
  std::string first;
  std::string count;
  std::string class_name;
  std::string mfn;
  bool release = false;
  bool keep = false;
  bool no_wait = false;
};
void AddArguments(Verb verb, SetArgs& args);
v1::P2mClass ClassOf(const SetArgs& args);
v1::RamPolicy PolicyOf(const SetArgs& args);
// The MFN; 0 for classes other than ram.  A UsageError() for ram without an
// MFN, or another class with one.
absl::StatusOr<uint64_t> MfnOf(const SetArgs& args);

template <typename Message>
absl::Status Fill(const SetArgs& args, Message& message) {
  SIMVISOR_ASSIGN_OR_RETURN(const uint64_t first,
                            ParseNumber("pfn", args.first));
  SIMVISOR_ASSIGN_OR_RETURN(const uint64_t count,
                            ParseNumber("number of pfns", args.count));
  SIMVISOR_ASSIGN_OR_RETURN(const uint64_t mfn, MfnOf(args));
  message.set_first_pfn(first);
  message.set_count(count);
  message.set_p2m_class(ClassOf(args));
  message.set_first_mfn(mfn);
  message.set_ram_policy(PolicyOf(args));
  message.set_secondary_mmus(WaitOf(args));
  return absl::OkStatus();
}

// identity mark
struct MarkArgs {
  std::string domain;
  std::string start;
  std::string end;
  bool release = false;
  bool no_wait = false;
};
void AddArguments(Verb verb, MarkArgs& args);
// One past the last pfn; "end" means the end of the list.
absl::StatusOr<uint64_t> EndOf(const MarkArgs& args);

template <typename Message>
absl::Status Fill(const MarkArgs& args, Message& message) {
  SIMVISOR_ASSIGN_OR_RETURN(const uint64_t start,
                            ParseNumber("pfn", args.start));
  SIMVISOR_ASSIGN_OR_RETURN(const uint64_t end, EndOf(args));
  message.set_start_pfn(start);
  message.set_end_pfn(end);
  message.set_release_ram(args.release);
  message.set_secondary_mmus(WaitOf(args));
  return absl::OkStatus();
}

// guest write
struct WriteArgs {
  std::string domain;
  std::string pfn;
  uint32_t offset = 0;
  std::string text;
  std::string hex;
  std::string file;
};
void AddArguments(Verb verb, WriteArgs& args);
// The bytes, from TEXT, --hex or --file.  A UsageError() unless exactly one is
// given; the errors of ReadFile().
absl::StatusOr<std::string> DataOf(const WriteArgs& args);

template <typename Message>
absl::Status Fill(const WriteArgs& args, Message& message) {
  SIMVISOR_ASSIGN_OR_RETURN(const uint64_t pfn, ParseNumber("pfn", args.pfn));
  SIMVISOR_ASSIGN_OR_RETURN(std::string data, DataOf(args));
  message.set_pfn(pfn);
  message.set_offset_bytes(args.offset);
  message.set_data(std::move(data));
  return absl::OkStatus();
}

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_VERBS_OP_ARGUMENTS_H_
