// SPDX-License-Identifier: Apache-2.0
// What the simulator's main loop knows of the transactor.
#pragma once

#include <cstddef>
#include <cstdint>

// Whether a script runs: the main loop then makes the clock.
bool bench_running();
// Whether taps are recorded.
bool bench_has_taps();
// Called in front of each rising edge, when all signals have settled.
void bench_sample_taps();
// Gives a tap its signals' places in memory; index may be null. False if there is no such signal.
bool bench_find(const char* scope, const char* name, const uint8_t** data);
// Has a tap recorded: its signals' scope and names (index may be null), and the bytes that they take in memory. False if
// a signal isn't there.
extern "C" int bench_tap(const char* scope, const char* valid, const char* index, const char* data, int64_t index_bytes,
                         int64_t data_bytes);
