// The way to the terminal: what daemons, their peers and files say is shown,
// and obeyed nowhere.
//
// Text comes out safe by two steps.  MakePrintable() escapes the strings of a
// response, line feeds included, so that none can forge a line; a Session has
// it done to every response that becomes text.  PrintableBuf escapes whatever
// is written through it but for line feed and tab, so that no escape sequence
// comes out that the program did not mean, whichever way its text came in.
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

// Writes to another stream what is printable, line feed and tab as they are,
// and the rest escaped as by AppendPrintable(); within a JSON string that is an
// escape of JSON, since protobuf escapes the ASCII controls itself.
class PrintableBuf : public std::streambuf {
 public:
  // `to` must outlive this object.
  explicit PrintableBuf(std::ostream& to) : to_(to) {}

 protected:
  int_type overflow(int_type c) override;
  std::streamsize xsputn(const char* data, std::streamsize size) override;
  // Writes the beginning of a character, if one is held, as bytes.
  int sync() override;

 private:
  // Writes what is held, but for a character whose end may still come.
  bool Write(bool may_go_on);

  std::ostream& to_;
  std::string held_;  // less than a character between two calls
};

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_UI_PRINTABLE_OUTPUT_H_
