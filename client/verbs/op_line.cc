#include "client/verbs/op_line.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/ui/exit_code.h"
#include "client/ui/quantities.h"
#include "client/ui/verb_prefix.h"
#include "client/ui/word_text.h"
#include "client/verbs/op_arguments.h"

namespace simvisor::client {
namespace {

// Standard input may be where the line comes from.
absl::Status CheckSource(const WriteArgs& args) {
  if (args.file != "-") return absl::OkStatus();
  return UsageError("guest write: a line cannot read standard input");
}
template <typename Args>
absl::Status CheckSource(const Args&) {
  return absl::OkStatus();
}

// "balloon down: SIZE is required"
absl::Status Explain(const CLI::App& app, const CLI::ParseError& error) {
  std::string verb;
  for (const CLI::App* at = &app; !at->get_subcommands().empty();) {
    at = at->get_subcommands().front();
    absl::StrAppend(&verb, verb.empty() ? "" : " ", at->get_name());
  }
  return UsageError(absl::StrCat(verb, verb.empty() ? "" : ": ", error.what()));
}

std::string NameOf(const v1::DomainRef& ref) {
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
void OpParser::Add(CLI::App& parent, const std::string& name, Field field) {
  const auto args = std::make_shared<Args>();
  CLI::App* const verb = parent.add_subcommand(name);
  AddArguments(*verb, *args);
  resets_.push_back([args] { *args = Args(); });
  verb->callback([this, args, field] {
    fill_ = [args, field](v1::MemoryOp& op) -> absl::Status {
      auto ref = ParseDomain(args->domain);
      if (!ref.ok()) return ref.status();
      *op.mutable_domain() = *std::move(ref);
      const absl::Status source = CheckSource(*args);
      return source.ok() ? Fill(*args, *(op.*field)()) : source;
    };
  });
}

OpParser::OpParser() : app_("", "batch") {
  app_.set_help_flag();
  app_.require_subcommand(1);
  const auto group = [this](const char* name) -> CLI::App& {
    CLI::App* const added = app_.add_subcommand(name);
    added->require_subcommand(1);
    return *added;
  };
  Add<TargetArgs>(app_, "mem-set", &v1::MemoryOp::mutable_set_target);
  CLI::App& balloon = group("balloon");
  Add<BalloonArgs>(balloon, "down", &v1::MemoryOp::mutable_balloon_down);
  Add<BalloonArgs>(balloon, "up", &v1::MemoryOp::mutable_balloon_up);
  CLI::App& p2m = group("p2m");
  Add<LookupArgs>(p2m, "lookup", &v1::MemoryOp::mutable_translate);
  Add<SetArgs>(p2m, "set", &v1::MemoryOp::mutable_set);
  Add<MarkArgs>(group("identity"), "mark", &v1::MemoryOp::mutable_identity);
  Add<WriteArgs>(group("guest"), "write", &v1::MemoryOp::mutable_write);
}

absl::StatusOr<v1::MemoryOp> OpParser::Parse(const std::string& line) {
  auto words = ExpandVerbs(app_, CLI::detail::split_up(line));
  if (!words.ok()) return words.status();
  std::reverse(words->begin(), words->end());  // as CLI11 wants them
  for (const auto& reset : resets_) reset();
  try {
    app_.parse(*std::move(words));
  } catch (const CLI::ParseError& error) {
    return Explain(app_, error);
  }
  v1::MemoryOp op;
  const absl::Status filled = fill_(op);
  if (!filled.ok()) return filled;
  return op;
}

std::string DescribeResult(const v1::MemoryOp& op,
                           const v1::MemoryOpResult& result) {
  return absl::StrCat(NameOf(op.domain()), ": ", DescribeOutcome(op, result));
}

}  // namespace simvisor::client
