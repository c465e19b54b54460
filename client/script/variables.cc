#include "client/script/variables.h"

#include <algorithm>
#include <cassert>
#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/quote.h"
#include "base/status_macros.h"
#include "google/protobuf/descriptor.h"

namespace simvisor::client {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

struct Piece {
  bool is_variable;
  std::string text;  // what is written, or the variable's name
};

absl::StatusOr<std::vector<Piece>> Split(absl::string_view text) {
  std::vector<Piece> pieces;
  absl::string_view rest = text;
  for (size_t at; (at = rest.find("${")) != absl::string_view::npos;) {
    if (at > 0 && rest[at - 1] == '$') {
      pieces.push_back({false, absl::StrCat(rest.substr(0, at - 1), "${")});
      rest.remove_prefix(at + 2);
      continue;
    }
    const size_t end = std::min(rest.find('}', at), rest.size());
    const absl::string_view name = rest.substr(at + 2, end - (at + 2));
    if (end == rest.size() || !IsVariableName(name)) {
      return absl::InvalidArgumentError(
          absl::StrCat(Quoted(text),
                       ": ${ begins a variable, such as ${id}; "
                       "write $${ for ${ itself"));
    }
    pieces.push_back({false, std::string(rest.substr(0, at))});
    pieces.push_back({true, std::string(name)});
    rest.remove_prefix(end + 1);
  }
  pieces.push_back({false, std::string(rest)});
  return pieces;
}

using Visitor = absl::FunctionRef<absl::Status(std::string&)>;

absl::Status Visit(Message& message, Visitor visit);

absl::Status VisitString(Message& message, const FieldDescriptor* field,
                         int index, Visitor visit) {
  const auto* reflection = message.GetReflection();
  std::string text = index < 0
                         ? reflection->GetString(message, field)
                         : reflection->GetRepeatedString(message, field, index);
  SIMVISOR_RETURN_IF_ERROR(visit(text));
  if (index < 0) {
    reflection->SetString(&message, field, text);
  } else {
    reflection->SetRepeatedString(&message, field, index, text);
  }
  return absl::OkStatus();
}

absl::Status VisitField(Message& message, const FieldDescriptor* field,
                        Visitor visit) {
  const auto* reflection = message.GetReflection();
  const bool is_message = field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
  if (!is_message && field->type() != FieldDescriptor::TYPE_STRING) {
    return absl::OkStatus();
  }
  if (!field->is_repeated()) {
    return is_message
               ? Visit(*reflection->MutableMessage(&message, field), visit)
               : VisitString(message, field, -1, visit);
  }
  for (int i = 0; i < reflection->FieldSize(message, field); ++i) {
    SIMVISOR_RETURN_IF_ERROR(
        is_message
            ? Visit(*reflection->MutableRepeatedMessage(&message, field, i),
                    visit)
            : VisitString(message, field, i, visit));
  }
  return absl::OkStatus();
}

// Passes each string of `message` to `visit`, which may change it.
absl::Status Visit(Message& message, Visitor visit) {
  std::vector<const FieldDescriptor*> set;
  message.GetReflection()->ListFields(message, &set);
  for (const FieldDescriptor* field : set) {
    SIMVISOR_RETURN_IF_ERROR(VisitField(message, field, visit));
  }
  return absl::OkStatus();
}

}  // namespace

bool IsVariableName(absl::string_view name) {
  return !name.empty() && name.size() <= kMaxVariableName &&
         !absl::ascii_isdigit(name[0]) &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return absl::ascii_isalnum(c) || c == '_';
         });
}

absl::Status FindVariables(const Message& message,
                           std::set<std::string>& names) {
  const std::unique_ptr<Message> copy(message.New());
  copy->CopyFrom(message);
  return Visit(*copy, [&](const std::string& text) -> absl::Status {
    SIMVISOR_ASSIGN_OR_RETURN(const std::vector<Piece> pieces, Split(text));
    for (const Piece& piece : pieces) {
      if (piece.is_variable) names.insert(piece.text);
    }
    return absl::OkStatus();
  });
}

void ExpandVariables(const Variables& variables, Message& message) {
  const absl::Status expanded = Visit(message, [&](std::string& text) {
    const auto pieces = Split(text);
    if (!pieces.ok()) return pieces.status();
    text = absl::StrJoin(*pieces, "", [&](std::string* out, const Piece& p) {
      absl::StrAppend(out, p.is_variable ? variables.at(p.text) : p.text);
    });
    return absl::OkStatus();
  });
  assert(expanded.ok());
  static_cast<void>(expanded);
}

}  // namespace simvisor::client
