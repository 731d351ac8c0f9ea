// SPDX-License-Identifier: Apache-2.0
// The clock and the pins of a CXXRTL model. It takes the place of bench.sv and of the main loop.
//
// pins.h, written for each block, includes the model and has the macros MODEL (its class), WORDS (of 32 bits in an input
// beat), W_READY (an expression), W_DRIVE (statements, of `drive` and `w_data`), STATUS_REPORT and SELECT_DRIVE (of
// `select`).
#include "pins.h"

#include <cstring>
#include <stdexcept>

#include "standalone.h"

// Taps are for Verilated models.
bool bench_find(const char*, const char*, const uint8_t**) { return false; }

extern "C" int bench_edge(int seen, const uint32_t* m_data, uint32_t* s_data, int* w_data);
extern "C" void bench_status(int port, int value);

namespace {

// A block without combinational loops takes one.
constexpr int MOST_PASSES = 1000;

void settle(MODEL& model) {
  for (int passes = 0; passes < MOST_PASSES; passes++) {
    const bool converged = model.eval();
    if (!model.commit() || converged) return;
  }
  throw std::runtime_error("the design does not become stable");
}

}  // namespace

void run_model(uint64_t, uint64_t select) {
  MODEL model;
  SELECT_DRIVE
  settle(model);
  uint32_t s_data[WORDS] = {}, w_data = 0;
  while (bench_running()) {
    const int seen = model.p_s__axis__tready.data[0] | model.p_m__axis__tvalid.data[0] << 1 |
                     model.p_m__axis__tlast.data[0] << 2 | (W_READY) << 3;
    const int drive = bench_edge(seen, model.p_m__axis__tdata.data, s_data, reinterpret_cast<int*>(&w_data));
    if (drive & 128) {
      STATUS_REPORT
    }
    model.p_clk.data[0] = 1;
    settle(model);
    // After the edge, so that the registers have taken the earlier inputs.
    model.p_clk.data[0] = 0;
    model.p_rst.data[0] = drive & 1;
    model.p_s__axis__tvalid.data[0] = drive >> 1 & 1;
    model.p_s__axis__tlast.data[0] = drive >> 2 & 1;
    model.p_m__axis__tready.data[0] = drive >> 5 & 1;
    std::memcpy(model.p_s__axis__tdata.data, s_data, sizeof(s_data));
    W_DRIVE
    settle(model);
  }
}
