// SPDX-License-Identifier: Apache-2.0
// Finds a signal of a Verilated model in memory. Included by the one file of a program that makes the model.
#pragma once

#include <cstdint>

#include "transactor.h"
#include "verilated.h"
#include "verilated_sym_props.h"
#include "verilated_syms.h"

bool bench_find(const char* scope, const char* name, const uint8_t** data) {
  const VerilatedScope* found = Verilated::threadContextp()->scopeFind(scope);
  const VerilatedVar* variable = found ? found->varFind(name) : nullptr;
  if (variable) *data = static_cast<const uint8_t*>(variable->datap());
  return variable;
}
