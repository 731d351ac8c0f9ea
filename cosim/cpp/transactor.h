// SPDX-License-Identifier: Apache-2.0
// The transactor's interface to the simulator's main loop.
#pragma once

#include <cstddef>
#include <cstdint>

// Whether a script runs: the main loop then drives the clock.
bool bench_running();
// Whether taps are recorded.
bool bench_has_taps();
// Called before each rising edge, when all signals have settled.
void bench_sample_taps();
// Sets the addresses of a tap's signals; index may be null. Returns false if there is no such signal.
bool bench_find(const char* scope, const char* name, const uint8_t** data);
// Records a tap, given its signals' scope and names (index may be null) and their bytes in memory. Returns false if
// there is no such signal.
extern "C" int bench_tap(const char* scope, const char* valid, const char* index, const char* data, int64_t index_bytes,
                         int64_t data_bytes);
