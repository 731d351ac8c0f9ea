// SPDX-License-Identifier: Apache-2.0
// The simulator's main loop: cocotb's callbacks, and between them the clock of a running script, as many cycles at a
// stretch as cocotb has nothing to do. Written for this bench; order of callbacks as in IEEE 1800-2017, 4.4 and 38.36.
#include <memory>
#include <string>

#include "Vtop.h"
#include "find.h"
#include "transactor.h"
#include "verilated.h"
#include "verilated_vpi.h"
#if VM_TRACE
#include "verilated_vcd_c.h"
#endif

// Comes from cocotb's library: loads Python, registers its first callbacks.
extern "C" void vlog_startup_routines_bootstrap();

// Asked for as long as the context's own time is 0.
double sc_time_stamp() { return 0; }

// What Vtop::eval() calls, between cleaning up behind classes and looking for messages of other threads: a lock a call,
// a tenth of the time. BENCH_DIRECT tells that this model has neither (verilate.py).
void Vtop___024root___eval(Vtop___024root* vlSelf);

namespace {

// In Verilator's default precision of 1 ps; 10 ns a cycle, as in compiled.py.
constexpr uint64_t HALF_PERIOD = 5000;
constexpr uint64_t NEVER = ~uint64_t(0);

class Simulation {
 public:
  explicit Simulation(VerilatedContext& context) : context_(context), model_(new Vtop(&context, "")) {}

  void trace(const std::string& file) {
#if VM_TRACE
    context_.traceEverOn(true);
    vcd_.reset(new VerilatedVcdC);
    model_->trace(vcd_.get(), 99);
    vcd_->open(file.c_str());
#endif
  }

  void run() {
    VerilatedVpi::callCbs(cbStartOfSimulation);
    values();
    while (!context_.gotFinish()) {
      time_step();
      const bool ended = run_script();
      // A $finish of the design's own is not for cocotb to judge: it ends everything, and the run leaves no result.
      if (context_.gotFinish()) break;
      if (ended) {
        values();
        continue;
      }
      const uint64_t next = VerilatedVpi::cbNextDeadline();
      if (next == NEVER) break;
      context_.time(next);
      VerilatedVpi::callCbs(cbNextSimTime);
      values();
      VerilatedVpi::callTimedCbs();
      values();
    }
    VerilatedVpi::callCbs(cbEndOfSimulation);
    model_->final();
#if VM_TRACE
    if (vcd_) vcd_->close();
#endif
  }

 private:
  VerilatedContext& context_;
  std::unique_ptr<Vtop> model_;
#if VM_TRACE
  std::unique_ptr<VerilatedVcdC> vcd_;
#endif

  // Callbacks on values can change values.
  static void values() {
    while (VerilatedVpi::callValueCbs()) {}
  }

  void time_step() {
    do {
      do {
        model_->eval();
        VerilatedVpi::clearEvalNeeded();
        VerilatedVpi::doInertialPuts();
        values();
      } while (VerilatedVpi::evalNeeded());
      VerilatedVpi::callCbs(cbReadWriteSynch);
      VerilatedVpi::doInertialPuts();
      values();
    } while (VerilatedVpi::evalNeeded());
    VerilatedVpi::callCbs(cbReadOnlySynch);
    dump();
  }

  // Whole cycles, up to the next time at which cocotb wants to be called; whether the script came to its end.
  bool run_script() {
    if (!bench_running()) return false;
    const uint64_t end = VerilatedVpi::cbNextDeadline();
    while (bench_running() && end - context_.time() >= 2 * HALF_PERIOD) {
      clock(0);
      if (bench_has_taps()) bench_sample_taps();
      clock(1);
      if (VL_UNLIKELY(context_.gotFinish())) break;
    }
    return !bench_running();
  }

  void clock(uint8_t level) {
    context_.timeInc(HALF_PERIOD);
    model_->clk = level;
#if BENCH_DIRECT && !VM_TRACE
    Vtop___024root___eval(model_->rootp);
#else
    // Notes, too, what the next dump of waves has to look at.
    model_->eval();
#endif
    dump();
  }

  void dump() {
#if VM_TRACE
    if (vcd_) vcd_->dump(context_.time());
#endif
  }
};

}  // namespace

int main(int argc, char** argv) {
  VerilatedContext& context = *Verilated::threadContextp();
  context.commandArgs(argc, argv);
  context.fatalOnVpiError(false);
  Simulation simulation(context);
  const std::string file = context.commandArgsPlusMatch("trace=");
  if (!file.empty()) simulation.trace(file.substr(std::string("+trace=").size()));
  vlog_startup_routines_bootstrap();
  simulation.run();
  return context.errorCount() > 0;
}
