/* Driver of a TPU: load a program of `systolic compile`, run it, wait, read how it ended. Written by `systolic driver`.
 *
 *     systolic_driver driver;
 *     systolic_program program;
 *     systolic_open(&driver, &link);                            link: your five functions
 *     systolic_read_program(&program, file, size);              the bytes of model.tpu
 *     systolic_load(&driver, &program);                         once
 *     systolic_execute(&driver, &program, values, count, &step, &outcome);
 *
 * C11, freestanding: no allocation, no operating system, nothing of the C library but its headers. Functions are named
 * as those of the Python driver, systolic.host. A driver is used by one thread at a time.
 */

#ifndef SYSTOLIC_H
#define SYSTOLIC_H

#include <stddef.h>
#include <stdint.h>

/* @generated */

#ifdef __cplusplus
extern "C" {
#endif

/* What came of a call; systolic_describe has the words. */
typedef enum {
    SYSTOLIC_OK,
    SYSTOLIC_LINK,      /* a register or memory did not answer */
    SYSTOLIC_IDENTITY,  /* register ID is not that of a TPU */
    SYSTOLIC_SHAPE,     /* the program is for another array */
    SYSTOLIC_WAIT,      /* no interrupt within the limit */
    SYSTOLIC_STOPPED,   /* an error stopped the TPU, see the outcome */
    SYSTOLIC_DEAD,      /* memory does not answer: reset TPU and interconnect */
    SYSTOLIC_NO_PROGRAM,/* the bytes are no program file */
    SYSTOLIC_DAMAGED,   /* they are not as they were written */
    SYSTOLIC_VERSION,   /* they are of another version of this driver */
    SYSTOLIC_NAME,      /* there is no such input, output or value */
    SYSTOLIC_COUNT,     /* there are too few or too many values */
    SYSTOLIC_HOST       /* the next step is the host's */
} systolic_status;

/* The way to registers, memory and interrupt. Functions return 0, or another number if there is no answer. */
typedef struct {
    void *context;                                                              /* handed to each of them */
    int (*read32)(void *context, uint32_t address, uint32_t *value);            /* register at a byte address */
    int (*write32)(void *context, uint32_t address, uint32_t value);
    int (*read)(void *context, uint32_t address, void *data, uint32_t size);    /* memory that the TPU works on */
    int (*write)(void *context, uint32_t address, const void *data, uint32_t size);
    /* Waits until the interrupt line is high, no longer than the limit, in a unit of its own: 1 if it is, 0 if not,
     * negative if that cannot be told. NULL: the driver reads INTERRUPT_STATUS over and over. */
    int (*wait)(void *context, uint64_t limit);
} systolic_link;

typedef struct {
    systolic_link link;
    uint64_t limit;      /* for link.wait; without it, how often INTERRUPT_STATUS is read. 10,000,000 at first */
    const char *detail;  /* what the latest status other than SYSTOLIC_OK is about: a register, a name; or NULL */
} systolic_driver;

/* How a run ended. */
typedef struct {
    int halted;                            /* by `halt`; else by an error */
    uint32_t error_code, error_index;      /* as in the registers */
    int bus_dead;                          /* stopped with bursts that memory had not answered */
    uint32_t interrupts;                   /* times that the instruction `interrupt` was heard */
    uint64_t counters[SYSTOLIC_COUNTERS];  /* by SYSTOLIC_CYCLES and so on */
} systolic_outcome;

/* A program file. Its bytes stay where they are and must not change. */
typedef struct {
    const uint8_t *plan, *content;
    uint32_t plan_size, shape, base, size, programs, variables, steps;
} systolic_program;

/* A value of the model's graph: int8, all axes after one another. */
typedef struct {
    const char *name;
    int8_t *data;
    uint32_t count;
} systolic_value;

/* Sets a driver up; asks nothing of the TPU. */
void systolic_open(systolic_driver *driver, const systolic_link *link);

/* Registers, by offsetof(tpu_t, NAME). */
systolic_status systolic_read(systolic_driver *driver, size_t address, uint32_t *value);
systolic_status systolic_write(systolic_driver *driver, size_t address, uint32_t value);

/* Rows and columns of the array; SYSTOLIC_IDENTITY if there is no TPU. */
systolic_status systolic_identify(systolic_driver *driver, uint32_t *rows, uint32_t *cols);

systolic_status systolic_counters(systolic_driver *driver, uint64_t counters[SYSTOLIC_COUNTERS]);

/* Starts a program that is in memory: clears and enables all interrupts, rings the doorbell. */
systolic_status systolic_start(systolic_driver *driver, uint32_t address, uint32_t length);
systolic_status systolic_ring(systolic_driver *driver);

/* Waits for an interrupt and clears it: *causes are bits of INTERRUPT_STATUS. */
systolic_status systolic_interrupted(systolic_driver *driver, uint32_t *causes);

/* Waits for the end of a program: SYSTOLIC_STOPPED if that was an error. */
systolic_status systolic_finish(systolic_driver *driver, systolic_outcome *outcome);

/* systolic_start and systolic_finish. */
systolic_status systolic_run(systolic_driver *driver, uint32_t address, uint32_t length, systolic_outcome *outcome);

/* Makes the TPU ready again after an error. */
systolic_status systolic_restart(systolic_driver *driver);

/* Reads a program file that is in memory; checks that it is whole. */
systolic_status systolic_read_program(systolic_program *program, const void *bytes, size_t size);

/* Writes code and constants into the TPU's memory. Fails unless the array is the one that the program is for. */
systolic_status systolic_load(systolic_driver *driver, const systolic_program *program);

/* Write an input of the image; read an output. */
systolic_status systolic_feed(systolic_driver *driver, const systolic_program *program, const char *name,
                              const int8_t *values, uint32_t count);
systolic_status systolic_fetch(systolic_driver *driver, const systolic_program *program, const char *name,
                               int8_t *values, uint32_t count);

/* Runs the steps from *step on. Each takes its inputs from values, by their names in the graph, and puts its outputs
 * there. SYSTOLIC_HOST: step *step is an operator that the TPU does not have, named by driver->detail; compute it, and go
 * on with the next. The outcome is that of the latest program. */
systolic_status systolic_execute(systolic_driver *driver, const systolic_program *program, const systolic_value *values,
                                 size_t count, uint32_t *step, systolic_outcome *outcome);

/* What an ERROR_CODE means. */
const char *systolic_reason(uint32_t error_code);

/* A sentence on a status, in no more than size bytes with the zero at its end; the outcome may be NULL. */
const char *systolic_describe(const systolic_driver *driver, systolic_status status, const systolic_outcome *outcome,
                              char *text, size_t size);

#ifdef __cplusplus
}
#endif

#endif
