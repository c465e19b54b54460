#include "tests/vectors/operations.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "gtest/gtest.h"

namespace simvisor {

Json CannotReplay(absl::string_view why) {
  ADD_FAILURE() << "this cannot be replayed: " << why;
  return Json(Json::value_t::discarded);
}

bool HasKeys(const Json& object, absl::string_view keys) {
  bool right = object.is_object();
  std::vector<std::string> known;
  for (absl::string_view key :
       absl::StrSplit(keys, ' ', absl::SkipWhitespace())) {
    const bool optional = absl::ConsumeSuffix(&key, "?");
    known.emplace_back(key);
    if (optional || object.contains(known.back())) continue;
    ADD_FAILURE() << "key " << key << " is missing";
    right = false;
  }
  for (const auto& item : object.items()) {
    if (std::count(known.begin(), known.end(), item.key()) > 0) continue;
    ADD_FAILURE() << "key " << item.key() << " is not one of: " << keys;
    right = false;
  }
  return right;
}

Json Operations::Run(const Json& step) const {
  const auto found = operations_.find(step.value("op", ""));
  if (found == operations_.end()) {
    return CannotReplay(absl::StrCat("unknown op: ", step.dump()));
  }
  const Operation& operation = found->second;
  if (!HasKeys(step, absl::StrCat("op expect? note? ", operation.keys))) {
    return CannotReplay("its keys are not those of the op");
  }
  return operation.run(step);
}

}  // namespace simvisor
