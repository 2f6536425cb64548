/* Driver of a TPU, see systolic.h. */

#include "systolic.h"

enum {
    PLAN_VERSION = 1, PLAN_HEADER = 40, PROGRAM_WORDS = 2, VARIABLE_WORDS = 11, STEP_WORDS = 5, LINK_WORDS = 2,
    END_SIZE = 22, ENTRY_SIZE = 46, LOCAL_SIZE = 30, COMMENT_SIZE = 71, CHUNK = 64
};

#define PLAN_MAGIC 0x50555054u /* TPUP */
#define ON_HOST 0xffffffffu
#define CAUSES \
    (TPU__INTERRUPT_STATUS__PROGRAM_bm | TPU__INTERRUPT_STATUS__HALT_bm | TPU__INTERRUPT_STATUS__ERROR_bm)
#define AT(name) offsetof(tpu_t, name)

static systolic_status fail(systolic_driver *driver, systolic_status status, const char *detail)
{
    driver->detail = detail;
    return status;
}

static int same(const char *left, const char *right)
{
    while (*left && *left == *right)
        ++left, ++right;
    return *left == *right;
}

void systolic_open(systolic_driver *driver, const systolic_link *link)
{
    driver->link = *link;
    driver->limit = 10000000;
    driver->detail = NULL;
}

/* Registers. */

static const char *register_name(size_t address)
{
#define NAME_OF(name, place) if (address == (place)) return #name;
    SYSTOLIC_REGISTER_LIST(NAME_OF)
#undef NAME_OF
    return "at an unknown address";
}

systolic_status systolic_read(systolic_driver *driver, size_t address, uint32_t *value)
{
    if (driver->link.read32(driver->link.context, (uint32_t)address, value))
        return fail(driver, SYSTOLIC_LINK, register_name(address));
    return SYSTOLIC_OK;
}

systolic_status systolic_write(systolic_driver *driver, size_t address, uint32_t value)
{
    if (driver->link.write32(driver->link.context, (uint32_t)address, value))
        return fail(driver, SYSTOLIC_LINK, register_name(address));
    return SYSTOLIC_OK;
}

systolic_status systolic_identify(systolic_driver *driver, uint32_t *rows, uint32_t *cols)
{
    uint32_t identity, shape;
    systolic_status status = systolic_read(driver, AT(ID), &identity);

    if (status == SYSTOLIC_OK && identity != TPU__ID__VALUE_reset)
        return fail(driver, SYSTOLIC_IDENTITY, NULL);
    if (status == SYSTOLIC_OK)
        status = systolic_read(driver, AT(SHAPE), &shape);
    if (status == SYSTOLIC_OK) {
        *rows = (shape & TPU__SHAPE__ROWS_bm) >> TPU__SHAPE__ROWS_bp;
        *cols = (shape & TPU__SHAPE__COLS_bm) >> TPU__SHAPE__COLS_bp;
    }
    return status;
}

systolic_status systolic_counters(systolic_driver *driver, uint64_t counters[SYSTOLIC_COUNTERS])
{
#define PLACE_OF(name) AT(name),
    static const size_t places[] = {SYSTOLIC_COUNTER_LIST(PLACE_OF)};
#undef PLACE_OF
    unsigned i;

    for (i = 0; i < SYSTOLIC_COUNTERS; ++i) {
        uint32_t low, high;
        systolic_status status = systolic_read(driver, places[i], &low); /* keeps the high half */

        if (status == SYSTOLIC_OK)
            status = systolic_read(driver, places[i] + 4, &high);
        if (status != SYSTOLIC_OK)
            return status;
        counters[i] = (uint64_t)high << 32 | low;
    }
    return SYSTOLIC_OK;
}

/* Runs. */

systolic_status systolic_ring(systolic_driver *driver)
{
    return systolic_write(driver, AT(CONTROL), TPU__CONTROL__START_bm);
}

systolic_status systolic_start(systolic_driver *driver, uint32_t address, uint32_t length)
{
    systolic_status status = systolic_write(driver, AT(PROGRAM_ADDRESS), address);

    if (status == SYSTOLIC_OK)
        status = systolic_write(driver, AT(PROGRAM_LENGTH), length);
    if (status == SYSTOLIC_OK)
        status = systolic_write(driver, AT(INTERRUPT_STATUS), CAUSES);
    if (status == SYSTOLIC_OK)
        status = systolic_write(driver, AT(INTERRUPT_ENABLE), CAUSES); /* 0 after reset: the line would never rise */
    return status == SYSTOLIC_OK ? systolic_ring(driver) : status;
}

static systolic_status poll(systolic_driver *driver, uint32_t *causes)
{
    uint64_t left;

    for (left = driver->limit; left; --left) {
        systolic_status status = systolic_read(driver, AT(INTERRUPT_STATUS), causes);

        if (status != SYSTOLIC_OK || *causes)
            return status;
    }
    return fail(driver, SYSTOLIC_WAIT, NULL);
}

static systolic_status await(systolic_driver *driver, uint32_t *causes)
{
    int high, look;

    /* The line is a level, and may be seen once more before it follows the register that was cleared. */
    for (look = 0; look < 2; ++look) {
        systolic_status status;

        high = driver->link.wait(driver->link.context, driver->limit);
        if (high <= 0)
            return fail(driver, high ? SYSTOLIC_LINK : SYSTOLIC_WAIT, high ? "the interrupt line" : NULL);
        status = systolic_read(driver, AT(INTERRUPT_STATUS), causes);
        if (status != SYSTOLIC_OK || *causes)
            return status;
    }
    return fail(driver, SYSTOLIC_WAIT, "the line is high, but no interrupt is pending");
}

systolic_status systolic_interrupted(systolic_driver *driver, uint32_t *causes)
{
    systolic_status status = driver->link.wait ? await(driver, causes) : poll(driver, causes);

    return status == SYSTOLIC_OK ? systolic_write(driver, AT(INTERRUPT_STATUS), *causes) : status;
}

systolic_status systolic_finish(systolic_driver *driver, systolic_outcome *outcome)
{
    uint32_t causes = 0, code;
    systolic_status status;

    outcome->interrupts = 0;
    do {
        status = systolic_interrupted(driver, &causes);
        if (status != SYSTOLIC_OK)
            return status;
        outcome->interrupts += !!(causes & TPU__INTERRUPT_STATUS__PROGRAM_bm);
    } while (!(causes & (TPU__INTERRUPT_STATUS__HALT_bm | TPU__INTERRUPT_STATUS__ERROR_bm)));
    status = systolic_read(driver, AT(ERROR_CODE), &code);
    if (status == SYSTOLIC_OK)
        status = systolic_read(driver, AT(ERROR_INDEX), &outcome->error_index);
    if (status == SYSTOLIC_OK)
        status = systolic_counters(driver, outcome->counters);
    if (status != SYSTOLIC_OK)
        return status;
    outcome->halted = !(causes & TPU__INTERRUPT_STATUS__ERROR_bm);
    outcome->error_code = (code & TPU__ERROR_CODE__CODE_bm) >> TPU__ERROR_CODE__CODE_bp;
    outcome->bus_dead = !!(code & TPU__ERROR_CODE__BUS_DEAD_bm);
    return outcome->halted ? SYSTOLIC_OK : fail(driver, SYSTOLIC_STOPPED, NULL);
}

systolic_status systolic_run(systolic_driver *driver, uint32_t address, uint32_t length, systolic_outcome *outcome)
{
    systolic_status status = systolic_start(driver, address, length);

    return status == SYSTOLIC_OK ? systolic_finish(driver, outcome) : status;
}

systolic_status systolic_restart(systolic_driver *driver)
{
    uint32_t state;
    systolic_status status = systolic_write(driver, AT(CONTROL), TPU__CONTROL__RESTART_bm);

    if (status == SYSTOLIC_OK)
        status = systolic_read(driver, AT(STATUS), &state);
    if (status == SYSTOLIC_OK && state & TPU__STATUS__STOPPED_bm)
        return fail(driver, SYSTOLIC_DEAD, NULL);
    return status;
}

/* Program files: a zip archive of members that are not compressed, with a comment of fixed size. */

static uint32_t half_at(const uint8_t *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8;
}

static uint32_t word_at(const uint8_t *bytes)
{
    return half_at(bytes) | half_at(bytes + 2) << 16;
}

static uint32_t checksum(const uint8_t *bytes, uint32_t size)
{
    uint32_t crc = 0xffffffffu, i;
    int bit;

    for (i = 0; i < size; ++i) {
        crc ^= bytes[i];
        for (bit = 0; bit < 8; ++bit)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

static int named(const uint8_t *name, uint32_t length, const char *wanted)
{
    uint32_t i;

    for (i = 0; i < length; ++i)
        if (!wanted[i] || name[i] != (uint8_t)wanted[i])
            return 0;
    return !wanted[length];
}

/* Content of the member that a directory entry is of; NULL if it is not there, or not as it was written. */
static const uint8_t *member(const uint8_t *bytes, size_t size, const uint8_t *entry)
{
    uint32_t length = word_at(entry + 20), local = word_at(entry + 42), start;

    if (local > size || size - local < LOCAL_SIZE || half_at(entry + 10) || word_at(entry + 24) != length)
        return NULL;
    start = LOCAL_SIZE + half_at(bytes + local + 26) + half_at(bytes + local + 28);
    if (size - local < start || size - local - start < length)
        return NULL;
    return checksum(bytes + local + start, length) == word_at(entry + 16) ? bytes + local + start : NULL;
}

static systolic_status find(const uint8_t *bytes, size_t size, const char *name, const uint8_t **content,
                            uint32_t *length)
{
    const uint8_t *end = bytes + size - COMMENT_SIZE - END_SIZE;
    size_t at = word_at(end + 16), limit = size - COMMENT_SIZE - END_SIZE;
    uint32_t count = half_at(end + 10), i;

    for (i = 0; i < count; ++i) {
        uint32_t letters;

        if (at > limit || limit - at < ENTRY_SIZE || word_at(bytes + at) != 0x02014b50u)
            return SYSTOLIC_DAMAGED;
        letters = half_at(bytes + at + 28);
        if (limit - at - ENTRY_SIZE < letters)
            return SYSTOLIC_DAMAGED;
        if (named(bytes + at + ENTRY_SIZE, letters, name)) {
            *content = member(bytes, limit, bytes + at);
            *length = word_at(bytes + at + 20);
            return *content ? SYSTOLIC_OK : SYSTOLIC_DAMAGED;
        }
        at += ENTRY_SIZE + letters + half_at(bytes + at + 30) + half_at(bytes + at + 32);
    }
    return SYSTOLIC_VERSION;
}

/* Words of the plan's tables, one after the other: header, programs, variables, steps, links; then the names. */
static const uint8_t *variable_at(const systolic_program *program, uint32_t index)
{
    return program->plan + PLAN_HEADER + 4 * (PROGRAM_WORDS * program->programs + VARIABLE_WORDS * index);
}

static const uint8_t *step_at(const systolic_program *program, uint32_t index)
{
    return variable_at(program, program->variables) + 4 * STEP_WORDS * index;
}

static const char *name_at(const systolic_program *program, const uint8_t *place)
{
    return (const char *)program->plan + word_at(place);
}

/* Whether every index is of something that is there. */
static int sound(const systolic_program *program, uint32_t links)
{
    const uint8_t *place;
    uint32_t i;

    for (i = 0; i < program->variables; ++i)
        if (word_at(variable_at(program, i) + 4) >= program->plan_size)
            return 0;
    for (i = 0; i < program->steps; ++i) {
        place = step_at(program, i);
        if (word_at(place) != ON_HOST && word_at(place) >= program->programs)
            return 0;
        if (word_at(place + 4) >= program->plan_size
            || (uint64_t)word_at(place + 8) + word_at(place + 12) + word_at(place + 16) > links)
            return 0;
    }
    for (i = 0; i < 2 * links; ++i)
        if (word_at(step_at(program, program->steps) + 4 * i) >= program->plan_size)
            return 0;
    return 1;
}

static systolic_status open_plan(systolic_program *program)
{
    const uint8_t *plan = program->plan;
    uint64_t words;

    if (program->plan_size < PLAN_HEADER || word_at(plan) != PLAN_MAGIC || plan[program->plan_size - 1])
        return SYSTOLIC_DAMAGED;
    if (word_at(plan + 4) != PLAN_VERSION)
        return SYSTOLIC_VERSION;
    program->shape = word_at(plan + 8);
    program->base = word_at(plan + 12);
    program->size = word_at(plan + 16);
    program->programs = word_at(plan + 24);
    program->variables = word_at(plan + 28);
    program->steps = word_at(plan + 32);
    words = (uint64_t)PROGRAM_WORDS * program->programs + (uint64_t)VARIABLE_WORDS * program->variables
          + (uint64_t)STEP_WORDS * program->steps + (uint64_t)LINK_WORDS * word_at(plan + 36);
    if (PLAN_HEADER + 4 * words >= program->plan_size)
        return SYSTOLIC_DAMAGED;
    return sound(program, word_at(plan + 36)) ? SYSTOLIC_OK : SYSTOLIC_DAMAGED;
}

static void array_name(char name[24], uint32_t number)
{
    const char *text = "arrays/";
    char digits[10];
    int count = 0, at;

    for (at = 0; text[at]; ++at)
        name[at] = text[at];
    do
        digits[count++] = (char)('0' + number % 10);
    while (number /= 10);
    while (count)
        name[at++] = digits[--count];
    for (text = ".npy"; *text; ++text)
        name[at++] = *text;
    name[at] = 0;
}

systolic_status systolic_read_program(systolic_program *program, const void *bytes, size_t size)
{
    const uint8_t *start = bytes, *array;
    char name[24];
    uint32_t length, header;
    systolic_status status;

    if (size < 4 || word_at(start) != 0x04034b50u)
        return SYSTOLIC_NO_PROGRAM;
    if (size < COMMENT_SIZE + END_SIZE || word_at(start + size - COMMENT_SIZE - END_SIZE) != 0x06054b50u)
        return SYSTOLIC_DAMAGED;
    status = find(start, size, "plan.bin", &program->plan, &program->plan_size);
    if (status == SYSTOLIC_OK)
        status = open_plan(program);
    if (status != SYSTOLIC_OK)
        return status;
    array_name(name, word_at(program->plan + 20));
    if (find(start, size, name, &array, &length) != SYSTOLIC_OK || length < 10)
        return SYSTOLIC_DAMAGED;
    header = 10 + half_at(array + 8); /* numpy: magic, version, size of the header, header */
    if (length < header || length - header != program->size)
        return SYSTOLIC_DAMAGED;
    program->content = array + header;
    return SYSTOLIC_OK;
}

/* Memory. */

systolic_status systolic_load(systolic_driver *driver, const systolic_program *program)
{
    uint32_t rows, cols;
    systolic_status status = systolic_identify(driver, &rows, &cols);

    if (status == SYSTOLIC_OK && program->shape != (rows << TPU__SHAPE__ROWS_bp | cols << TPU__SHAPE__COLS_bp))
        return fail(driver, SYSTOLIC_SHAPE, NULL);
    if (status != SYSTOLIC_OK)
        return status;
    if (driver->link.write(driver->link.context, program->base, program->content, program->size))
        return fail(driver, SYSTOLIC_LINK, "memory");
    return SYSTOLIC_OK;
}

enum { INPUT, OUTPUT };

/* A map in memory: pixels of `channels` bytes, and how they lie. */
typedef struct {
    uint32_t kind, name, address, height, width, channels, x_stride, y_stride, offset, size, fill;
} variable;

static variable decode(const uint8_t *place)
{
    variable found;
    uint32_t *word = &found.kind;
    int i;

    for (i = 0; i < VARIABLE_WORDS; ++i)
        word[i] = word_at(place + 4 * i);
    return found;
}

static systolic_status look_up(systolic_driver *driver, const systolic_program *program, uint32_t kind,
                               const char *name, uint32_t count, variable *found)
{
    uint32_t i;

    for (i = 0; i < program->variables; ++i) {
        *found = decode(variable_at(program, i));
        if (found->kind == kind && same((const char *)program->plan + found->name, name))
            return found->height * found->width * found->channels == count ? SYSTOLIC_OK
                                                                           : fail(driver, SYSTOLIC_COUNT, name);
    }
    return fail(driver, SYSTOLIC_NAME, name);
}

/* Bytes on their way to memory, some at a time. */
typedef struct {
    systolic_driver *driver;
    uint32_t address, used;
    int failed;
    int8_t bytes[CHUNK];
} sink;

static void flush(sink *to)
{
    const systolic_link *link = &to->driver->link;

    if (to->used && !to->failed)
        to->failed = link->write(link->context, to->address, to->bytes, to->used);
    to->address += to->used;
    to->used = 0;
}

static void put(sink *to, int8_t byte)
{
    to->bytes[to->used++] = byte;
    if (to->used == CHUNK)
        flush(to);
}

systolic_status systolic_feed(systolic_driver *driver, const systolic_program *program, const char *name,
                              const int8_t *values, uint32_t count)
{
    variable map;
    systolic_status status = look_up(driver, program, INPUT, name, count, &map);
    sink to = {driver, 0, 0, 0, {0}};
    uint32_t at = 0, x, y, c;

    if (status != SYSTOLIC_OK)
        return status;
    to.address = map.address;
    for (y = 0; y < map.height; ++y)
        for (x = 0; x < map.width; ++x) {
            for (; at < map.offset + y * map.y_stride + x * map.x_stride; ++at)
                put(&to, (int8_t)map.fill);
            for (c = 0; c < map.channels; ++c, ++at)
                put(&to, *values++);
        }
    for (; at < map.size; ++at)
        put(&to, (int8_t)map.fill);
    flush(&to);
    return to.failed ? fail(driver, SYSTOLIC_LINK, "memory") : SYSTOLIC_OK;
}

systolic_status systolic_fetch(systolic_driver *driver, const systolic_program *program, const char *name,
                               int8_t *values, uint32_t count)
{
    variable map;
    systolic_status status = look_up(driver, program, OUTPUT, name, count, &map);
    uint32_t x, y, together;

    if (status != SYSTOLIC_OK)
        return status;
    together = map.x_stride == map.channels ? map.width : 1; /* pixels without a gap between them */
    for (y = 0; y < map.height; ++y)
        for (x = 0; x < map.width; x += together) {
            uint32_t address = map.address + map.offset + y * map.y_stride + x * map.x_stride;

            if (driver->link.read(driver->link.context, address, values, together * map.channels))
                return fail(driver, SYSTOLIC_LINK, "memory");
            values += together * map.channels;
        }
    return SYSTOLIC_OK;
}

/* Models. */

static const systolic_value *value_of(const systolic_value *values, size_t count, const char *name)
{
    size_t i;

    for (i = 0; i < count; ++i)
        if (same(values[i].name, name))
            return values + i;
    return NULL;
}

/* A step's links: the value of the graph and the variable of the image, inputs first. */
static systolic_status transfer(systolic_driver *driver, const systolic_program *program, const uint8_t *step, int kind,
                                const systolic_value *values, size_t count)
{
    const uint8_t *links = step_at(program, program->steps) + 4 * LINK_WORDS * word_at(step + 8);
    uint32_t inputs = word_at(step + 12), i, first = kind == INPUT ? 0 : inputs;
    uint32_t last = kind == INPUT ? inputs : inputs + word_at(step + 16);

    for (i = first; i < last; ++i) {
        const uint8_t *place = links + 4 * LINK_WORDS * i;
        const char *name = name_at(program, place + 4);
        const systolic_value *value = value_of(values, count, name_at(program, place));
        systolic_status status;

        if (!value)
            return fail(driver, SYSTOLIC_NAME, name_at(program, place));
        status = kind == INPUT ? systolic_feed(driver, program, name, value->data, value->count)
                               : systolic_fetch(driver, program, name, value->data, value->count);
        if (status != SYSTOLIC_OK)
            return status;
    }
    return SYSTOLIC_OK;
}

systolic_status systolic_execute(systolic_driver *driver, const systolic_program *program, const systolic_value *values,
                                 size_t count, uint32_t *step, systolic_outcome *outcome)
{
    for (; *step < program->steps; ++*step) {
        const uint8_t *place = step_at(program, *step), *code;
        systolic_status status;

        if (word_at(place) == ON_HOST)
            return fail(driver, SYSTOLIC_HOST, name_at(program, place + 4));
        code = program->plan + PLAN_HEADER + 4 * PROGRAM_WORDS * word_at(place);
        status = transfer(driver, program, place, INPUT, values, count);
        if (status == SYSTOLIC_OK)
            status = systolic_run(driver, word_at(code), word_at(code + 4), outcome);
        if (status == SYSTOLIC_OK)
            status = transfer(driver, program, place, OUTPUT, values, count);
        if (status != SYSTOLIC_OK)
            return status;
    }
    return SYSTOLIC_OK;
}

/* Words. */

const char *systolic_reason(uint32_t error_code)
{
#define REASON_OF(code, text) if (error_code == (code)) return text;
    SYSTOLIC_ERROR_LIST(REASON_OF)
#undef REASON_OF
    return "no error code";
}

typedef struct {
    char *text;
    size_t size, used;
} line;

static void say(line *to, const char *words)
{
    for (; *words && to->used + 1 < to->size; ++words)
        to->text[to->used++] = *words;
    if (to->size)
        to->text[to->used] = 0;
}

static void say_number(line *to, uint32_t number)
{
    char digits[11];
    int at = 10;

    digits[at] = 0;
    do
        digits[--at] = (char)('0' + number % 10);
    while (number /= 10);
    say(to, digits + at);
}

static void say_outcome(line *to, const systolic_outcome *outcome)
{
    say(to, "stopped at instruction ");
    say_number(to, outcome->error_index);
    say(to, ": ");
    say(to, systolic_reason(outcome->error_code));
    say(to, " (error ");
    say_number(to, outcome->error_code);
    say(to, outcome->bus_dead ? "), and memory has not answered all bursts" : ")");
}

const char *systolic_describe(const systolic_driver *driver, systolic_status status, const systolic_outcome *outcome,
                              char *text, size_t size)
{
    static const char *const words[] = {
        [SYSTOLIC_OK] = "no error",
        [SYSTOLIC_LINK] = "no answer from",
        [SYSTOLIC_IDENTITY] = "register ID is not that of a TPU",
        [SYSTOLIC_SHAPE] = "the program is for an array of another shape",
        [SYSTOLIC_WAIT] = "no interrupt within the limit",
        [SYSTOLIC_STOPPED] = "stopped by an error",
        [SYSTOLIC_DEAD] = "memory does not answer: reset TPU and interconnect",
        [SYSTOLIC_NO_PROGRAM] = "not a program: systolic compile writes one from a model",
        [SYSTOLIC_DAMAGED] = "the program is damaged: its bytes are not those that were written",
        [SYSTOLIC_VERSION] = "the program is of another version: compile the model again",
        [SYSTOLIC_NAME] = "there is no input, output or value",
        [SYSTOLIC_COUNT] = "wrong number of values for",
        [SYSTOLIC_HOST] = "the next step is the host's:",
    };
    line to = {text, size, 0};

    if (size)
        *text = 0;
    if (status == SYSTOLIC_STOPPED && outcome) {
        say_outcome(&to, outcome);
        return text;
    }
    say(&to, words[status]);
    if (driver && status != SYSTOLIC_OK && driver->detail) {
        say(&to, status == SYSTOLIC_WAIT ? ": " : " ");
        say(&to, driver->detail);
    }
    return text;
}
