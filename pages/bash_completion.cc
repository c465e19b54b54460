// BashCompletion().

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "pages/completion.h"
#include "pages/program_tree.h"

namespace simvisor::pages {
namespace {

using client::ArgumentHelp;
using client::Verb;

constexpr char kBashHead[] =
    R"bash(HEADING

# Sets what may follow the verb $1: `verbs`, `options`, the options with a value
# as OPTION=KIND in `values`, and the kinds of its other words in `places`, the
# last of which may be repeated if it ends in a plus sign.  A KIND is file,
# domain, address, any, or words with bars between them.
_NAME_about() {
  verbs='' options='' values='' places=''
  case $1 in
)bash";

constexpr char kBashTail[] = R"bash(  esac
}

# Prints the verb of `verbs` that $1 is, or begins as the only one.
_NAME_verb() {
  local verb found=()
  for verb in $verbs; do
    [[ $verb == "$1" ]] && found=("$verb") && break
    [[ $verb == "$1"* ]] && found+=("$verb")
  done
  ((${#found[@]} == 1)) && printf '%s\n' "${found[0]}"
}

# Prints the kind of value that the option $1 takes; nothing for a flag.
_NAME_kind() {
  local value
  for value in $values; do
    [[ $value == "$1="* ]] && printf '%s\n' "${value#*=}" && return
  done
}

# Prints the kind of the word number $1, from 0 on, after the verb.
_NAME_place() {
  local kinds kind
  read -r -a kinds <<< "$places"
  kind=${kinds[$1]-}
  [[ -z $kind && $places == *+ ]] && kind=${kinds[-1]}
  printf '%s\n' "${kind%+}"
}

# Sets COMPREPLY to what may stand for a value of the kind $1 that begins with
# $2.  The other words are the program and its options.
_NAME_reply() {
  local kind=$1 begun=$2 name
  shift 2
  case $kind in
    file)
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -f -- "$begun")
      ;;
    domain)
      while IFS= read -r name; do
        [[ $name == "$begun"* ]] && COMPREPLY+=("$(printf '%q' "$name")")
      done < <("$@" --timeout 5 list 2>/dev/null |
        LISTED)
      ;;
    '' | any | address) ;;
    *) mapfile -t COMPREPLY < <(compgen -W "${kind//|/ }" -- "$begun") ;;
  esac
}

_NAME() {
  local verbs options values places global_options global_values
  local line=() address=() path='' option='' kind='' word begun at=0 i bare=''
  local IFS=$' \t\n'
  COMPREPLY=()
  # Bash also splits words at : and =, which are parts of them here.
  for ((i = 0; i <= COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    if ((i > 1)) && [[ $word =~ ^[:=]+$ || ${COMP_WORDS[i - 1]} =~ ^[:=]+$ ]]; then
      line[-1]+=$word
    else
      line+=("$word")
    fi
  done
  begun=${COMP_WORDS[COMP_CWORD]}
  [[ $begun =~ ^[:=]+$ ]] && begun=''

  _NAME_about ''
  global_options=$options global_values=$values
  for word in "${line[@]:1:${#line[@]}-2}"; do
    if [[ -n $option ]]; then
      [[ $kind == address ]] && address=(--address "$word")
      option=''
    elif [[ -z $bare && $word == -- ]]; then
      bare=1
    elif [[ -z $bare && $word == --address=* ]]; then
      address=("$word")
    elif [[ -z $bare && $word == -* ]]; then
      kind=$(_NAME_kind "$word")
      [[ -n $kind ]] && option=$word
    elif [[ -n $verbs ]]; then
      word=$(_NAME_verb "$word")
      [[ -z $word ]] && return
      path+=${path:+ }$word
      _NAME_about "$path"
      options+=" $global_options" values+=" $global_values"
    else
      ((++at))
    fi
  done

  word=${line[-1]}
  if [[ -n $option ]]; then
    _NAME_reply "$kind" "$begun" "${line[0]}" "${address[@]}"
  elif [[ -z $bare && $word == --*=* ]]; then
    _NAME_reply "$(_NAME_kind "${word%%=*}")" "$begun" "${line[0]}" "${address[@]}"
  elif [[ -z $bare && $word == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$begun")
  elif [[ -n $verbs ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$verbs" -- "$begun")
  else
    _NAME_reply "$(_NAME_place "$at")" "$begun" "${line[0]}" "${address[@]}"
  fi
}

complete -F _NAME NAME
)bash";

std::string KindText(const ArgumentHelp& argument) {
  switch (KindOf(argument)) {
    case ValueKind::kWords:
      return absl::StrJoin(argument.choices, "|");
    case ValueKind::kFile:
      return "file";
    case ValueKind::kDomain:
      return "domain";
    case ValueKind::kAddress:
      return "address";
    case ValueKind::kAny:
      break;
  }
  return "any";
}

// The words of one verb, as the script keeps them.
struct Lists {
  std::vector<std::string> verbs, options, values, places;
};

Lists ListsOf(const Verb& verb) {
  Lists lists;
  for (const Verb& below : verb.verbs()) lists.verbs.push_back(below.name());
  for (const ArgumentHelp& argument : verb.arguments()) {
    const std::string kind = KindText(argument);
    if (argument.positional) {
      lists.places.push_back(kind + (argument.repeated ? "+" : ""));
      continue;
    }
    for (const std::string& name : argument.names) {
      lists.options.push_back(name);
      if (!argument.value.empty()) {
        lists.values.push_back(absl::StrCat(name, "=", kind));
      }
    }
  }
  return lists;
}

void AppendList(const char* name, const std::vector<std::string>& words,
                std::string& out) {
  if (words.empty()) return;
  absl::StrAppend(&out, "      ", name, "='", absl::StrJoin(words, " "), "'\n");
}

}  // namespace

std::string BashCompletion(const Verb& program) {
  std::string out = FillIn(kBashHead, "bash", program);
  for (const Place& place : AllPlaces(program)) {
    const Lists lists = ListsOf(place.verb);
    absl::StrAppend(&out, "    '", place.path, "')\n");
    AppendList("verbs", lists.verbs, out);
    AppendList("options", lists.options, out);
    AppendList("values", lists.values, out);
    AppendList("places", lists.places, out);
    absl::StrAppend(&out, "      ;;\n");
  }
  out += FillIn(kBashTail, "bash", program);
  return out;
}

}  // namespace simvisor::pages
