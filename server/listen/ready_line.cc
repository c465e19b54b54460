#include "server/listen/ready_line.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/version.h"

namespace simvisor::server {
namespace {

std::string JsonString(const std::string& text) {
  google::protobuf::Value value;
  value.set_string_value(text);
  std::string json;
  // This fails only for a string that is not UTF-8.
  if (!google::protobuf::util::MessageToJsonString(value, &json).ok()) {
    return "\"\"";
  }
  return json;
}

}  // namespace

std::string ReadyLine(pid_t pid, const std::vector<ListenAddress>& addresses) {
  std::vector<std::string> quoted;
  quoted.reserve(addresses.size());
  for (const ListenAddress& address : addresses) {
    quoted.push_back(JsonString(address.ToString()));
  }
  return absl::StrCat("{\"ready\":true,\"pid\":", pid, ",\"addresses\":[",
                      absl::StrJoin(quoted, ","),
                      "],\"version\":", JsonString(kVersion), "}\n");
}

}  // namespace simvisor::server
