// e820 explain, from its arguments to its output.  No daemon runs.

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "tests/client/verbs/verb_fixture.h"

namespace simvisor::client {
namespace {

class E820VerbTest : public VerbTest {
 protected:
  void Explain(const std::string& arguments) {
    RunWithoutAddress(absl::StrCat("e820 explain ", arguments));
  }
};

TEST_F(E820VerbTest, Explain) {
  Begin("e820 explain");
  daemon_.Shutdown();
  Note("A small machine");
  Explain(WriteFile("small",
                    "(XEN) Xen-e820 RAM map:\n"
                    "(XEN)  [0000000000000000, 000000000009a7ff] (usable)\n"
                    "(XEN)  [000000000009a800, 000000000009ffff] (reserved)\n"
                    "(XEN)  [0000000000100000, 0000000007ffffff] (usable)\n"
                    "(XEN)  [00000000fec00000, 00000000fec00fff] "
                    "(reserved)\n") +
          " --dom0-ibft off --dom0-memory 64 --dom0-max-memory 65 "
          "--guest-memory 16");
  Note("A log of a dom0 gives its kernel's figures");
  Explain("tests/testdata/e820/msi-h61m-8g-dom0.dmesg --dom0-memory 7024020k");
  Note("Another file is named with what is wrong with it");
  Explain(WriteFile("web.cfg", "name = 'web'\n"));
  Explain(WriteFile("empty", ""));
  Explain(WriteFile("web.img", "Xen saved domain, xl format\n"));
  Note("A serial capture shows the memory that dom0 had");
  const std::string capture = "tests/testdata/e820/serial-capture.log ";
  Explain(capture);
  RunWithoutAddress("-o json e820 explain " + capture +
                    "--guest-memory 1g --guest-max-memory 2g");
  Note("A trimmed map, as Linux prints it with dom0_mem=1G,max:1G");
  Explain(WriteFile("trimmed",
                    "[    0.000000] Linux version 4.19.0 (a@b)\n"
                    "[    0.000000] Xen: [mem 0x0-0x9dfff] usable\n"
                    "[    0.000000] Xen: [mem 0x9e000-0xfffff] reserved\n"
                    "[    0.000000] Xen: [mem 0x100000-0x40061fff] usable\n") +
          " --dom0-memory 1g");
  Note("A kernel of today reserves the iBFT area unless the log says no");
  const std::string plain =
      WriteFile("plain",
                "(XEN)  [0000000000000000, 000000000009ffff] (usable)\n"
                "(XEN)  [0000000000100000, 000000003fffffff] (usable)\n");
  for (const char* ibft : {"auto", "on", "off", "maybe"}) {
    Explain(absl::StrCat(plain, " --dom0-ibft ", ibft));
  }
  Note("Logs that cannot be read or explained fail, with a reason");
  Explain("/nowhere/log");
  Explain(WriteFile("bad", "BIOS-e820: [mem 0x0-0xfff] us\n"));
  Explain(capture + "--dom0-memory 64g");
  Note("Sizes that cannot be read are usage errors");
  Explain(capture + "--dom0-memory lots");
  Explain(capture + "--dom0-max-memory lots");
  Explain(capture + "--guest-max-memory 1g");
  Explain(capture + "--guest-memory 4g --guest-max-memory 1g");
  Explain("");
}

}  // namespace
}  // namespace simvisor::client
