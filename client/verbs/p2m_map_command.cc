// p2m map.

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/printable.h"
#include "base/status_macros.h"
#include "client/ui/p2m_map.h"
#include "client/verbs/commands.h"

namespace simvisor::client {
namespace {

struct DrawMapArgs {
  std::string domain;
  bool raw = false;
  int width = 0;  // 0: the screen's
};

absl::Status DrawMap(Session& session, const DrawMapArgs& args) {
  SIMVISOR_ASSIGN_OR_RETURN(const Target target, session.Open(args.domain));
  auto request = target.MakeRequest<v1::ListP2mRunsRequest>();
  request.set_view(args.raw ? v1::P2M_VIEW_RAW : v1::P2M_VIEW_RESOLVED);
  request.set_merge(v1::RUN_MERGE_BY_CLASS);
  const ScreenSize screen = session.screen();
  P2mMap map(args.width == 0 ? screen.columns : args.width, screen.rows);
  const absl::Status status = target.client.ListP2mRuns(
      request, [&](const v1::ListP2mRunsResponse& response) {
        for (const v1::P2mRun& run : response.runs()) map.Add(run);
        return absl::OkStatus();
      });
  if (!status.ok()) return status;
  if (session.json()) {
    session.PrintJson(MapToJson(map));
    return absl::OkStatus();
  }
  const std::string title =
      absl::StrCat("p2m of ", args.domain, args.raw ? ", stored words" : "");
  if (session.colors()) {
    session.colored_out() << RenderMap(map, Printable(title), true);
  } else {
    session.out() << RenderMap(map, title, false);
  }
  return absl::OkStatus();
}

}  // namespace

void AddP2mMapCommand(Commands& commands, Verb p2m) {
  auto args = std::make_shared<DrawMapArgs>();
  Verb verb = commands.Add(
      p2m, "map", "Draw the pfn space on one screen",
      [args](Session& session) { return DrawMap(session, *args); });
  verb.AddPositional(kDomainName, args->domain, kDomainHelp).Required();
  verb.AddFlag("--raw", args->raw,
               "Draw stored words: shared identity leaves are missing");
  verb.AddOption("--width", args->width,
                 "Columns to draw in [those of the terminal, or 80]")
      .Between(20, 4096);
  verb.SetFooter(
      "Each cell stands for the same number of pfns, a power of two.  R is\n"
      "RAM, I identity, F foreign, . missing; r, i, f and m are cells with\n"
      "several classes, named after the largest.  A terminal gets coloured "
      "blocks\n"
      "unless NO_COLOR is set.  Stretches are runs of one class, and the\n"
      "largest is shown as in p2m dump, [first->end].");
}

}  // namespace simvisor::client
