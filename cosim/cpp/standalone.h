// SPDX-License-Identifier: Apache-2.0
// A model and the transactor in one library, without cocotb: the functions that standalone.py calls, for either engine.
#pragma once

#include <cstdint>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include "transactor.h"

// Makes a new model and runs the steps. It throws an exception if the model fails.
void run_model(uint64_t seed, uint64_t select);

// Arguments for `bench_tap`, which is called once a model exists and its signals have addresses.
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

// Records a tap in the next run; the arguments are those of `bench_tap`.
extern "C" void model_tap(const char* scope, const char* valid, const char* index, const char* data,
                          int64_t index_bytes, int64_t data_bytes) {
  wanted_taps.push_back({scope, valid, index ? index : "", data, index_bytes, data_bytes});
}

// Returns null, or the model's error message.
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
