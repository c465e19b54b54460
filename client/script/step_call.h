// The call of a script's step, read by reflection.
//
// A step holds one of many XxxCall messages, all of which have the fields
// request and expect; the method is the one that takes that type of request.  A
// method added to the API and to script.proto needs no code here.
//
// Thread safety: a view of a step that must outlive it.

#ifndef SIMVISOR_CLIENT_SCRIPT_STEP_CALL_H_
#define SIMVISOR_CLIENT_SCRIPT_STEP_CALL_H_

#include <memory>

#include "absl/strings/string_view.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "google/protobuf/text_format.h"
#include "simvisor/v1/script.pb.h"

namespace simvisor::client {

// How the fields of a call begin in a path that leads into it.
inline constexpr absl::string_view kRequestPrefix = "request.";
inline constexpr absl::string_view kExpectPrefix = "expect.";

class StepCall {
 public:
  // REQUIRES: a call is set.
  explicit StepCall(const v1::Step& step);

  // The method to call; nullptr if no service of the API takes such a request.
  const google::protobuf::MethodDescriptor* method() const;

  // The whole call, an XxxCall.
  const google::protobuf::Message& call() const { return *call_; }

  // The request; empty if the step has none.
  const google::protobuf::Message& request() const;

  // The fields that are expected; nullptr if the step expects no response.
  const google::protobuf::Message* expected() const;

  // An empty response of the method.
  std::unique_ptr<google::protobuf::Message> NewResponse() const;

  // The call of `step`, to change it.
  // REQUIRES: a call is set.
  static google::protobuf::Message& MutableCall(v1::Step& step);

  // Locations of what the script's text names inside `expect`; nullptr if it
  // names nothing.
  google::protobuf::TextFormat::ParseInfoTree* ExpectedLocations(
      google::protobuf::TextFormat::ParseInfoTree& step) const;

 private:
  const google::protobuf::FieldDescriptor* field_;  // in Step
  const google::protobuf::Message* call_;
  const google::protobuf::FieldDescriptor* request_field_;
  const google::protobuf::FieldDescriptor* expect_field_;
};

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_SCRIPT_STEP_CALL_H_
