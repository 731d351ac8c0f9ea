// SPDX-License-Identifier: Apache-2.0
// Frames through the block's ports, from a plain C++ loop: what a bench without cocotb would be.
//
//   loop FILE FRAMES STALL SEED HANG
//
// FILE has, little-endian, three uint64 (parameter words, distinct frames, beats of a frame), the parameter words as
// uint32, and the distinct frames' beats: all that go in, IN_BYTES each, then all that must come out, OUT_BYTES each.
// They are sent in turn until FRAMES have been. Prints a line of JSON; ends with 0 if every beat was right, else with 1.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <vector>

#include "Vtop.h"

namespace {

constexpr int kReset = 4, kSettle = 4, kDrain = 200;

struct Stimulus {
    std::vector<uint32_t> words;
    std::vector<uint8_t> in, out;
    uint64_t distinct, beats;
};

template <class T>
void read(std::FILE* file, T* into, size_t count) {
    if (std::fread(into, sizeof(T), count, file) != count) {
        std::fputs("loop: the file is too short\n", stderr);
        std::exit(2);
    }
}

Stimulus load(const char* name) {
    std::FILE* file = std::fopen(name, "rb");
    if (!file) {
        std::perror(name);
        std::exit(2);
    }
    uint64_t head[3];
    read(file, head, 3);
    Stimulus stimulus{std::vector<uint32_t>(head[0]), {}, {}, head[1], head[2]};
    read(file, stimulus.words.data(), head[0]);
    stimulus.in.resize(head[1] * head[2] * IN_BYTES);
    stimulus.out.resize(head[1] * head[2] * OUT_BYTES);
    for (auto* side : {&stimulus.in, &stimulus.out}) read(file, side->data(), side->size());
    std::fclose(file);
    return stimulus;
}

// Walks over the beats of FRAMES frames.
struct Cursor {
    const std::vector<uint8_t>& bytes;
    uint64_t size, beats, left, beat = 0;
    const uint8_t* at;

    Cursor(const std::vector<uint8_t>& all, uint64_t beat_bytes, uint64_t frame_beats, uint64_t frames)
        : bytes(all), size(beat_bytes), beats(frame_beats), left(frame_beats * frames), at(all.data()) {}
    bool last() const { return beat + 1 == beats; }
    void next() {
        --left;
        at += size;
        if (++beat == beats) {
            beat = 0;
            if (at == bytes.data() + bytes.size()) at = bytes.data();
        }
    }
};

class Pauses {
    uint64_t state_, limit_;

  public:
    Pauses(double probability, uint64_t seed) : state_(seed * 2 + 1), limit_(probability * 4294967296.0) {}
    bool now() {
        if (!limit_) return false;
        state_ = state_ * 6364136223846793005ull + 1442695040888963407ull;
        return (state_ >> 32) < limit_;
    }
};

struct Bench {
    VerilatedContext context;
    std::unique_ptr<Vtop> top;
    uint64_t cycles = 0;

    Bench(int argc, char** argv) {
        context.commandArgs(argc, argv);
        top = std::make_unique<Vtop>(&context);
    }
    // The inputs are set: what the outputs are before the edge.
    void settle() {
        top->clk = 0;
        top->eval();
    }
    void edge() {
        top->clk = 1;
        top->eval();
        ++cycles;
    }
    void idle(int count) {
        for (; count; --count) {
            settle();
            edge();
        }
    }
    void reset() {
        top->s_axis_tvalid = top->s_axis_tlast = top->m_axis_tready = 0;
        std::memset(&top->s_axis_tdata, 0, sizeof top->s_axis_tdata);
#if LOADABLE
        top->w_axis_tvalid = top->w_axis_tlast = top->w_axis_tdata = 0;
#endif
        top->rst = 1;
        idle(kReset);
        top->rst = 0;
    }
    // False where the block takes no word for `hang` cycles.
    bool parameters(const std::vector<uint32_t>& words, uint64_t hang) {
#if LOADABLE
        uint64_t quiet = 0;
        for (size_t i = 0; i < words.size() && quiet < hang; ++quiet) {
            top->w_axis_tdata = words[i];
            top->w_axis_tlast = i + 1 == words.size();
            top->w_axis_tvalid = 1;
            settle();
            if (top->w_axis_tready) ++i, quiet = 0;
            edge();
        }
        top->w_axis_tvalid = 0;
        return quiet < hang;
#else
        return words.empty();
#endif
    }
};

struct Result {
    uint64_t wrong = 0, compared = 0, first = 0, last = 0, missing = 0, extra = 0;
};

Result stream(Bench& bench, Cursor in, Cursor out, Pauses source, Pauses sink, uint64_t hang) {
    Result result;
    Vtop& top = *bench.top;
    bool offering = false;
    uint64_t quiet = 0;
    result.first = bench.cycles;
    while (out.left && ++quiet < hang) {
        if (!offering && in.left && !source.now()) {
            offering = true;
            std::memcpy(&top.s_axis_tdata, in.at, IN_BYTES);
            top.s_axis_tlast = in.last();
        }
        top.s_axis_tvalid = offering;
        top.m_axis_tready = !sink.now();
        bench.settle();
        if (offering && top.s_axis_tready) {
            offering = false;
            in.next();
            quiet = 0;
        }
        if (top.m_axis_tvalid && top.m_axis_tready) {
            result.wrong += std::memcmp(&top.m_axis_tdata, out.at, OUT_BYTES) != 0 || top.m_axis_tlast != out.last();
            ++result.compared;
            result.last = bench.cycles;
            out.next();
            quiet = 0;
        }
        bench.edge();
    }
    result.missing = out.left;
    top.s_axis_tvalid = 0;
    top.m_axis_tready = 1;
    for (int i = 0; i < kDrain; ++i) {
        bench.settle();
        result.extra += top.m_axis_tvalid;
        bench.edge();
    }
    return result;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 6) return 2;
    const Stimulus stimulus = load(argv[1]);
    const uint64_t frames = std::strtoull(argv[2], nullptr, 10), seed = std::strtoull(argv[4], nullptr, 10);
    const double stall = std::strtod(argv[3], nullptr);
    const uint64_t hang = std::strtoull(argv[5], nullptr, 10);
    Bench bench(argc, argv);
    const std::clock_t start = std::clock();
    bench.reset();
    Result result;
    const bool loaded = bench.parameters(stimulus.words, hang);
    if (loaded) {
        bench.idle(kSettle);
        result = stream(bench, Cursor(stimulus.in, IN_BYTES, stimulus.beats, frames),
                        Cursor(stimulus.out, OUT_BYTES, stimulus.beats, frames), Pauses(stall, 2 * seed),
                        Pauses(stall, 2 * seed + 1), hang);
    }
    const double seconds = double(std::clock() - start) / CLOCKS_PER_SEC;
    bench.top->final();
    std::printf("{\"cycles\": %llu, \"total_cycles\": %llu, \"cpu_seconds\": %.6f, \"beats\": %llu, \"wrong\": %llu, "
                "\"missing\": %llu, \"extra\": %llu, \"loaded\": %s}\n",
                (unsigned long long)bench.cycles, (unsigned long long)(result.last - result.first + 1), seconds,
                (unsigned long long)result.compared, (unsigned long long)result.wrong,
                (unsigned long long)result.missing, (unsigned long long)result.extra, loaded ? "true" : "false");
    return !loaded || result.wrong || result.missing || result.extra || !result.compared;
}
