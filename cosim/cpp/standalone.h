// SPDX-License-Identifier: Apache-2.0
// A model and the transactor in one library, without cocotb: what standalone.py calls, for either engine.
#pragma once

#include <cstdint>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include "transactor.h"

// Makes a model, which starts anew, and runs the steps; exceptions are its failures.
void run_model(uint64_t seed, uint64_t select);

// What `bench_tap` is called with once there is a model, whose signals have places.
struct Wanted {
  std::string scope, valid, index, data;
  int64_t index_bytes, data_bytes;
};
inline std::vector<Wanted> wanted_taps;

inline void find_taps() {
  for (const Wanted& tap : wanted_taps) {
    const char* index = tap.index.empty() ? nullptr : tap.index.c_str();
    if (!bench_tap(tap.scope.c_str(), tap.valid.c_str(), index, tap.data.c_str(), tap.index_bytes, tap.data_bytes)) {
      throw std::runtime_error("no signals " + tap.valid + ", " + tap.data + " in " + tap.scope);
    }
  }
}

// Has a tap recorded in the next run; the arguments are those of `bench_tap`.
extern "C" void model_tap(const char* scope, const char* valid, const char* index, const char* data,
                          int64_t index_bytes, int64_t data_bytes) {
  wanted_taps.push_back({scope, valid, index ? index : "", data, index_bytes, data_bytes});
}

// Null if all went well, else what the model had to say.
extern "C" const char* model_run(uint64_t seed, uint64_t select) {
  static std::string said;
  const char* complaint = nullptr;
  try {
    run_model(seed, select);
  } catch (const std::exception& error) {
    said = error.what();
    complaint = said.c_str();
  }
  wanted_taps.clear();
  return complaint;
}
