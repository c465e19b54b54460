#include "client/script/step_call.h"

#include <cassert>

namespace simvisor::client {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;
using google::protobuf::Message;
using google::protobuf::MethodDescriptor;
using google::protobuf::TextFormat;

const MethodDescriptor* FindMethod(const FileDescriptor& file,
                                   const Descriptor* request) {
  for (int s = 0; s < file.service_count(); ++s) {
    for (int m = 0; m < file.service(s)->method_count(); ++m) {
      const MethodDescriptor* method = file.service(s)->method(m);
      if (method->input_type() == request) return method;
    }
  }
  return nullptr;
}

// REQUIRES: a call is set.
const google::protobuf::FieldDescriptor* CallField(const v1::Step& step) {
  assert(step.call_case() != v1::Step::CALL_NOT_SET);
  return step.GetReflection()->GetOneofFieldDescriptor(
      step, v1::Step::descriptor()->FindOneofByName("call"));
}

}  // namespace

StepCall::StepCall(const v1::Step& step)
    : field_(CallField(step)),
      call_(&step.GetReflection()->GetMessage(step, field_)),
      request_field_(call_->GetDescriptor()->FindFieldByName("request")),
      expect_field_(call_->GetDescriptor()->FindFieldByName("expect")) {}

// script.proto imports the file of every service.
const MethodDescriptor* StepCall::method() const {
  const FileDescriptor* file = v1::Script::descriptor()->file();
  for (int i = 0; i < file->dependency_count(); ++i) {
    const MethodDescriptor* method =
        FindMethod(*file->dependency(i), request_field_->message_type());
    if (method != nullptr) return method;
  }
  return nullptr;
}

const Message& StepCall::request() const {
  return call_->GetReflection()->GetMessage(*call_, request_field_);
}

const Message* StepCall::expected() const {
  const auto* reflection = call_->GetReflection();
  if (!reflection->HasField(*call_, expect_field_)) return nullptr;
  return &reflection->GetMessage(*call_, expect_field_);
}

std::unique_ptr<Message> StepCall::NewResponse() const {
  auto* factory = google::protobuf::MessageFactory::generated_factory();
  return std::unique_ptr<Message>(
      factory->GetPrototype(expect_field_->message_type())->New());
}

Message& StepCall::MutableCall(v1::Step& step) {
  return *step.GetReflection()->MutableMessage(&step, CallField(step));
}

TextFormat::ParseInfoTree* StepCall::ExpectedLocations(
    TextFormat::ParseInfoTree& step) const {
  TextFormat::ParseInfoTree* call = step.GetTreeForNested(field_, -1);
  return call == nullptr ? nullptr : call->GetTreeForNested(expect_field_, -1);
}

}  // namespace simvisor::client
