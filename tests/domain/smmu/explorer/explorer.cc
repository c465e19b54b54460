#include "tests/domain/smmu/explorer/explorer.h"

#include <functional>
#include <unordered_set>
#include <utility>

#include "absl/strings/str_cat.h"

namespace simvisor {
namespace {

class Search {
 public:
  explicit Search(const Scenario& scenario) : scenario_(scenario) {}

  Exploration Run() {
    Visit();
    while (!open_.empty() && result_.violation.empty()) {
      path_ = std::move(open_.back());
      open_.pop_back();
      Visit();
    }
    return result_;
  }

 private:
  using Path = std::vector<World::Step>;

  std::unique_ptr<World> Replay(std::string* described) const {
    std::unique_ptr<World> world = scenario_.make();
    for (const World::Step step : path_) {
      if (described != nullptr) {
        absl::StrAppend(described, "\n  ", world->Describe(step));
      }
      world->Take(step);
    }
    return world;
  }

  // Looks at the state at the end of path_, and notes the steps from there.
  void Visit() {
    ++result_.paths;
    const std::unique_ptr<World> world = Replay(nullptr);
    world->Check();
    const std::vector<World::Step> steps = world->Steps();
    const std::string state = world->TakeState();
    const bool known = !seen_.insert(std::hash<std::string>()(state)).second;
    if (steps.empty() && !known) {
      ++result_.ends;
      world->CheckEnd();
    }
    if (!world->violation().empty()) {
      result_.violation = world->violation();
      Replay(&result_.violation);
      return;
    }
    if (known) return;
    ++result_.states;
    for (const World::Step step : steps) {
      open_.push_back(path_);
      open_.back().push_back(step);
    }
  }

  const Scenario& scenario_;
  Path path_;
  std::vector<Path> open_;
  std::unordered_set<size_t> seen_;
  Exploration result_;
};

}  // namespace

Exploration Explore(const Scenario& scenario) { return Search(scenario).Run(); }

}  // namespace simvisor
