#include "pages/man_page.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "base/version.h"
#include "pages/program_tree.h"

namespace simvisor::pages {
namespace {

using client::ArgumentHelp;
using client::Verb;

std::string Escaped(absl::string_view text) {
  return absl::StrReplaceAll(text, {{"\\", "\\e"},
                                    {"-", "\\-"},
                                    {"^", "\\(ha"},
                                    {"~", "\\(ti"},
                                    {"'", "\\(aq"},
                                    {"`", "\\(ga"}});
}

// A line that the formatter does not take for a request.
std::string Line(absl::string_view text) {
  return absl::StrCat(absl::StartsWith(text, ".") ? "\\&" : "", Escaped(text),
                      "\n");
}

// Between the quotes of a macro's argument.
std::string Title(absl::string_view text) {
  return absl::StrReplaceAll(Escaped(text), {{"\"", "\\(dq"}});
}

// "Create a domain." as a summary: "create a domain".
std::string Summary(absl::string_view text) {
  std::string summary = OneLine(text);
  if (absl::EndsWith(summary, ".")) summary.pop_back();
  if (summary.size() > 1 && !absl::ascii_isupper(summary[1])) {
    summary[0] = absl::ascii_tolower(summary[0]);
  }
  return summary;
}

std::string NameOfPlace(const ArgumentHelp& argument) {
  const std::string name =
      absl::StrCat(argument.names.front(), argument.repeated ? "..." : "");
  return argument.required ? name : absl::StrCat("[", name, "]");
}

// "simvisor p2m set [OPTION]... DOM PFN".
std::string SynopsisOf(const Verb& program, const Place& place) {
  std::vector<std::string> words = {program.name(), place.path};
  bool options = false;
  std::vector<std::string> places;
  for (const ArgumentHelp& argument : place.verb.arguments()) {
    if (argument.positional) {
      places.push_back(NameOfPlace(argument));
    } else {
      options = true;
    }
  }
  if (options) words.push_back("[OPTION]...");
  words.insert(words.end(), places.begin(), places.end());
  return absl::StrJoin(words, " ");
}

void AppendArguments(const Verb& verb, ManPage& page) {
  for (const ArgumentHelp& argument : verb.arguments()) {
    if (!argument.positional) continue;
    page.Term(
        "",
        absl::StrCat(argument.names.front(), argument.repeated ? "..." : ""),
        argument.choices.empty()
            ? argument.text
            : absl::StrCat(argument.text, ": ", ValueText(argument)));
  }
  for (const ArgumentHelp& argument : verb.arguments()) {
    if (argument.positional) continue;
    page.Term(absl::StrJoin(argument.names, ", "), ValueText(argument),
              argument.text);
  }
}

// What the page says of one verb; a group has several.
void AppendVerbText(const Verb& program, const Place& place, ManPage& page) {
  page.Subsection(SynopsisOf(program, place));
  page.Paragraph(absl::StrCat(place.verb.help(), "."));
  AppendArguments(place.verb, page);
  if (!place.verb.footer().empty() && place.verb.footer() != program.footer()) {
    page.Lines(place.verb.footer());
  }
}

std::string PageName(const Verb& program, const Verb& verb) {
  return absl::StrCat(program.name(), "-", verb.name());
}

NamedPage VerbPage(const Verb& program, const Verb& verb) {
  const std::string name = PageName(program, verb);
  ManPage page(name, 1, verb.help());
  page.Section("Commands");
  for (const Place& place : AllPlaces(program)) {
    const bool here = place.path == verb.name() ||
                      absl::StartsWith(place.path, verb.name() + " ");
    if (here && place.verb.verbs().empty())
      AppendVerbText(program, place, page);
  }
  page.Section("See also");
  page.Paragraph(absl::StrCat(program.name(),
                              "(1) has the options that every "
                              "command takes, and exit codes."));
  return {name + ".1", page.text()};
}

NamedPage ProgramPage(const Verb& program) {
  ManPage page(program.name(), 1, program.help());
  page.Section("Synopsis");
  page.Paragraph(
      absl::StrCat(program.name(), " [OPTION]... COMMAND [ARGUMENT]..."));
  page.Section("Options");
  page.Paragraph("They may also follow the command.");
  AppendArguments(program, page);
  page.Section("Commands");
  std::vector<std::string> pages;
  for (const Verb& verb : program.verbs()) {
    page.Term(verb.name(), "", verb.help());
    pages.push_back(PageName(program, verb) + "(1)");
  }
  page.Section("Notes");
  page.Lines(program.footer());
  page.Section("See also");
  page.References(absl::StrCat("simvisord(8), ", absl::StrJoin(pages, ", ")));
  return {program.name() + ".1", page.text()};
}

// Calls `use` for each group of flags, in the order in which they appear.
std::vector<std::string> GroupsOf(const server::DaemonHelp& help) {
  std::vector<std::string> groups;
  for (const server::FlagHelp& flag : help.flags) {
    if (std::find(groups.begin(), groups.end(), flag.group) == groups.end()) {
      groups.push_back(flag.group);
    }
  }
  return groups;
}

}  // namespace

ManPage::ManPage(absl::string_view name, int section,
                 absl::string_view summary) {
  absl::StrAppend(&text_, ".TH \"", Title(absl::AsciiStrToUpper(name)), "\" ",
                  section, " \"\" \"Simvisor ", kVersion,
                  "\" \"Simvisor manual\"\n");
  Section("Name");
  absl::StrAppend(&text_, Escaped(name), " \\- ", Escaped(Summary(summary)),
                  "\n");
}

void ManPage::Section(absl::string_view title) {
  absl::StrAppend(&text_, ".SH \"", Title(absl::AsciiStrToUpper(title)),
                  "\"\n");
}

void ManPage::Subsection(absl::string_view title) {
  absl::StrAppend(&text_, ".SS \"", Title(title), "\"\n");
}

void ManPage::Paragraph(absl::string_view text) {
  absl::StrAppend(&text_, ".PP\n", Line(OneLine(text)));
}

void ManPage::References(absl::string_view text) {
  absl::StrAppend(&text_, ".ad l\n.nh\n");
  Paragraph(text);
}

void ManPage::Lines(absl::string_view text) {
  absl::StrAppend(&text_, ".PP\n.nf\n");
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    text_ += Line(line);
  }
  absl::StrAppend(&text_, ".fi\n");
}

void ManPage::Term(absl::string_view term, absl::string_view value,
                   absl::string_view text) {
  absl::StrAppend(&text_, ".TP\n");
  if (!term.empty()) absl::StrAppend(&text_, "\\fB", Escaped(term), "\\fR");
  if (!term.empty() && !value.empty()) absl::StrAppend(&text_, " ");
  if (!value.empty()) absl::StrAppend(&text_, "\\fI", Escaped(value), "\\fR");
  absl::StrAppend(&text_, "\n", Line(OneLine(text)));
}

std::vector<NamedPage> ProgramPages(const Verb& program) {
  std::vector<NamedPage> pages = {ProgramPage(program)};
  for (const Verb& verb : program.verbs()) {
    pages.push_back(VerbPage(program, verb));
  }
  return pages;
}

NamedPage DaemonPage(const server::DaemonHelp& help) {
  ManPage page("simvisord", 8, help.description);
  page.Section("Synopsis");
  page.Paragraph("simvisord [OPTION]...");
  page.Section("Options");
  for (const std::string& group : GroupsOf(help)) {
    if (group != "Options") page.Subsection(group);
    for (const server::FlagHelp& flag : help.flags) {
      if (flag.group != group) continue;
      page.Term(absl::StrReplaceAll(flag.names, {{",", ", "}}), flag.value,
                flag.text);
    }
  }
  page.Section("Notes");
  page.Lines(help.footer);
  page.Section("See also");
  page.Paragraph("simvisor(1)");
  return {"simvisord.8", page.text()};
}

}  // namespace simvisor::pages
