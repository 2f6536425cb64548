// Drives the valid/ready streams of a verilated module, whole workloads at a time; loaded by rtl.py.
// "streams.h", written from the design's sidecar, lists the ports:
//   INPUTS(S), OUTPUTS(S)   S(index, stream) for every stream, inputs first
//   FIELDS_<stream>(F)      F(stream, field, words before it in a beat)
//   WORDS_<stream>          32-bit words of a beat: each field little-endian, starting on a word

#include <cstdint>
#include <cstring>

#include "Vtop.h"
#include "streams.h"
#if VM_TRACE
#include "verilated_vcd_c.h"
#endif

namespace {

struct Stream {
    uint32_t *beats;
    uint64_t *cycles;  // in which each beat was handed over
    uint64_t count;
    uint64_t done;
    uint32_t stall;  // probability * 2**32 of a cycle in which this side holds back
    uint32_t random;
    uint32_t offered;  // input beat on the port, not yet taken
};

struct Progress {
    uint64_t cycle;
    uint64_t idle;  // cycles since the last handshake
};

struct Model {
    VerilatedContext context;
    Vtop top{&context};
    uint64_t time = 0;
#if VM_TRACE
    VerilatedVcdC vcd;
    Model() {
        context.traceEverOn(true);
        top.trace(&vcd, 99);
    }
#endif
};

template <typename T> inline void put(T &port, const uint32_t *words) {
    if constexpr (sizeof(T) == 8) port = words[0] | uint64_t(words[1]) << 32;
    else port = static_cast<T>(words[0]);
}

template <std::size_t N> inline void put(VlWide<N> &port, const uint32_t *words) {
    std::memcpy(port.data(), words, N * sizeof(uint32_t));
}

template <typename T> inline void get(const T &port, uint32_t *words) {
    words[0] = static_cast<uint32_t>(port);
    if constexpr (sizeof(T) == 8) words[1] = port >> 32;
}

template <std::size_t N> inline void get(const VlWide<N> &port, uint32_t *words) {
    std::memcpy(words, port.data(), N * sizeof(uint32_t));
}

inline bool stalls(Stream &stream) {
    if (!stream.stall) return false;
    stream.random ^= stream.random << 13;
    stream.random ^= stream.random >> 17;
    stream.random ^= stream.random << 5;
    return stream.random < stream.stall;
}

inline void clock(Model &model, int level) {
    model.top.clk = level;
    model.top.eval();
#if VM_TRACE
    if (model.vcd.isOpen()) model.vcd.dump(model.time);
#endif
    model.time += 5;
}

#define PUT(name, field, word) put(top.name##_##field, beat + word);
#define GET(name, field, word) get(top.name##_##field, beat + word);

// Payload may change only while nothing is offered; ready may depend on it.
#define OFFER(i, name) { \
    Stream &s = streams[i]; \
    if (!s.offered && s.done < s.count && !stalls(s)) { \
        const uint32_t *beat = s.beats + s.done * WORDS_##name; \
        FIELDS_##name(PUT) \
        top.name##_valid = s.offered = 1; \
    } }

#define LISTEN(i, name) { \
    Stream &s = streams[i]; \
    top.name##_ready = s.done < s.count && !stalls(s); }

#define RECORD(s) s.cycles[s.done++] = progress->cycle; --left; progress->idle = 0;

#define SAMPLE(i, name) { \
    Stream &s = streams[i]; \
    if (top.name##_valid && top.name##_ready) { \
        uint32_t *beat = s.beats + s.done * WORDS_##name; \
        FIELDS_##name(GET) \
        RECORD(s) \
    } }

// The port's valid falls after the clock edge: the handshake is over only then.
#define TAKEN(i, name) const bool taken_##name = streams[i].offered && top.name##_ready;
#define RETIRE(i, name) if (taken_##name) { \
    Stream &s = streams[i]; \
    top.name##_valid = s.offered = 0; \
    RECORD(s) \
    }

#define COUNT(i, name) left += streams[i].count - streams[i].done;
#define QUIET_IN(i, name) top.name##_valid = 0;
#define QUIET_OUT(i, name) top.name##_ready = 0;

}  // namespace

extern "C" {

#pragma GCC visibility push(default)

Model *model_new() { return new Model; }

void model_delete(Model *model) {
#if VM_TRACE
    model->vcd.close();
#endif
    model->top.final();
    delete model;
}

// Holds rst for so many cycles.
void model_reset(Model *model, uint32_t cycles) {
    Vtop &top = model->top;
    INPUTS(QUIET_IN)
    OUTPUTS(QUIET_OUT)
    top.rst = 1;
    for (uint32_t i = 0; i < cycles; ++i) {
        clock(*model, 0);
        clock(*model, 1);
    }
    top.rst = 0;
}

// Runs until every stream has handed over its beats, at most `cycles` more cycles, or `patience` of them
// without a handshake. Returns the number of beats still to come.
uint64_t model_run(Model *model, Stream *streams, Progress *progress, uint64_t cycles, uint64_t patience) {
    Vtop &top = model->top;
    const uint64_t end = progress->cycle + cycles;
    uint64_t left = 0;
    INPUTS(COUNT)
    OUTPUTS(COUNT)
    while (left && progress->cycle < end && progress->idle < patience) {
        INPUTS(OFFER)
        OUTPUTS(LISTEN)
        clock(*model, 0);
        ++progress->idle;
        OUTPUTS(SAMPLE)
        INPUTS(TAKEN)
        clock(*model, 1);
        INPUTS(RETIRE)
        ++progress->cycle;
    }
    return left;
}

// Starts a waveform, or with a null pointer ends it. Returns whether that worked.
int model_trace(Model *model, const char *path) {
#if VM_TRACE
    model->vcd.close();
    if (!path) return 1;
    model->vcd.open(path);
    return model->vcd.isOpen();
#else
    return !path;
#endif
}

#pragma GCC visibility pop
}
