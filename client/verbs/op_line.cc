#include "client/verbs/op_line.h"

#include <cassert>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "client/ui/exit_code.h"
#include "client/ui/quantities.h"
#include "client/ui/verb_prefix.h"
#include "client/ui/word_text.h"
#include "client/verbs/commands.h"
#include "client/verbs/op_arguments.h"

namespace simvisor::client {
namespace {

// The line itself may come from standard input.
absl::Status CheckSource(const WriteArgs& args) {
  if (args.file != "-") return absl::OkStatus();
  return UsageError("a line cannot read standard input");
}
template <typename Args>
absl::Status CheckSource(const Args&) {
  return absl::OkStatus();
}

std::string RefText(const v1::DomainRef& ref) {
  if (ref.has_domid()) return absl::StrCat(ref.domid());
  return ref.has_uuid() ? ref.uuid() : ref.name();
}

std::string DescribeMoved(const v1::MemoryOp::Balloon& op,
                          const v1::MemoryOpResult::Balloon& result,
                          absl::string_view direction) {
  return absl::StrCat(result.moved_pages(), " of ", op.pages(),
                      " pages ballooned ", direction, "; ",
                      FormatPages(result.memory().current_pages()), " now, ",
                      result.memory().balloon_pages(), " pages in the balloon");
}

std::string DescribeWords(const v1::MemoryOp::Translate& op,
                          const v1::MemoryOpResult::Translate& result) {
  const int asked = op.pfns_size();
  if (result.classes_size() != asked || result.frames_size() != asked) {
    return absl::StrCat(result.classes_size(), " classes and ",
                        result.frames_size(), " frames answer for ", asked,
                        " pfns; is it a simvisord of another version?");
  }
  std::string text;
  for (int i = 0; i < asked; ++i) {
    absl::StrAppend(
        &text, i == 0 ? "" : ", ",
        absl::StrFormat("0x%x %s", op.pfns(i),
                        DescribeWord(result.classes(i), result.frames(i))));
  }
  return text;
}

std::string DescribeOutcome(const v1::MemoryOp& op,
                            const v1::MemoryOpResult& result) {
  switch (result.outcome_case()) {
    case v1::MemoryOpResult::kSetTarget: {
      const v1::DomainMemory& memory = result.set_target().memory();
      return absl::StrCat("target ", FormatPages(memory.target_pages()), ", ",
                          FormatPages(memory.current_pages()), " now");
    }
    case v1::MemoryOpResult::kBalloonDown:
      return DescribeMoved(op.balloon_down(), result.balloon_down(), "down");
    case v1::MemoryOpResult::kBalloonUp:
      return DescribeMoved(op.balloon_up(), result.balloon_up(), "up");
    case v1::MemoryOpResult::kTranslate:
      return DescribeWords(op.translate(), result.translate());
    case v1::MemoryOpResult::kSet:
      return absl::StrCat(op.set().count(), " pfns set, ",
                          result.set().released_pages(), " frames released, ",
                          result.set().p2m_pages_taken(),
                          " pages taken for the p2m list");
    case v1::MemoryOpResult::kIdentity:
      return absl::StrCat(
          result.identity().marked_pages(), " pfns are identity, ",
          result.identity().released_pages(), " frames released, ",
          result.identity().p2m_pages_taken(), " pages taken for the p2m list");
    case v1::MemoryOpResult::kWrite:
      return absl::StrCat(op.write().data().size(), " bytes written at pfn 0x",
                          absl::Hex(op.write().pfn()));
    case v1::MemoryOpResult::kError:
    case v1::MemoryOpResult::OUTCOME_NOT_SET:
      break;
  }
  return "no outcome";
}

}  // namespace

template <typename Args, typename Field>
void OpParser::Add(Verb parent, const std::string& name, Field field) {
  const auto args = std::make_shared<Args>();
  Verb verb = parent.AddVerb(name, "");
  AddArguments(verb, *args);
  resets_.push_back([args] { *args = Args(); });
  verb.OnChosen([this, args, field] {
    fill_ = [args, field](v1::MemoryOp& op) -> absl::Status {
      SIMVISOR_ASSIGN_OR_RETURN(*op.mutable_domain(),
                                ParseDomain(args->domain));
      SIMVISOR_RETURN_IF_ERROR(CheckSource(*args));
      return Fill(*args, *(op.*field)());
    };
  });
}

OpParser::OpParser() : line_("batch", "") {
  line_.RemoveHelp();
  Verb program = line_.program();
  Add<MemSetArgs>(program, "mem-set", &v1::MemoryOp::mutable_set_target);
  Verb balloon = program.AddGroup("balloon", "");
  Add<BalloonDownArgs>(balloon, "down", &v1::MemoryOp::mutable_balloon_down);
  Add<BalloonArgs>(balloon, "up", &v1::MemoryOp::mutable_balloon_up);
  Verb p2m = program.AddGroup("p2m", "");
  Add<LookupArgs>(p2m, "lookup", &v1::MemoryOp::mutable_translate);
  Add<SetArgs>(p2m, "set", &v1::MemoryOp::mutable_set);
  Add<MarkArgs>(program.AddGroup("identity", ""), "mark",
                &v1::MemoryOp::mutable_identity);
  Add<WriteArgs>(program.AddGroup("guest", ""), "write",
                 &v1::MemoryOp::mutable_write);
}

absl::StatusOr<v1::MemoryOp> OpParser::Parse(const std::string& line) {
  SIMVISOR_ASSIGN_OR_RETURN(std::vector<std::string> words,
                            ExpandVerbs(line_.program(), SplitWords(line)));
  SIMVISOR_ASSIGN_OR_RETURN(words,
                            ExpandOptions(line_.program(), std::move(words)));
  for (const auto& reset : resets_) reset();
  v1::MemoryOp op;
  absl::Status status = line_.Parse(std::move(words)).status();
  if (status.ok()) status = fill_(op);
  if (status.ok()) return op;
  const std::string verbs = line_.chosen_verbs();
  if (verbs.empty() || !IsUsageError(status)) return status;
  // "balloon down: web: SIZE is required"
  return LocateUsageError(line_, verbs, status);
}

std::string DescribeResult(const v1::MemoryOp& op,
                           const v1::MemoryOpResult& result) {
  assert(!result.has_error());
  return absl::StrCat(RefText(op.domain()), ": ", DescribeOutcome(op, result));
}

}  // namespace simvisor::client
