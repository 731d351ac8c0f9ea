// SPDX-License-Identifier: Apache-2.0
// The clock of a Verilated model with bench.sv at its top, as in main.cpp, but without cocotb beside it.
#include <memory>
#include <stdexcept>
#include <string>

#include "Vtop.h"
#include "find.h"
#include "standalone.h"
#include "verilated.h"

// As in main.cpp.
void Vtop___024root___eval(Vtop___024root* vlSelf);

// Verilator's own functions would end the process, which is the caller's here.
void vl_fatal(const char*, int, const char*, const char* message) { throw std::runtime_error(message); }
void vl_finish(const char*, int, const char*) { throw std::runtime_error("the design has ended the simulation"); }
void vl_stop(const char*, int, const char*) { throw std::runtime_error("the design has stopped the simulation"); }

namespace {

// Makes this the thread's context during its lifetime.
class Context {
 public:
  explicit Context(int seed) : before_(Verilated::threadContextp()) {
    Verilated::threadContextp(&own);
    own.randReset(2);
    own.randSeed(seed);
  }
  ~Context() { Verilated::threadContextp(before_); }

  VerilatedContext own;

 private:
  VerilatedContext* before_;
};

}  // namespace

void run_model(uint64_t seed, uint64_t select) {
  Context context{int(seed)};
  Vtop model{&context.own, ""};
#if BENCH_SELECT
  model.cosim_select = select;
#endif
  model.eval();
  find_taps();
  while (bench_running()) {
    for (const int level : {0, 1}) {
      if (level && bench_has_taps()) bench_sample_taps();
      model.clk = level;
#if BENCH_DIRECT
      Vtop___024root___eval(model.rootp);
#else
      model.eval();
#endif
    }
  }
  model.final();
}
