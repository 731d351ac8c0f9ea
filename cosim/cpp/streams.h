// SPDX-License-Identifier: Apache-2.0
// AXI4-Stream source, sink and monitor: the same as in drivers.py, without Python in the cycle.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

// Most blocks have beats of eight bytes or fewer. A copy of known size is one instruction; any other is a call.
inline void copy_bytes(uint8_t* to, const uint8_t* from, size_t count) {
  if (count == 8) std::memcpy(to, from, 8);
  else std::memcpy(to, from, count);
}

// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014); prng.Random gives the same.
class Random {
 public:
  void seed(uint64_t state) { state_ = state; }
  uint64_t next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  // With the probability limit / 2**64; no number is drawn for 0.
  bool chance(uint64_t limit) { return limit && next() < limit; }
  void fill(uint8_t* bytes, size_t count) {
    for (size_t at = 0; at < count; at += 8) {
      const uint64_t word = next();
      std::memcpy(bytes + at, &word, count - at < 8 ? count - at : 8);
    }
  }

 private:
  uint64_t state_ = 0;
};

// Violations by the output, the only stream whose tvalid and tdata the block drives.
struct Violation {
  enum Kind { VALID_FELL, DATA_CHANGED };
  int64_t kind, cycle;
};

// Counts the transfers of a stream since `restart`. Cycles are numbered from 1: 0 is "never".
struct Counts {
  int64_t moved, stalled, offered, first, last;
};

class Monitor {
 public:
  Counts counts{};
  bool moved = false, held = false;

  void restart() {
    counts = Counts{};
    moved = held = false;
  }
  // Looks at the stream in `cycle`.
  bool sample(int64_t cycle, bool valid, bool ready) {
    moved = valid && ready;
    if (valid) {
      if (!counts.offered) counts.offered = cycle;
      if (moved) {
        counts.moved++;
        counts.last = cycle;
        if (!counts.first) counts.first = cycle;
      } else {
        counts.stalled++;
      }
    }
    held = valid && !moved;
    return moved;
  }
};

// Beats in a row, such as a frame: `last` is the place of the one with tlast, or -1.
struct Chunk {
  const uint8_t* beats;
  int64_t count, last;
};

// Sends the beats of chunks. It pauses at random before each, and drives random data and tlast meanwhile.
class Source {
 public:
  Monitor monitor;
  bool present = false, valid = false, last = false;
  int64_t most = INT64_MAX;
  std::vector<Chunk> chunks;

  void set(size_t bytes, uint64_t seed, uint64_t stall) {
    bytes_ = bytes, stall_ = stall;
    present = true;
    random_.seed(seed);
    data_.assign(bytes, 0);
  }
  // Queue `count` chunks from `first` on, which follow those that are queued; returns their beats.
  int64_t feed(size_t first, size_t count) {
    if (!pending_) chunk_ = first, offset_ = 0;
    int64_t beats = 0;
    for (size_t i = first; i < first + count; i++) beats += chunks[i].count;
    pending_ += beats;
    return beats;
  }
  void clear() {
    pending_ = 0;
    valid = false;
    most = INT64_MAX;
  }
  int64_t pending() const { return pending_; }
  // A beat that moved at the last edge is pending until the source drives again.
  bool unsent() const { return pending_ > monitor.moved; }
  const uint8_t* data() const { return data_.data(); }
  size_t bytes() const { return bytes_; }

  void drive() {
    if (valid) {
      if (!monitor.moved) return;
      pending_--;
      if (++offset_ == chunks[chunk_].count) chunk_++, offset_ = 0;
    }
    valid = pending_ && monitor.counts.moved < most && !random_.chance(stall_);
    if (valid) {
      const Chunk& chunk = chunks[chunk_];
      copy_bytes(data_.data(), chunk.beats + size_t(offset_) * bytes_, bytes_);
      last = offset_ == chunk.last;
    } else {
      random_.fill(data_.data(), bytes_);
      last = random_.next() & 1;
    }
  }

 private:
  size_t bytes_ = 0, chunk_ = 0;
  uint64_t stall_ = 0;
  int64_t offset_ = 0, pending_ = 0;
  std::vector<uint8_t> data_;
  Random random_;
};

// Takes beats into arrays, is not ready at random, and checks that an offered beat stays until it is taken.
class Sink {
 public:
  Monitor monitor;
  bool ready = false;
  int64_t taken = 0;
  std::vector<Violation> violations;

  void set(uint8_t* beats, uint8_t* lasts, int64_t capacity, size_t bytes, uint64_t seed, uint64_t stall) {
    beats_ = beats, lasts_ = lasts, capacity_ = capacity, bytes_ = bytes, stall_ = stall;
    random_.seed(seed);
    held_.assign(bytes, 0);
  }
  void drive() { ready = !random_.chance(stall_); }

  bool sample(int64_t cycle, bool valid, const uint8_t* data, bool last) {
    if (monitor.held) {
      if (!valid) {
        violation(Violation::VALID_FELL, cycle);
      } else if (last != held_last_ || std::memcmp(data, held_.data(), bytes_)) {
        violation(Violation::DATA_CHANGED, cycle);
      }
    }
    const bool moved = monitor.sample(cycle, valid, ready);
    if (moved && taken < capacity_) {
      copy_bytes(beats_ + size_t(taken) * bytes_, data, bytes_);
      lasts_[taken++] = last;
    } else if (monitor.held) {
      copy_bytes(held_.data(), data, bytes_);
      held_last_ = last;
    }
    return moved;
  }

 private:
  static constexpr size_t SHOWN = 10;
  uint8_t *beats_ = nullptr, *lasts_ = nullptr;
  int64_t capacity_ = 0;
  size_t bytes_ = 0;
  uint64_t stall_ = 0;
  std::vector<uint8_t> held_;
  bool held_last_ = false;
  Random random_;

  void violation(int64_t kind, int64_t cycle) {
    if (violations.size() < SHOWN) violations.push_back({kind, cycle});
  }
};
