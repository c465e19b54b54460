#include <array>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "bench/rpc/crowd.h"
#include "bench/rpc/ops_stream.h"
#include "bench/rpc/scenario.h"
#include "bench/rpc/target_steps.h"

namespace simvisor::bench {
namespace {

constexpr uint64_t kDomains = 100;
constexpr int kOpsInFlight = 8;
constexpr unsigned kSeed = 1;
constexpr int kPfns = 4;  // per lookup
constexpr uint64_t kEmptyMessages = 1000;

struct Size {
  uint64_t batch;     // operations per message
  uint64_t messages;  // per round
};
constexpr std::array<Size, 4> kSizes = {
    {{1, 1000}, {16, 500}, {256, 64}, {1024, 16}}};

// Operations of one kind on the first `domains` domains in turn.
class Ops {
 public:
  Ops(const Crowd& crowd, uint64_t domains)
      : crowd_(crowd), domains_(domains) {}
  virtual ~Ops() = default;

  // Fills in the next message, of `batch` operations.
  void Fill(uint64_t batch, v1::StreamMemoryOpsRequest& request) {
    request.mutable_ops()->Clear();
    for (uint64_t i = 0; i < batch; ++i, ++made_) {
      v1::MemoryOp& op = *request.add_ops();
      op.set_id(made_);
      op.mutable_domain()->set_domid(crowd_.domid(DomainOf(made_, domains_)));
      FillOp(made_, op);
    }
  }
  virtual absl::Status Take(const v1::MemoryOpResult& result) = 0;

  uint64_t domains() const { return domains_; }

 private:
  virtual void FillOp(uint64_t number, v1::MemoryOp& op) = 0;

  const Crowd& crowd_;
  const uint64_t domains_;
  uint64_t made_ = 0;
};

class Targets final : public Ops {
 public:
  using Ops::Ops;
  absl::Status Take(const v1::MemoryOpResult& result) override {
    return CheckMoved(TargetOf(result.id(), domains()),
                      result.set_target().memory());
  }

 private:
  void FillOp(uint64_t number, v1::MemoryOp& op) override {
    op.mutable_set_target()->set_target_pages(TargetOf(number, domains()));
  }
};

class Lookups final : public Ops {
 public:
  using Ops::Ops;
  absl::Status Take(const v1::MemoryOpResult& result) override {
    const int got = result.translate().frames_size();
    if (got == kPfns) return absl::OkStatus();
    return absl::InternalError(
        absl::StrCat(got, " frames for ", kPfns, " pfns"));
  }

 private:
  void FillOp(uint64_t /*number*/, v1::MemoryOp& op) override {
    for (int i = 0; i < kPfns; ++i) {
      op.mutable_translate()->add_pfns(random_() % Crowd::kPages);
    }
  }

  std::minstd_rand random_{kSeed};
};

absl::StatusOr<double> RunBatches(const Connections& connections, Ops& ops,
                                  const Size& size) {
  return RunOps(
      connections.front(),
      {.messages = size.messages,
       .batch = size.batch,
       .fill =
           [&](uint64_t, v1::StreamMemoryOpsRequest& request) {
             ops.Fill(size.batch, request);
           },
       .take =
           [&](const v1::MemoryOpResult& result) { return ops.Take(result); }});
}

struct Series {
  std::vector<double> rates;   // operations per second
  std::vector<double> ratios;  // messages relative to empty ones
};

absl::Status MeasureOpsOf(const Connections& connections,
                          const std::string& name, int rounds, Ops& ops,
                          Report& report) {
  // After this each target moves pages, whatever the state was before.
  SIMVISOR_RETURN_IF_ERROR(
      RunBatches(connections, ops, {2 * ops.domains(), 1}).status());
  std::vector<double> empty_rates;
  std::array<Series, kSizes.size()> series;
  for (int round = 0; round < rounds; ++round) {
    SIMVISOR_ASSIGN_OR_RETURN(
        const double empty,
        RunOps(connections.front(), {.messages = kEmptyMessages,
                                     .batch = 0,
                                     .fill = nullptr,
                                     .take = nullptr}));
    empty_rates.push_back(empty);
    for (size_t i = 0; i < kSizes.size(); ++i) {
      SIMVISOR_ASSIGN_OR_RETURN(const double rate,
                                RunBatches(connections, ops, kSizes[i]));
      series[i].rates.push_back(rate * static_cast<double>(kSizes[i].batch));
      series[i].ratios.push_back(rate / empty);
    }
  }
  report.Add(absl::StrCat(name, "/empty"), empty_rates, "messages/s");
  for (size_t i = 0; i < kSizes.size(); ++i) {
    report.Add(absl::StrCat(name, "/", kSizes[i].batch), series[i].rates,
               "ops/s", absl::StrCat(name, "/empty"), series[i].ratios);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status MeasureOps(const Site& site, const Options& options,
                        Report& report) {
  SIMVISOR_ASSIGN_OR_RETURN(const Connections connections,
                            Connect(site.address, 1));
  Crowd crowd(kDomains);
  SIMVISOR_RETURN_IF_ERROR(crowd.Create(connections, kOpsInFlight).status());
  for (const uint64_t domains : {uint64_t{1}, kDomains}) {
    const std::string words =
        absl::StrCat(domains, domains == 1 ? "_domain" : "_domains");
    Targets targets(crowd, domains);
    SIMVISOR_RETURN_IF_ERROR(
        MeasureOpsOf(connections, absl::StrCat("ops/set_target/", words),
                     options.rounds, targets, report));
    Lookups lookups(crowd, domains);
    SIMVISOR_RETURN_IF_ERROR(MeasureOpsOf(connections,
                                          absl::StrCat("ops/translate/", words),
                                          options.rounds, lookups, report));
  }
  return crowd.Destroy(connections, kOpsInFlight).status();
}

}  // namespace simvisor::bench
