// Keeps text of daemons, their peers and files from controlling the terminal.
//
// Two steps make text safe.  MakePrintable() escapes the strings of a response,
// line feeds included, so that no string can forge a line; a Session does it to
// every response that it prints as text.  PrintableBuf escapes everything that
// is written through it except line feed and tab, so that the only escape
// sequences are the program's own, wherever the text came from.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_CLIENT_UI_PRINTABLE_OUTPUT_H_
#define SIMVISOR_CLIENT_UI_PRINTABLE_OUTPUT_H_

#include <ostream>
#include <streambuf>
#include <string>

#include "google/protobuf/message.h"

namespace simvisor::client {

// Makes every string of `message`, at any depth, Printable().  Fields of bytes
// stay as they are.
void MakePrintable(google::protobuf::Message& message);

// Passes printable text, line feeds and tabs to another stream, and escapes the
// rest as AppendPrintable() does; within a JSON string that is valid JSON,
// since protobuf escapes the ASCII control characters itself.
class PrintableBuf : public std::streambuf {
 public:
  // `to` must outlive this object.
  explicit PrintableBuf(std::ostream& to) : to_(to) {}

  // The errno of the write that the other stream failed with; 0 if it has not
  // failed, or did so in another way.
  int error() const { return error_; }

 protected:
  int_type overflow(int_type c) override;
  std::streamsize xsputn(const char* data, std::streamsize size) override;
  // Writes the beginning of a character, if it is held, as bytes.
  int sync() override;

 private:
  // Writes the held text.  With `may_go_on`, keeps a last character whose other
  // bytes may still come; without, flushes the other stream.
  bool Write(bool may_go_on);
  bool Pass(absl::string_view text, bool flush);

  std::ostream& to_;
  std::string held_;  // less than a character between two calls
  int error_ = 0;
};

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_UI_PRINTABLE_OUTPUT_H_
