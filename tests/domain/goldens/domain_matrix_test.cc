// Every operation on a domain in every state of a domain: what the call
// returns, and what changes.
//
// Two files remember it.  domain_matrix.txt has a line for each case:
//   state | operation | OK and result, or CODE REASON | figures that changed
// If a state is like another one, only the cases that differ have lines.
// domain_messages.txt has each message that a case gave, once.  Each case has
// its own machine (tests/domain/goldens/matrix_scene.h).

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/domain/goldens/golden_calls.h"
#include "tests/domain/goldens/matrix_balloon_operations.h"
#include "tests/domain/goldens/matrix_figures.h"
#include "tests/domain/goldens/matrix_guest_operations.h"
#include "tests/domain/goldens/matrix_life_operations.h"
#include "tests/domain/goldens/matrix_operation.h"
#include "tests/domain/goldens/matrix_p2m_operations.h"
#include "tests/domain/goldens/matrix_scene.h"
#include "tests/support/golden_file.h"

namespace simvisor {
namespace {

MatrixOperations AllOperations() {
  MatrixOperations all;
  for (const auto topic :
       {LifeOperations, HostOperations, TravelOperations, BalloonOperations,
        LookupOperations, MarkOperations, SetOperations, FrameOperations,
        ForeignOperations, PageOperations, LoadOperations, ProcessOperations,
        VcpuOperations}) {
    for (MatrixOperation& operation : topic()) {
      all.push_back(std::move(operation));
    }
  }
  return all;
}

class Matrix {
 public:
  // Runs each operation in each of `states`, and appends `suffix` to their
  // names.  States with a suffix are like those without.
  void Run(const std::vector<MatrixState>& states, const std::string& suffix) {
    for (const MatrixState& state : states) {
      Begin(state, suffix.empty() ? state.like : state.name,
            state.name + suffix);
      for (const MatrixOperation& operation : operations_) {
        RunCase(state, operation);
      }
      End();
    }
  }

  const std::string& lines() const { return lines_; }
  const std::string& messages() const { return messages_; }

 private:
  // The results of the cases of a state, by operation.
  using Results = std::map<std::string, std::string>;

  void Begin(const MatrixState& state, const std::string& like,
             const std::string& name) {
    like_ = like;
    name_ = name;
    const Scene scene = state.make();
    absl::StrAppend(&lines_, name_, " | as it is | ",
                    TextOf(FiguresOf(*scene.host, *scene.guest)), "\n");
  }

  void RunCase(const MatrixState& state, const MatrixOperation& operation) {
    Scene scene = state.make();
    const Figures before = FiguresOf(*scene.host, *scene.guest);
    const Outcome outcome = operation.run(scene);
    const Figures after = FiguresOf(*scene.host, *scene.guest);
    results_[name_][operation.name] =
        absl::StrCat(outcome.text, " | ", Changes(before, after));
    for (const std::string& message : outcome.messages) {
      if (!seen_.insert(message).second) continue;
      absl::StrAppend(&messages_, operation.name, " | ", message, "\n");
    }
    EXPECT_THAT(calls::Audit(*scene.host).findings, testing::IsEmpty())
        << name_ << " | " << operation.name;
  }

  // Writes the cases that differ from the state that this one is like.
  void End() {
    size_t same = 0;
    for (const MatrixOperation& operation : operations_) {
      const std::string& result = results_[name_][operation.name];
      if (!like_.empty() && results_.at(like_)[operation.name] == result) {
        ++same;
      } else {
        absl::StrAppend(&lines_, name_, " | ", operation.name, " | ", result,
                        "\n");
      }
    }
    if (like_.empty()) return;
    absl::StrAppend(&lines_, name_, " | ", same, " other operations | as \"",
                    like_, "\"\n");
  }

  const MatrixOperations operations_ = AllOperations();
  std::string name_;
  std::string like_;
  std::map<std::string, Results> results_;  // by state
  std::set<std::string> seen_;
  std::string lines_;
  std::string messages_;
};

TEST(DomainMatrixTest, EveryOperationInEveryStateIsAsTheGoldenFilesSay) {
  Matrix matrix;
  matrix.Run(CommonStates(Arch::kX86_64), "");
  matrix.Run(MoreStates(), "");
  matrix.Run(CommonStates(Arch::kX86_32Pae), " (PAE)");
  ExpectGolden("domain_matrix.txt", matrix.lines());
  ExpectGolden("domain_messages.txt", matrix.messages());
}

TEST(DomainMatrixTest, OperationsAndStatesHaveUniqueNames) {
  std::set<std::string> names;
  for (const MatrixOperation& operation : AllOperations()) {
    EXPECT_TRUE(names.insert(operation.name).second) << operation.name;
  }
  for (const auto& states : {CommonStates(Arch::kX86_64), MoreStates()}) {
    for (const MatrixState& state : states) {
      EXPECT_TRUE(names.insert(state.name).second) << state.name;
    }
  }
}

}  // namespace
}  // namespace simvisor
