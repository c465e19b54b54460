#include "client/ui/printable_output.h"

#include <algorithm>
#include <cerrno>
#include <set>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "base/printable.h"

namespace simvisor::client {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr size_t kMaxCharacterBytes = 4;

// Printable ASCII, as nearly all output is.
bool IsPlain(char c) {
  return (c >= ' ' && c <= '~') || c == '\n' || c == '\t';
}

// Whether a message of this type can hold a string.  `seen` holds the types
// under examination, because types may contain each other.
bool CanHoldText(const Descriptor* type, std::set<const Descriptor*>& seen) {
  if (!seen.insert(type).second) return false;
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor& field = *type->field(i);
    if (field.type() == FieldDescriptor::TYPE_STRING) return true;
    if (field.message_type() != nullptr &&
        CanHoldText(field.message_type(), seen)) {
      return true;
    }
  }
  return false;
}

// The same, with a cache: a list of runs has a million messages without text.
bool CanHoldText(const Descriptor* type) {
  ABSL_CONST_INIT static absl::Mutex mu(absl::kConstInit);
  static auto* known ABSL_GUARDED_BY(mu) =
      new absl::flat_hash_map<const Descriptor*, bool>();
  absl::MutexLock lock(&mu);
  const auto [entry, is_new] = known->try_emplace(type, false);
  if (is_new) {
    std::set<const Descriptor*> seen;
    entry->second = CanHoldText(type, seen);
  }
  return entry->second;
}

void MakeTextPrintable(Message& message, const FieldDescriptor& field) {
  const Reflection& reflection = *message.GetReflection();
  if (!field.is_repeated()) {
    reflection.SetString(&message, &field,
                         Printable(reflection.GetString(message, &field)));
    return;
  }
  for (int i = 0; i < reflection.FieldSize(message, &field); ++i) {
    reflection.SetRepeatedString(
        &message, &field, i,
        Printable(reflection.GetRepeatedString(message, &field, i)));
  }
}

void MakeMessagesPrintable(Message& message, const FieldDescriptor& field) {
  const Reflection& reflection = *message.GetReflection();
  if (!field.is_repeated()) {
    MakePrintable(*reflection.MutableMessage(&message, &field));
    return;
  }
  for (int i = 0; i < reflection.FieldSize(message, &field); ++i) {
    MakePrintable(*reflection.MutableRepeatedMessage(&message, &field, i));
  }
}

}  // namespace

void MakePrintable(Message& message) {
  if (!CanHoldText(message.GetDescriptor())) return;
  std::vector<const FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->type() == FieldDescriptor::TYPE_STRING) {
      MakeTextPrintable(message, *field);
    } else if (field->message_type() != nullptr &&
               CanHoldText(field->message_type())) {
      MakeMessagesPrintable(message, *field);
    }
  }
}

PrintableBuf::int_type PrintableBuf::overflow(int_type c) {
  if (traits_type::eq_int_type(c, traits_type::eof())) return sync();
  held_ += traits_type::to_char_type(c);
  return Write(/*may_go_on=*/true) ? c : traits_type::eof();
}

std::streamsize PrintableBuf::xsputn(const char* data, std::streamsize size) {
  held_.append(data, static_cast<size_t>(size));
  return Write(/*may_go_on=*/true) ? size : 0;
}

int PrintableBuf::sync() { return Write(/*may_go_on=*/false) ? 0 : -1; }

bool PrintableBuf::Write(bool may_go_on) {
  std::string out;
  absl::string_view rest = held_;
  while (!rest.empty()) {
    const auto plain = std::find_if_not(rest.begin(), rest.end(), &IsPlain);
    const auto size = static_cast<size_t>(plain - rest.begin());
    out.append(rest.data(), size);
    rest.remove_prefix(size);
    if (rest.empty()) break;
    const bool whole = FirstCharacter(rest).bytes > 0;
    if (!whole && may_go_on && rest.size() < kMaxCharacterBytes) break;
    rest.remove_prefix(AppendPrintable(rest, out));
  }
  held_ = std::string(rest);
  return Pass(out, !may_go_on);
}

bool PrintableBuf::Pass(absl::string_view text, bool flush) {
  if (!to_) return false;
  errno = 0;
  to_.write(text.data(), static_cast<std::streamsize>(text.size()));
  if (flush) to_.flush();
  if (!to_) error_ = errno;
  return static_cast<bool>(to_);
}

}  // namespace simvisor::client
