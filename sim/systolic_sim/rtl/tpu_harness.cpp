// Memory and host around a verilated TPU, loaded by tpu_rtl.py: an AXI4 memory of fixed latency that checks the master's
// manners, and an AXI4-Lite manager. The ports' names are those of the specification after m_axi_ and s_axi_.

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <deque>
#include <string>
#include <vector>

#include "Vtop.h"
#if STATE
#include "verilated_sym_props.h"
#include "verilated_syms.h"
#endif
#if VM_TRACE
#include "verilated_vcd_c.h"
#endif

namespace {

constexpr unsigned BUS_BYTES = sizeof(Vtop::m_axi_rdata);
constexpr unsigned OKAY = 0, DECERR = 3, INCR = 1, PAGE = 4096;

enum Channel { AR, R, AW, W, B, CHANNELS };

struct Fault {
    uint64_t first, last;  // addresses [first, last)
    uint32_t response;
    uint32_t kinds;  // 1: reads, 2: writes
};

struct Settings {
    uint8_t *bytes;
    uint64_t size;
    const Fault *faults;
    uint64_t fault_count;
    double share;             // read beats a cycle, 1 for no limit
    uint32_t latency;
    uint32_t random;          // state of the generator, never 0
    uint32_t stall[CHANNELS]; // probability * 2**32 of a cycle in which the memory holds a channel back
    uint64_t silent[CHANNELS]; // cycle from which on it holds it back for ever
};

struct Burst {
    uint64_t address, time;
    unsigned beats;
};

// A register, or a memory of several words.
struct State {
    std::string name;
    uint8_t *bytes;
    unsigned words, bits, stride;
};

struct Model {
    VerilatedContext context;
    Vtop top{&context};
    uint64_t time = 0, cycle = 0;
    Settings memory{};
    std::deque<Burst> reads, writes;
    std::deque<uint64_t> written;  // cycle of the last beat of write data, per burst
    std::deque<Burst> responses;   // beats: the response
    unsigned write_beats = 0;      // of the burst at the head of `writes`, already here
    unsigned write_response = OKAY;
    struct Data { uint8_t bytes[BUS_BYTES], strobes[16]; bool last; };
    std::deque<Data> early;        // write data whose address has not come
    double saved = 2;
    char complaint[200] = "";
    uint64_t held_address[2] = {};
    bool held[2] = {};
    uint8_t held_data[BUS_BYTES + 17];
    bool held_write = false;
    std::vector<State> states;
#if VM_TRACE
    VerilatedVcdC vcd;
#endif
    Model() {
#if VM_TRACE
        context.traceEverOn(true);
        top.trace(&vcd, 99);
#endif
#if STATE
        for (const auto &scope : *context.scopeNameMap()) {
            if (!scope.second->varsp()) continue;
            for (const auto &variable : *scope.second->varsp()) {
                const VerilatedVar &found = variable.second;
                const unsigned words = found.udims() ? found.elements(1) : 1;
                states.push_back({std::string(scope.second->name()) + "." + variable.first, (uint8_t *)found.datap(),
                                  words, found.entBits(), unsigned(found.totalSize() / words)});
            }
        }
#endif
    }
};

template <typename... T> void complain(Model &model, const char *format, T... values) {
    if (*model.complaint) return;
    int length = std::snprintf(model.complaint, sizeof model.complaint, "cycle %llu: ", (unsigned long long)model.cycle);
    std::snprintf(model.complaint + length, sizeof model.complaint - length, format, values...);
}

bool stalls(Model &model, Channel channel) {
    Settings &memory = model.memory;
    if (model.cycle >= memory.silent[channel]) return true;
    if (!memory.stall[channel]) return false;
    memory.random ^= memory.random << 13;
    memory.random ^= memory.random >> 17;
    memory.random ^= memory.random << 5;
    return memory.random < memory.stall[channel];
}

unsigned response(const Settings &memory, uint64_t address, unsigned kind) {
    for (uint64_t i = 0; i < memory.fault_count; ++i) {
        const Fault &fault = memory.faults[i];
        if (fault.kinds & kind && fault.first < address + BUS_BYTES && address < fault.last) return fault.response;
    }
    return address + BUS_BYTES <= memory.size ? OKAY : DECERR;
}

void clock(Model &model, int level) {
    model.top.clk = level;
    model.top.eval();
#if VM_TRACE
    if (model.vcd.isOpen()) model.vcd.dump(model.time);
#endif
    model.time += 5;
}

// What the memory shows in this cycle. What has been offered stays.
void offer(Model &model) {
    Vtop &top = model.top;
    Settings &memory = model.memory;
    top.m_axi_arready = !stalls(model, AR);
    top.m_axi_awready = !stalls(model, AW);
    top.m_axi_wready = !stalls(model, W);
    if (!top.m_axi_rvalid) {
        bool can = !model.reads.empty() && model.reads.front().time <= model.cycle && !stalls(model, R);
        if (memory.share < 1) {
            model.saved = model.saved + memory.share < 2 ? model.saved + memory.share : 2;
            can = can && model.saved >= 1;
            model.saved -= can;
        }
        if (can) {
            const Burst &burst = model.reads.front();
            top.m_axi_rvalid = 1;
            top.m_axi_rlast = burst.beats == 1;
            top.m_axi_rresp = response(memory, burst.address, 1);
            uint8_t word[BUS_BYTES] = {};
            if (top.m_axi_rresp == OKAY) std::memcpy(word, memory.bytes + burst.address, BUS_BYTES);
            std::memcpy(&top.m_axi_rdata, word, BUS_BYTES);
        }
    }
    const bool answers = !model.responses.empty() && model.responses.front().time <= model.cycle;
    if (answers && !top.m_axi_bvalid && !stalls(model, B)) {
        top.m_axi_bvalid = 1;
        top.m_axi_bresp = model.responses.front().beats;
    }
}

void check_address(Model &model, const char *name, int which, bool valid, bool ready, uint64_t address, unsigned length,
                   unsigned size, unsigned burst) {
    uint64_t bytes = uint64_t(length + 1) * BUS_BYTES, all = address << 8 | length;
    if (model.held[which] && (!valid || all != model.held_address[which]))
        complain(model, "%s changed before it was taken", name);
    model.held[which] = valid && !ready;
    model.held_address[which] = all;
    if (!valid) return;
    if ((1u << size) != BUS_BYTES || burst != INCR) complain(model, "%s size %u, burst %u", name, size, burst);
    if (address % BUS_BYTES) complain(model, "%s address %llx is not aligned", name, (unsigned long long)address);
    if (address % PAGE + bytes > PAGE)
        complain(model, "%s burst of %u beats at %llx crosses 4 KB", name, length + 1, (unsigned long long)address);
}

void write_beat(Model &model, const Model::Data &data) {
    Burst &burst = model.writes.front();
    unsigned answer = response(model.memory, burst.address, 2);
    if (answer != OKAY) model.write_response = answer;
    for (unsigned i = 0; i < BUS_BYTES; ++i)
        if (answer == OKAY && data.strobes[i / 8] >> i % 8 & 1) model.memory.bytes[burst.address + i] = data.bytes[i];
    burst.address += BUS_BYTES;
    if (data.last != (++model.write_beats == burst.beats))
        complain(model, "WLAST is %d in beat %u of %u", data.last, model.write_beats, burst.beats);
    if (!data.last) return;
    uint64_t time = burst.time > model.written.front() ? burst.time : model.written.front();
    model.responses.push_back({0, time + model.memory.latency, model.write_response});
    model.writes.pop_front();
    model.written.pop_front();
    model.write_beats = 0;
    model.write_response = OKAY;
}

// What the memory takes in this cycle, seen just before the clock edge.
struct Taken { bool ar, r, aw, w, b; Burst read, write; Model::Data data; };

Taken sample(Model &model) {
    Vtop &top = model.top;
    Taken taken{};
    check_address(model, "AR", 0, top.m_axi_arvalid, top.m_axi_arready, top.m_axi_araddr, top.m_axi_arlen,
                  top.m_axi_arsize, top.m_axi_arburst);
    check_address(model, "AW", 1, top.m_axi_awvalid, top.m_axi_awready, top.m_axi_awaddr, top.m_axi_awlen,
                  top.m_axi_awsize, top.m_axi_awburst);
    taken.ar = top.m_axi_arvalid && top.m_axi_arready;
    taken.aw = top.m_axi_awvalid && top.m_axi_awready;
    taken.r = top.m_axi_rvalid && top.m_axi_rready;
    taken.b = top.m_axi_bvalid && top.m_axi_bready;
    taken.w = top.m_axi_wvalid && top.m_axi_wready;
    taken.read = {top.m_axi_araddr, model.cycle + model.memory.latency, top.m_axi_arlen + 1u};
    taken.write = {top.m_axi_awaddr, model.cycle, top.m_axi_awlen + 1u};
    uint8_t now[sizeof model.held_data] = {};
    std::memcpy(now, &top.m_axi_wdata, BUS_BYTES);
    std::memcpy(now + BUS_BYTES, &top.m_axi_wstrb, sizeof top.m_axi_wstrb);
    now[BUS_BYTES + 16] = top.m_axi_wlast;
    if (model.held_write && (!top.m_axi_wvalid || std::memcmp(now, model.held_data, sizeof now)))
        complain(model, "W changed before it was taken");
    model.held_write = top.m_axi_wvalid && !top.m_axi_wready;
    std::memcpy(model.held_data, now, sizeof now);
    std::memcpy(taken.data.bytes, now, BUS_BYTES);
    std::memcpy(taken.data.strobes, now + BUS_BYTES, 16);
    taken.data.last = top.m_axi_wlast;
    return taken;
}

void take(Model &model, const Taken &taken) {
    if (taken.r) {
        model.top.m_axi_rvalid = 0;
        Burst &burst = model.reads.front();
        burst.address += BUS_BYTES;
        if (!--burst.beats) model.reads.pop_front();
    }
    if (taken.b) {
        model.top.m_axi_bvalid = 0;
        model.responses.pop_front();
    }
    if (taken.ar) model.reads.push_back(taken.read);
    if (taken.aw) model.writes.push_back(taken.write);
    if (taken.w) {
        model.early.push_back(taken.data);
        if (taken.data.last) model.written.push_back(model.cycle);
    }
    while (!model.early.empty() && !model.writes.empty()) {
        write_beat(model, model.early.front());
        model.early.pop_front();
    }
}

// What went over the host's port in a cycle.
struct Host { bool aw, w, b, ar, r; unsigned bresp, rresp; uint32_t rdata; };

Host step(Model &model) {
    Vtop &top = model.top;
    offer(model);
    clock(model, 0);
    const Taken taken = sample(model);
    const Host host = {
        top.s_axi_awvalid && top.s_axi_awready, top.s_axi_wvalid && top.s_axi_wready,
        top.s_axi_bvalid && top.s_axi_bready, top.s_axi_arvalid && top.s_axi_arready,
        top.s_axi_rvalid && top.s_axi_rready, top.s_axi_bresp, top.s_axi_rresp, top.s_axi_rdata,
    };
    clock(model, 1);
    take(model, taken);
    ++model.cycle;
    return host;
}

}  // namespace

extern "C" {

#pragma GCC visibility push(default)

Model *tpu_new() { return new Model; }

void tpu_delete(Model *model) {
#if VM_TRACE
    model->vcd.close();
#endif
    model->top.final();
    delete model;
}

unsigned tpu_bus_bytes() { return BUS_BYTES; }

// Holds rst for so many cycles; the memory forgets what was under way.
void tpu_reset(Model *model, uint32_t cycles) {
    Vtop &top = model->top;
    top.m_axi_rvalid = top.m_axi_bvalid = top.m_axi_arready = top.m_axi_awready = top.m_axi_wready = 0;
    top.s_axi_awvalid = top.s_axi_wvalid = top.s_axi_bready = top.s_axi_arvalid = top.s_axi_rready = 0;
    top.rst = 1;
    for (uint32_t i = 0; i < cycles; ++i) {
        clock(*model, 0);
        clock(*model, 1);
    }
    top.rst = 0;
    model->reads.clear();
    model->writes.clear();
    model->written.clear();
    model->responses.clear();
    model->early.clear();
    model->write_beats = 0;
    model->write_response = OKAY;
    model->saved = 2;
    model->held[0] = model->held[1] = model->held_write = false;
    *model->complaint = 0;
}

// Bytes and faults belong to the caller, as long as the model runs.
void tpu_memory(Model *model, const Settings *settings) { model->memory = *settings; }

// Runs until the interrupt line is high, at most so many cycles; returns how many.
uint64_t tpu_run(Model *model, uint64_t cycles) {
    uint64_t done = 0;
    for (; done < cycles && !model->top.irq && !*model->complaint; ++done) step(*model);
    return done;
}

int tpu_interrupt(const Model *model) { return model->top.irq; }

// Writes a register; returns the response, or -1 after `patience` cycles without one.
int tpu_write(Model *model, uint32_t address, uint32_t value, uint32_t strobe, uint32_t patience) {
    Vtop &top = model->top;
    top.s_axi_awaddr = address;
    top.s_axi_wdata = value;
    top.s_axi_wstrb = strobe;
    top.s_axi_awvalid = top.s_axi_wvalid = top.s_axi_bready = 1;
    for (uint32_t i = 0; i < patience; ++i) {
        const Host host = step(*model);
        if (host.aw) top.s_axi_awvalid = 0;
        if (host.w) top.s_axi_wvalid = 0;
        if (host.b) {
            top.s_axi_bready = 0;
            return host.bresp;
        }
    }
    return -1;
}

// Reads a register into *value; returns the response, or -1 after `patience` cycles without one.
int tpu_read(Model *model, uint32_t address, uint32_t *value, uint32_t patience) {
    Vtop &top = model->top;
    top.s_axi_araddr = address;
    top.s_axi_arvalid = top.s_axi_rready = 1;
    for (uint32_t i = 0; i < patience; ++i) {
        const Host host = step(*model);
        if (host.ar) top.s_axi_arvalid = 0;
        if (host.r) {
            top.s_axi_rready = 0;
            *value = host.rdata;
            return host.rresp;
        }
    }
    return -1;
}

uint64_t tpu_cycle(const Model *model) { return model->cycle; }

// Bursts whose address is on offer or taken and that are not answered to the last beat.
uint64_t tpu_unanswered(const Model *model) {
    const Vtop &top = model->top;
    return model->reads.size() + model->writes.size() + model->responses.size() + top.m_axi_arvalid + top.m_axi_awvalid;
}

// What the master did against the rules of AXI, first of all; empty if nothing.
const char *tpu_complaint(const Model *model) { return model->complaint; }

// Registers and memories, if the model was built with them in sight.
uint64_t tpu_states(const Model *model) { return model->states.size(); }

// Name of one, and its words and bits a word.
const char *tpu_state(const Model *model, uint64_t number, uint32_t *words, uint32_t *bits) {
    const State &state = model->states[number];
    *words = state.words;
    *bits = state.bits;
    return state.name.c_str();
}

// Inverts one bit between two clock edges.
void tpu_flip(Model *model, uint64_t number, uint32_t word, uint32_t bit) {
    const State &state = model->states[number];
    state.bytes[uint64_t(word) * state.stride + bit / 8] ^= 1 << bit % 8;
}

// Starts a waveform, or with a null pointer ends it. Returns whether that worked.
int tpu_trace(Model *model, const char *path) {
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
