// Manual pages, in the macros of man(7).
//
// Thread safety: pure functions; ManPage is thread-compatible.

#ifndef SIMVISOR_PAGES_MAN_PAGE_H_
#define SIMVISOR_PAGES_MAN_PAGE_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "client/ui/command_line.h"
#include "server/flags.h"

namespace simvisor::pages {

// A page as it is written, from its first line to its last.  All texts are
// plain; what they say to the formatter is made harmless.
class ManPage {
 public:
  // `name` is that of the program or of a verb of it, "simvisor-p2m"; `summary`
  // follows it in lists of pages.
  ManPage(absl::string_view name, int section, absl::string_view summary);

  void Section(absl::string_view title);
  void Subsection(absl::string_view title);
  // A paragraph that is filled.
  void Paragraph(absl::string_view text);
  // The same with names that must not be hyphenated.
  void References(absl::string_view text);
  // Lines that stay as they are.
  void Lines(absl::string_view text);
  // What `term` means, indented; the term is bold, `value` after it slanted.
  void Term(absl::string_view term, absl::string_view value,
            absl::string_view text);

  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

// A page and the name of its file.
struct NamedPage {
  std::string file;  // "simvisor-p2m.1"
  std::string text;
};

// The page of the program, and one for each of its verbs and groups.
std::vector<NamedPage> ProgramPages(const client::Verb& program);

// The page of the daemon.
NamedPage DaemonPage(const server::DaemonHelp& help);

}  // namespace simvisor::pages

#endif  // SIMVISOR_PAGES_MAN_PAGE_H_
