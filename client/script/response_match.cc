#include "client/script/response_match.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "google/protobuf/util/message_differencer.h"

namespace simvisor::client {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::TextFormat;
using google::protobuf::util::MessageDifferencer;

// Compares fields that the text sets to their default value; MessageDifferencer
// cannot see those.
class DefaultsCheck {
 public:
  explicit DefaultsCheck(std::vector<std::string>& lines) : lines_(lines) {}

  void Run(const Message& expected, const Message& actual,
           TextFormat::ParseInfoTree& locations, const std::string& path) {
    const auto* descriptor = expected.GetDescriptor();
    for (int i = 0; i < descriptor->field_count(); ++i) {
      const FieldDescriptor* field = descriptor->field(i);
      const std::string name = absl::StrCat(path, field->name());
      if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
        Descend(*field, expected, actual, locations, name);
      } else if (!field->is_repeated() && !field->has_presence() &&
                 locations.GetLocation(field, -1).line >= 0) {
        CompareDefault(*field, expected, actual, name);
      }
    }
  }

 private:
  void CompareDefault(const FieldDescriptor& field, const Message& expected,
                      const Message& actual, const std::string& name) {
    const bool is_default =
        !expected.GetReflection()->HasField(expected, &field);
    if (!is_default || !actual.GetReflection()->HasField(actual, &field))
      return;
    lines_.push_back(absl::StrCat("modified: ", name, ": ",
                                  Print(field, expected), " -> ",
                                  Print(field, actual)));
  }

  static std::string Print(const FieldDescriptor& field,
                           const Message& message) {
    std::string text;
    TextFormat::PrintFieldValueToString(message, &field, -1, &text);
    return text;
  }

  void Descend(const FieldDescriptor& field, const Message& expected,
               const Message& actual, TextFormat::ParseInfoTree& locations,
               const std::string& name) {
    const auto* reflection = expected.GetReflection();
    if (!field.is_repeated()) {
      auto* nested = locations.GetTreeForNested(&field, -1);
      if (nested == nullptr) return;
      Run(reflection->GetMessage(expected, &field),
          reflection->GetMessage(actual, &field), *nested, name + ".");
      return;
    }
    const int size = std::min(reflection->FieldSize(expected, &field),
                              reflection->FieldSize(actual, &field));
    for (int i = 0; i < size; ++i) {
      auto* nested = locations.GetTreeForNested(&field, i);
      if (nested == nullptr) continue;
      Run(reflection->GetRepeatedMessage(expected, &field, i),
          reflection->GetRepeatedMessage(actual, &field, i), *nested,
          absl::StrCat(name, "[", i, "]."));
    }
  }

  std::vector<std::string>& lines_;
};

}  // namespace

std::vector<std::string> FindMismatches(const Message& expected,
                                        const Message& actual,
                                        TextFormat::ParseInfoTree* locations) {
  std::string report;
  MessageDifferencer differencer;
  differencer.set_scope(MessageDifferencer::PARTIAL);
  differencer.ReportDifferencesToString(&report);
  std::vector<std::string> lines;
  if (!differencer.Compare(expected, actual)) {
    lines = absl::StrSplit(report, '\n', absl::SkipEmpty());
  }
  if (locations != nullptr) {
    DefaultsCheck(lines).Run(expected, actual, *locations, "");
  }
  return lines;
}

}  // namespace simvisor::client
