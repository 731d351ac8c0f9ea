// SPDX-License-Identifier: Apache-2.0
// A model and the transactor in one library, without cocotb: what standalone.py calls, for either engine.
#pragma once

#include <cstdint>
#include <exception>
#include <string>

#include "transactor.h"

// Taps need the simulator's own tables of names: this library has none.
bool bench_find(const char*, const char*, const uint8_t**) { return false; }

// Makes a model, which starts anew, and runs the steps; exceptions are its failures.
void run_model(uint64_t seed, uint64_t select);

// Null if all went well, else what the model had to say.
extern "C" const char* model_run(uint64_t seed, uint64_t select) {
  static std::string said;
  try {
    run_model(seed, select);
    return nullptr;
  } catch (const std::exception& error) {
    said = error.what();
    return said.c_str();
  }
}
