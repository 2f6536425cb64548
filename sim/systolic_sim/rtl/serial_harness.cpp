// A serial line at the pins of a verilated design, loaded by serial_line.py: a byte is sent and read as ten bits of so many
// steps each. A step is a cycle; or, of a design with a clock of its own, a time.

#include <cstdint>
#include <deque>

#include "Vtop.h"

namespace {

struct Model {
    VerilatedContext context;
    Vtop top{&context};
    unsigned divisor;
    uint64_t step;    // in units of the design's time, if it has any
    uint64_t steps = 0;
    std::deque<uint8_t> outgoing, incoming;
    unsigned sending = 0, send_timer = 0, bits = 0;    // bits left, cycles left, what is on its way
    unsigned reading = 0, read_timer = 0, read_bits = 0;
    bool before = true;
};

void advance(Model &model) {
    Vtop &top = model.top;
#if VM_TIMING
    VerilatedContext &context = model.context;
    const uint64_t end = context.time() + model.step;
    top.eval();
    while (top.eventsPending() && top.nextTimeSlot() <= end) {
        context.time(top.nextTimeSlot());
        top.eval();
    }
    context.time(end);
#else
    for (int level : {1, 0}) {
        top.clk = level;
        top.eval();
    }
#endif
    ++model.steps;
}

void tick(Model &model) {
    Vtop &top = model.top;
    if (model.send_timer) --model.send_timer;
    else if (model.sending) {
        top.rx = model.bits & 1;
        model.bits >>= 1;
        --model.sending;
        model.send_timer = model.divisor - 1;
    } else if (!model.outgoing.empty()) {
        model.bits = 0x100u | model.outgoing.front();
        model.outgoing.pop_front();
        model.sending = 9;
        top.rx = 0;
        model.send_timer = model.divisor - 1;
    }
    advance(model);
    if (!model.reading) {
        if (model.before && !top.tx) {
            model.reading = 9;
            model.read_timer = model.divisor + model.divisor / 2;
        }
    } else if (!--model.read_timer) {
        model.read_timer = model.divisor;
        if (--model.reading) model.read_bits = model.read_bits >> 1 | (top.tx ? 0x80u : 0);
        else if (top.tx) model.incoming.push_back(model.read_bits);
    }
    model.before = top.tx;
}

}  // namespace

extern "C" {

__attribute__((visibility("default"))) void serial_reset(Model *model) {
#if !VM_TIMING    // else it begins in reset
    model->top.rst = 1;
    for (int i = 0; i < 4; ++i) tick(*model);
    model->top.rst = 0;
#endif
    model->incoming.clear();
}

__attribute__((visibility("default"))) Model *serial_new(unsigned divisor, uint64_t step) {
    Model *model = new Model;
    model->divisor = divisor;
    model->step = step;
    model->top.rx = 1;
    serial_reset(model);
    return model;
}

__attribute__((visibility("default"))) void serial_delete(Model *model) { delete model; }

__attribute__((visibility("default"))) void serial_send(Model *model, const uint8_t *bytes, uint64_t count) {
    model->outgoing.insert(model->outgoing.end(), bytes, bytes + count);
}

// Runs until that step, or until there is a byte; returns how many bytes of `room` are filled.
__attribute__((visibility("default"))) uint64_t serial_run(Model *model, uint64_t until, uint8_t *bytes, uint64_t room) {
    while (model->incoming.empty() && model->steps < until) tick(*model);
    uint64_t count = 0;
    for (; count < room && !model->incoming.empty(); ++count) {
        bytes[count] = model->incoming.front();
        model->incoming.pop_front();
    }
    return count;
}

__attribute__((visibility("default"))) uint64_t serial_steps(const Model *model) { return model->steps; }

}
