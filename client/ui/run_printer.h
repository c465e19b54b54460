// Prints p2m runs as they arrive, merged across responses.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_CLIENT_UI_RUN_PRINTER_H_
#define SIMVISOR_CLIENT_UI_RUN_PRINTER_H_

#include <optional>
#include <ostream>
#include <string>

#include "simvisor/v1/common.pb.h"

namespace simvisor::client {

// Prints runs in the form of the kernel's p2m dump, " [0x0->0x200] pfn", which
// shows foreign pfns as pfn, too.  By frame, RAM and foreign runs also show
// their frames, and end where the frames are not consecutive.
class RunPrinter {
 public:
  RunPrinter(std::ostream& out, bool by_frame)
      : out_(out), by_frame_(by_frame) {}

  // Adds the next run, which begins where the last one ended.
  void Add(const v1::P2mRun& run);

  // Prints the run that Add() still holds.
  void Flush();

 private:
  bool Continues(const v1::P2mRun& run) const;

  std::ostream& out_;
  const bool by_frame_;
  std::optional<v1::P2mRun> held_;
};

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_UI_RUN_PRINTER_H_
