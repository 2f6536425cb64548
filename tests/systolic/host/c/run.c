/* Runs a program file on a Verilated TPU with the C driver, and tells how it went: see test_c_driver.py.
 *
 *     run MEMORY poll|interrupt MODEL.tpu IN.bin OUT.bin NAME=COUNT...
 *
 * Values by name: those that IN.bin has are inputs, one after the other; all are written to OUT.bin. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "systolic.h"

typedef struct Model Model;

/* As tpu_harness.cpp has it. */
typedef struct {
    uint8_t *bytes;
    uint64_t size;
    const void *faults;
    uint64_t fault_count;
    double share;
    uint32_t latency, random, stall[5];
    uint64_t silent[5];
} Settings;

Model *tpu_new(void);
void tpu_reset(Model *model, uint32_t cycles);
void tpu_memory(Model *model, const Settings *settings);
uint64_t tpu_run(Model *model, uint64_t cycles);
int tpu_interrupt(const Model *model);
int tpu_write(Model *model, uint32_t address, uint32_t value, uint32_t strobe, uint32_t patience);
int tpu_read(Model *model, uint32_t address, uint32_t *value, uint32_t patience);
const char *tpu_complaint(const Model *model);

typedef struct {
    Model *model;
    uint8_t *memory;
    uint32_t size;
} Tpu;

static int read32(void *context, uint32_t address, uint32_t *value)
{
    return tpu_read(((Tpu *)context)->model, address, value, 1000);
}

static int write32(void *context, uint32_t address, uint32_t value)
{
    return tpu_write(((Tpu *)context)->model, address, value, 15, 1000);
}

static int read_memory(void *context, uint32_t address, void *data, uint32_t size)
{
    const Tpu *tpu = context;

    if (address > tpu->size || size > tpu->size - address)
        return -1;
    memcpy(data, tpu->memory + address, size);
    return 0;
}

static int write_memory(void *context, uint32_t address, const void *data, uint32_t size)
{
    const Tpu *tpu = context;

    if (address > tpu->size || size > tpu->size - address)
        return -1;
    memcpy(tpu->memory + address, data, size);
    return 0;
}

static int wait_cycles(void *context, uint64_t limit)
{
    Model *model = ((Tpu *)context)->model;

    tpu_run(model, limit);
    return *tpu_complaint(model) ? -1 : tpu_interrupt(model);
}

static size_t read_file(const char *path, uint8_t **bytes)
{
    FILE *file = fopen(path, "rb");
    long size;

    if (!file || fseek(file, 0, SEEK_END) || (size = ftell(file)) < 0)
        exit(3);
    rewind(file);
    *bytes = malloc((size_t)size + 1);
    if (!*bytes || fread(*bytes, 1, (size_t)size, file) != (size_t)size)
        exit(3);
    fclose(file);
    return (size_t)size;
}

static int tell(const systolic_driver *driver, systolic_status status, const systolic_outcome *outcome)
{
    char text[200];

    puts(systolic_describe(driver, status, outcome, text, sizeof text));
    return 1;
}

int main(int argc, char **argv)
{
    static const char *const names[] = {
#define NAME_OF(name) #name,
        SYSTOLIC_COUNTER_LIST(NAME_OF)
    };
    Tpu tpu = {tpu_new(), calloc(1, strtoul(argv[1], NULL, 0)), (uint32_t)strtoul(argv[1], NULL, 0)};
    Settings settings = {tpu.memory, tpu.size, NULL, 0, 1.0, 20, 1, {0}, {0}};
    systolic_link link = {&tpu, read32, write32, read_memory, write_memory, wait_cycles};
    systolic_value values[16];
    systolic_outcome outcome;
    systolic_program program;
    systolic_driver driver;
    systolic_status status;
    uint8_t *bytes, *inputs;
    size_t size = read_file(argv[3], &bytes), left = read_file(argv[4], &inputs), count = (size_t)argc - 6, i;
    uint32_t step = 0;
    FILE *out;

    memset(settings.silent, 0xff, sizeof settings.silent);
    tpu_reset(tpu.model, 1);
    tpu_memory(tpu.model, &settings);
    for (i = 0; i < count; ++i) {
        char *equals = strrchr(argv[6 + i], '=');
        size_t part;

        *equals = 0;
        values[i] = (systolic_value){argv[6 + i], NULL, (uint32_t)strtoul(equals + 1, NULL, 0)};
        values[i].data = calloc(1, values[i].count);
        part = left < values[i].count ? left : values[i].count;
        memcpy(values[i].data, inputs, part);
        inputs += part;
        left -= part;
    }
    if (!strcmp(argv[2], "poll"))
        link.wait = NULL;
    systolic_open(&driver, &link);
    status = systolic_read_program(&program, bytes, size);
    if (status == SYSTOLIC_OK)
        status = systolic_load(&driver, &program);
    if (status != SYSTOLIC_OK)
        return tell(&driver, status, NULL);
    status = systolic_execute(&driver, &program, values, count, &step, &outcome);
    if (status != SYSTOLIC_OK && status != SYSTOLIC_HOST)
        return tell(&driver, status, &outcome);
    printf("%u of %u steps\n", (unsigned)step, (unsigned)program.steps);
    if (status == SYSTOLIC_HOST)
        tell(&driver, status, NULL);
    for (i = 0; i < SYSTOLIC_COUNTERS; ++i)
        printf("%s %llu\n", names[i], (unsigned long long)outcome.counters[i]);
    out = fopen(argv[5], "wb");
    for (i = 0; i < count; ++i)
        fwrite(values[i].data, 1, values[i].count, out);
    fclose(out);
    return 0;
}
