#include "tests/fuzz/image_restores.h"

#include <memory>

#include "absl/strings/str_cat.h"
#include "domain/host/host.h"
#include "domain/image/image_restorer.h"
#include "tests/fuzz/image_comparison.h"

namespace simvisor {
namespace {

constexpr uint64_t kHostPages = 8000;
constexpr uint64_t kDom0Pages = 1000;

std::unique_ptr<Host> MakeMachine() {
  HostConfig config;
  config.e820 = E820Map::SingleRam(PageCount(kHostPages));
  config.dom0_memory = PageCount(kDom0Pages);
  return Host::Create(config).value();
}

absl::StatusOr<DomainSpec> AnySpec(const std::optional<std::string>&) {
  DomainSpec spec;
  spec.name = "fuzzed";
  spec.vcpus = 0;
  return spec;
}

// The outcome, and what went wrong with the machine.
std::string Restore(Host& host, absl::string_view image, size_t piece,
                    std::string& wrong) {
  std::string outcome;
  {
    ImageRestorer restorer(host, AnySpec, LimitsFrom::kNotes);
    absl::Status status;
    for (size_t at = 0; status.ok() && at < image.size(); at += piece) {
      status = restorer.Feed(image.substr(at, piece));
    }
    if (status.ok()) {
      const auto domain = restorer.Finish();
      status = domain.status();
      if (domain.ok()) {
        outcome = absl::StrCat((*domain)->Info().memory.current.value());
        if (const auto d = CompareWithImage(**domain, image); d.has_value()) {
          absl::StrAppend(&wrong, *d, "; ");
        }
        (*domain)->Unpause({"unpause"}).IgnoreError();
        for (const std::string& finding : host.Audit().findings) {
          absl::StrAppend(&wrong, finding, "; ");
        }
        host.DestroyDomain((*domain)->id()).IgnoreError();
      }
    }
    if (!status.ok()) outcome = std::string(status.message());
  }
  for (const std::string& finding : host.Audit().findings) {
    absl::StrAppend(&wrong, finding, "; ");
  }
  if (host.Info().owned != PageCount(kDom0Pages)) {
    absl::StrAppend(&wrong, host.Info().owned.value(), " frames are owned; ");
  }
  if (host.image_memory().used() != 0) {
    absl::StrAppend(&wrong, host.image_memory().used(), " bytes are charged; ");
  }
  return outcome;
}

}  // namespace

std::optional<std::string> RestoreBytes(absl::string_view image) {
  const std::unique_ptr<Host> host = MakeMachine();
  std::string wrong;
  const std::string whole = Restore(*host, image, image.size() + 1, wrong);
  const std::string pieces = Restore(*host, image, 997, wrong);
  // Ids differ from one try to the next.
  const bool same = whole.size() == pieces.size();
  if (!same) absl::StrAppend(&wrong, "\"", whole, "\" or \"", pieces, "\"");
  if (wrong.empty()) return std::nullopt;
  return wrong;
}

}  // namespace simvisor
