// ZshCompletion().

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "pages/completion.h"
#include "pages/program_tree.h"

namespace simvisor::pages {
namespace {

using client::ArgumentHelp;
using client::Verb;

constexpr char kZshHead[] = R"zsh(#compdef NAME
HEADING

_NAME_domains() {
  local -a names address
  local word=${ADDRESS:-$_NAME_address}
  # opt_args has backslashes before colons and backslashes.
  word=${word//(#b)\\([:\\])/$match[1]}
  [[ -n $word ]] && address=(--address ${(Q)word})
  names=(${(f)"$(_call_program domains $service ${(q)address} --timeout 5 list \
    2>/dev/null | LISTED)"})
  compadd -- $names
}

)zsh";

// For a place between single quotes.
std::string Quoted(const std::string& text) {
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"'", "'\\''"}}), "'");
}

// Text inside a specification, where colons and brackets have meanings.
std::string InSpec(absl::string_view text) {
  return absl::StrReplaceAll(
      OneLine(text),
      {{"\\", "\\\\"}, {":", "\\:"}, {"[", "\\["}, {"]", "\\]"}});
}

std::string ActionOf(const ArgumentHelp& argument) {
  switch (KindOf(argument)) {
    case ValueKind::kWords:
      return absl::StrCat("(", absl::StrJoin(argument.choices, " "), ")");
    case ValueKind::kFile:
      return "_files";
    case ValueKind::kDomain:
      return "_simvisor_domains";
    case ValueKind::kAddress:
    case ValueKind::kAny:
      break;
  }
  return " ";
}

// "(-o --output)--output=[Format]:TEXT:(text json)", one for each name.
void AppendOptionSpecs(const ArgumentHelp& option,
                       std::vector<std::string>& specs) {
  const std::string others =
      option.names.size() > 1
          ? absl::StrCat("(", absl::StrJoin(option.names, " "), ")")
          : "";
  for (const std::string& name : option.names) {
    const bool is_long = name.size() > 2;
    const std::string ending =
        option.value.empty() ? "" : (is_long ? "=" : "+");
    const std::string value =
        option.value.empty()
            ? ""
            : absl::StrCat(":", InSpec(option.value), ":", ActionOf(option));
    specs.push_back(absl::StrCat(others, name, ending, "[", InSpec(option.text),
                                 "]", value));
  }
}

std::string PlaceSpec(const ArgumentHelp& argument, size_t number) {
  const std::string where =
      argument.repeated ? "*:"
                        : absl::StrCat(number, argument.required ? ":" : "::");
  return absl::StrCat(where, InSpec(argument.names.front()), ":",
                      ActionOf(argument));
}

std::vector<std::string> SpecsOf(const Verb& verb) {
  std::vector<std::string> specs;
  size_t places = 0;
  for (const ArgumentHelp& argument : verb.arguments()) {
    if (argument.positional) {
      specs.push_back(PlaceSpec(argument, ++places));
    } else {
      AppendOptionSpecs(argument, specs);
    }
  }
  return specs;
}

// What the shell puts in the place of the address on the line, under whichever
// name; nothing if the line gives none.
std::string AddressText(const Verb& program) {
  std::string text;
  for (const ArgumentHelp& option : program.arguments()) {
    if (KindOf(option) != ValueKind::kAddress) continue;
    for (const std::string& name : option.names) {
      absl::StrAppend(&text, "${opt_args[", name, "]}");
    }
  }
  return text;
}

// The name of the function for a verb.
std::string FunctionOf(const Verb& program, const std::string& path) {
  return absl::StrCat("_", program.name(), path.empty() ? "" : "_",
                      absl::StrReplaceAll(path, {{" ", "_"}}));
}

void AppendSpecs(const std::vector<std::string>& specs, std::string& out) {
  for (const std::string& spec : specs) {
    absl::StrAppend(&out, " \\\n    ", Quoted(spec));
  }
}

// The end of a group's function: what follows one of its verbs.
void AppendVerbs(const Verb& program, const Place& group, std::string& out) {
  std::vector<std::string> verbs;
  for (const Verb& verb : group.verb.verbs()) {
    verbs.push_back(
        absl::StrCat(InSpec(verb.name()), "\\:", Quoted(InSpec(verb.help()))));
  }
  AppendSpecs({absl::StrCat("1:command:((", absl::StrJoin(verbs, " "), "))"),
               "*::argument:->rest"},
              out);
  absl::StrAppend(&out, "\n  [[ $state == rest ]] || return\n");
  if (group.path.empty()) {
    // The functions of verbs have other options.
    absl::StrAppend(&out, "  local _", program.name(), "_address=\"",
                    AddressText(program), "\"\n");
  }
  absl::StrAppend(&out, "  case $words[1] in\n");
  for (const Verb& verb : group.verb.verbs()) {
    const std::string path =
        absl::StrCat(group.path, group.path.empty() ? "" : " ", verb.name());
    absl::StrAppend(&out, "    ", verb.name(), ") ", FunctionOf(program, path),
                    " ;;\n");
  }
  absl::StrAppend(&out, "  esac\n");
}

std::string FunctionText(const Verb& program, const Place& place) {
  const bool is_program = place.path.empty();
  const bool is_group = !place.verb.verbs().empty();
  std::string out = absl::StrCat(
      FunctionOf(program, place.path), "() {\n",
      "  local curcontext=$curcontext state state_descr line\n",
      is_program ? "  typeset -A opt_args\n" : "", "  _arguments -C -S",
      // Options after a verb are for its own function.
      is_group ? " -A '-*'" : "",
      is_program ? ""
                 : absl::StrCat(" $", FunctionOf(program, ""), "_options"));
  AppendSpecs(SpecsOf(place.verb), out);
  if (!is_group) {
    absl::StrAppend(&out, "\n");
  } else {
    AppendVerbs(program, place, out);
  }
  absl::StrAppend(&out, "}\n\n");
  return out;
}

}  // namespace

std::string ZshCompletion(const Verb& program) {
  const std::string name = FunctionOf(program, "");
  std::string out = FillIn(
      absl::StrReplaceAll(
          kZshHead, {{"${ADDRESS:-", "${${:-" + AddressText(program) + "}:-"}}),
      "zsh", program);
  // --help is an option of every verb.
  std::vector<std::string> inherited;
  for (const ArgumentHelp& option : program.arguments()) {
    if (!option.value.empty()) AppendOptionSpecs(option, inherited);
  }
  absl::StrAppend(&out, "typeset -ga ", name, "_options\n", name, "_options=(");
  AppendSpecs(inherited, out);
  absl::StrAppend(&out, "\n)\n\n");
  for (const Place& place : AllPlaces(program)) {
    out += FunctionText(program, place);
  }
  absl::StrAppend(&out, name, " \"$@\"\n");
  return out;
}

}  // namespace simvisor::pages
