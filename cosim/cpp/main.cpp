// SPDX-License-Identifier: Apache-2.0
// The simulator's main loop: cocotb's callbacks, and the clock while a script runs. It simulates without a pause up to
// cocotb's next callback. Written for this bench; the order of callbacks is that of IEEE 1800-2017, 4.4 and 38.36.
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

// Defined in cocotb's library: loads Python and registers the first callbacks.
extern "C" void vlog_startup_routines_bootstrap();

// Verilator calls it while the context's own time is 0.
double sc_time_stamp() { return 0; }

// Vtop::eval() calls this. It also cleans up after classes and looks for messages of other threads, which takes a lock
// in each call, a tenth of the time. BENCH_DIRECT means that this model has neither (verilate.py).
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
      // A $finish in the design ends the simulation without a result; cocotb does not judge it.
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

  // Simulates whole cycles up to cocotb's next callback; returns whether the script has ended.
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
    // Also records what the next dump of waves must include.
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
