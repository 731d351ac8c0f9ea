// SPDX-License-Identifier: Apache-2.0
// Runs a job's steps against the block, with one call for each clock edge: script.py and per_beat.py without Python in
// the cycle. It is independent of the design and compiled once for all. transactor.py sets it up, starts it, and reads
// its tables of results. Both files have the same numbers for steps, tables and columns.
#include "transactor.h"

#include <svdpi.h>

#include <algorithm>
#include <array>

#include "streams.h"

namespace {

enum Op { DRAIN, HOLD, IDLE, LOAD, RESET, RESET_AFTER, SEND, SNAPSHOT };
enum Stop { NONE, DONE, HANG, EXTRA, NO_LOADER };
enum Seen { S_READY = 1, M_VALID = 2, M_LAST = 4, W_READY = 8 };
enum Drive { RST = 1, S_VALID = 2, S_LAST = 4, W_VALID = 8, W_LAST = 16, M_READY = 32, STOPPED = 64, STATUS = 128 };

// The run is stopped after this many surplus beats.
constexpr int64_t EXTRA_BEATS = 16;
constexpr int64_t FOREVER = INT64_MAX;
// As in ports.py.
constexpr size_t PORTS = 8;
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the first lane has to be the first byte of a vector");

struct Step {
  // `first` and `count` are the first chunk and their number; or a number of beats, and of cycles (of a hold: beats).
  int64_t op, wait, first, count;
};

struct Section {
  int64_t steps, taken, in_moved, in_stalled, in_offered, in_first, out_moved, out_first, out_last;
};

struct Snapshot {
  int64_t cycle, accepted, delivered, loaded;
  std::array<int64_t, PORTS> status;
};

struct Unexpected {
  int64_t kind, cycle, accepted, delivered;
};

struct Tap {
  const uint8_t *valid, *index, *data;
  size_t index_bytes, data_bytes;
  std::vector<uint8_t> bytes;
};

class Transactor {
 public:
  Source input, parameters;
  Sink output;
  std::vector<Step> steps;
  std::vector<Tap> taps;
  int64_t hang_cycles = 0, drain_cycles = 0, cycle = 0, peak = 0;
  bool record_occupancy = false;
  Stop stop = NONE;

  std::vector<Section> sections;
  std::vector<Snapshot> snapshots;
  std::vector<Unexpected> unexpected;
  std::vector<int64_t> occupancy;
  // For each section, where it ends in the bytes of each tap.
  std::vector<int64_t> tap_ends;

  bool running() const { return started_ && !halted_; }
  // Whether signals are sampled at the next edge.
  bool watching() const { return begun_ && !in_reset_; }
  void start() { started_ = true; }

  uint32_t edge(uint32_t seen, const uint8_t* m_data) {
    // The first edge only sets the signals of cycle 1.
    if (begun_) sample(seen, m_data);
    begun_ = true;
    if (!stop) advance();
    if (stop) {
      close();
      want_status();
      halted_ = true;
      return STOPPED | STATUS;
    }
    input.drive();
    if (parameters.present) parameters.drive();
    output.drive();
    return drive();
  }

  void status(uint32_t port, uint32_t value) {
    for (size_t i = reported_; i < snapshots.size(); i++) snapshots[i].status[port] = value;
  }

 private:
  bool started_ = false, begun_ = false, halted_ = false, in_reset_ = false, entered_ = false, wants_status_ = false;
  size_t step_ = 0, reported_ = 0;
  int64_t quiet_ = 0, waited_ = 0, expected_ = 0;

  uint32_t drive() {
    const uint32_t status = wants_status_ ? STATUS : 0;
    wants_status_ = false;
    return (in_reset_ ? RST : 0) | (input.valid ? S_VALID : 0) | (input.last ? S_LAST : 0) |
           (parameters.valid ? W_VALID : 0) | (parameters.last ? W_LAST : 0) | (output.ready ? M_READY : 0) | status;
  }

  void sample(uint32_t seen, const uint8_t* m_data) {
    cycle++;
    quiet_++;
    if (in_reset_) return;
    bool moved = input.monitor.sample(cycle, input.valid, seen & S_READY);
    moved |= output.sample(cycle, seen & M_VALID, m_data, seen & M_LAST);
    if (parameters.present) moved |= parameters.monitor.sample(cycle, parameters.valid, seen & W_READY);
    if (moved) quiet_ = 0;
    const int64_t accepted = input.monitor.counts.moved, delivered = output.monitor.counts.moved;
    peak = std::max(peak, accepted - delivered);
    if (record_occupancy) occupancy.push_back(accepted - delivered);
    if (delivered + output.monitor.held > std::min(accepted, expected_)) note_unexpected(accepted, delivered);
    if (quiet_ > hang_cycles && !stop) stop = HANG;
  }

  // A surplus output beat, or one that comes before its input beat.
  void note_unexpected(int64_t accepted, int64_t delivered) {
    const int64_t kind = delivered < expected_;
    const bool known = std::any_of(unexpected.begin(), unexpected.end(), [&](auto& u) { return u.kind == kind; });
    if (!known) unexpected.push_back({kind, cycle, accepted, delivered});
    if (delivered > expected_ + EXTRA_BEATS) stop = EXTRA;
  }

  void want_status() {
    if (!wants_status_) reported_ = snapshots.size();
    wants_status_ = true;
    snapshots.push_back({cycle, input.monitor.counts.moved, output.monitor.counts.moved,
                         parameters.monitor.counts.moved, {}});
  }

  void close() {
    const Counts &in = input.monitor.counts, &out = output.monitor.counts;
    sections.push_back({int64_t(std::min(step_ + 1, steps.size())), output.taken, in.moved, in.stalled, in.offered,
                        in.first, out.moved, out.first, out.last});
    for (Tap& tap : taps) tap_ends.push_back(int64_t(tap.bytes.size()));
  }

  void restart() {
    for (Monitor* monitor : {&input.monitor, &parameters.monitor, &output.monitor}) monitor->restart();
  }

  // Enter and leave steps until one has to wait for the next edge.
  void advance() {
    while (!stop && step_ < steps.size()) {
      const Step& step = steps[step_];
      if (!entered_) {
        waited_ = 0;
        enter(step);
        entered_ = true;
      }
      if (stop || !done(step)) return;
      entered_ = false;
      step_++;
    }
    if (!stop) finish();
  }

  // After the last step: wait for the rest of the output, then for some cycles in which no beat may come.
  void finish() {
    if (!entered_) {
      if (!drained()) return;
      entered_ = true;
      waited_ = 0;
    }
    if (!pauses(drain_cycles)) stop = DONE;
  }

  // Whether a pause of `cycles`, in which no beat has to move, continues.
  bool pauses(int64_t cycles) {
    if (waited_++ >= cycles) return false;
    quiet_ = 0;
    return true;
  }

  bool drained() const {
    return !input.unsent() && !parameters.unsent() && output.monitor.counts.moved >= expected_;
  }

  void enter(const Step& step) {
    switch (step.op) {
      case HOLD: input.most = step.count < 0 ? FOREVER : step.count; break;
      case LOAD:
        if (parameters.present) parameters.feed(size_t(step.first), size_t(step.count));
        else stop = NO_LOADER;
        break;
      case RESET: reset(); break;
      case SEND: expected_ += input.feed(size_t(step.first), size_t(step.count)); break;
      case SNAPSHOT: want_status(); break;
      default: break;
    }
  }

  bool done(const Step& step) {
    switch (step.op) {
      case DRAIN: return drained();
      case IDLE: return !pauses(step.count);
      case LOAD: return !step.wait || !parameters.unsent();
      case SEND: return !step.wait || !input.unsent();
      case RESET_AFTER:
        if (!in_reset_) {
          if (input.monitor.counts.moved < step.first) return false;
          reset();
        }
        return leave_reset(step.count);
      case RESET: return leave_reset(step.count);
      default: return true;
    }
  }

  void reset() {
    // Before the first cycle no section has begun.
    if (cycle) {
      close();
      restart();
    }
    input.clear();
    parameters.clear();
    expected_ = 0;
    in_reset_ = true;
  }

  bool leave_reset(int64_t cycles) {
    if (waited_++ < cycles) return false;
    in_reset_ = false;
    quiet_ = 0;
    return true;
  }
};

Transactor bench;

template <class Row>
int64_t columns(const std::vector<Row>&) {
  static_assert(sizeof(Row) % sizeof(int64_t) == 0, "a row is made of int64_t");
  return sizeof(Row) / sizeof(int64_t);
}

template <class Row>
int64_t copy(const std::vector<Row>& rows, int64_t* to) {
  if (to && !rows.empty()) std::memcpy(to, rows.data(), rows.size() * sizeof(Row));
  return int64_t(rows.size());
}

}  // namespace

bool bench_running() { return bench.running(); }
bool bench_has_taps() { return !bench.taps.empty(); }

void bench_sample_taps() {
  if (!bench.watching()) return;
  for (Tap& tap : bench.taps) {
    if (!(*tap.valid & 1)) continue;
    uint8_t index[4] = {};
    if (tap.index) std::memcpy(index, tap.index, tap.index_bytes);
    tap.bytes.insert(tap.bytes.end(), index, index + 4);
    tap.bytes.insert(tap.bytes.end(), tap.data, tap.data + tap.data_bytes);
  }
}

// Called by bench.sv at each rising edge, with the block's outputs in the cycle that ends.
extern "C" int bench_edge(int seen, const svBitVecVal* m_data, svBitVecVal* s_data, int* w_data) {
  const int drive = int(bench.edge(uint32_t(seen), reinterpret_cast<const uint8_t*>(m_data)));
  // Vectors of 32-bit words; on a little-endian machine the first lane comes first in both.
  copy_bytes(reinterpret_cast<uint8_t*>(s_data), bench.input.data(), bench.input.bytes());
  if (bench.parameters.present) std::memcpy(w_data, bench.parameters.data(), sizeof(*w_data));
  return drive;
}

extern "C" void bench_status(int port, int value) { bench.status(size_t(port), uint32_t(value)); }

// The functions below are called by transactor.py, those of taps by compiled.py.
extern "C" {
// Discards the previous run.
void bench_new() { bench = Transactor(); }

// Both inputs: 0 is s_axis, 1 is w_axis.
void bench_source(int which, int64_t bytes, uint64_t seed, uint64_t stall) {
  (which ? bench.parameters : bench.input).set(size_t(bytes), seed, stall);
}

// Rows of address, beats, place of tlast or -1.
void bench_chunks(int which, const int64_t* rows, int64_t count) {
  auto& chunks = (which ? bench.parameters : bench.input).chunks;
  for (int64_t i = 0; i < count; i++, rows += 3) {
    chunks.push_back({reinterpret_cast<const uint8_t*>(rows[0]), rows[1], rows[2]});
  }
}

void bench_sink(uint8_t* beats, uint8_t* lasts, int64_t capacity, int64_t bytes, uint64_t seed, uint64_t stall) {
  bench.output.set(beats, lasts, capacity, size_t(bytes), seed, stall);
}

void bench_steps(const int64_t* rows, int64_t count) {
  for (int64_t i = 0; i < count; i++, rows += 4) bench.steps.push_back({rows[0], rows[1], rows[2], rows[3]});
}

// False if a signal isn't there. `index` may be null.
int bench_tap(const char* scope, const char* valid, const char* index, const char* data, int64_t index_bytes,
              int64_t data_bytes) {
  Tap tap{nullptr, nullptr, nullptr, size_t(index_bytes), size_t(data_bytes), {}};
  if (!bench_find(scope, valid, &tap.valid) || !bench_find(scope, data, &tap.data)) return 0;
  if (index && !bench_find(scope, index, &tap.index)) return 0;
  bench.taps.push_back(tap);
  return 1;
}

void bench_start(int64_t hang_cycles, int64_t drain_cycles, int record_occupancy) {
  bench.hang_cycles = hang_cycles;
  bench.drain_cycles = drain_cycles;
  bench.record_occupancy = record_occupancy;
  bench.start();
}

// Why the script ended, cycles, most beats in flight, beats delivered so far.
void bench_numbers(int64_t* to) {
  const int64_t numbers[] = {bench.stop, bench.cycle, bench.peak, bench.output.taken, bench.input.pending(),
                             bench.parameters.pending()};
  std::memcpy(to, numbers, sizeof(numbers));
}

// Rows of a table, copied where `to` isn't null.
int64_t bench_table(int which, int64_t* to) {
  switch (which) {
    case 0: return copy(bench.sections, to);
    case 1: return copy(bench.snapshots, to);
    case 2: return copy(bench.output.violations, to);
    case 3: return copy(bench.unexpected, to);
    case 4: return copy(bench.occupancy, to);
    default: return copy(bench.tap_ends, to);
  }
}

int64_t bench_columns(int which) {
  switch (which) {
    case 0: return columns(bench.sections);
    case 1: return columns(bench.snapshots);
    case 2: return columns(bench.output.violations);
    case 3: return columns(bench.unexpected);
    case 4: return columns(bench.occupancy);
    default: return columns(bench.tap_ends);
  }
}

const uint8_t* bench_tap_bytes(int tap) { return bench.taps[size_t(tap)].bytes.data(); }
}
