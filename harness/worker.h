/* worker.h: the process that allocates, checks and measures, and the protocol it speaks.
 *
 * The orchestrator starts `normbench --worker FD [--peers] [--tune HASH:PATH] [--plugin HASH:PATH]...` with pipes at stdin and
 * stdout; FD is a shared page (struct nb_status_page). What kernels print goes to stderr, and what they read
 * is empty. One JSON object a line each way:
 *   in   {"cmd":"hello","protocol":3,"seed":1}               out  {"type":"hello","protocol":3}
 *   in   {"cmd":"check","cell":{...},"kernels":[...],"timeout_s":20}
 *        out  a check line for each kernel, then {"type":"checked","cell":"..."}
 *   in   {"cmd":"count","cell":{...},"kernels":["",...]}     out  a count line for each kernel ("": a call that does
 *        nothing), the dump of callgrind it came from, then {"type":"counted","cell":"..."}; under callgrind alone
 *   in   {"cmd":"calibrate","cell":{...},"hashes":{...}}     out  {"type":"calibration",...}
 *   in   {"cmd":"unit","cell":{...},"process":0,"attempt":0,"rounds":12,"screening":false,
 *         "counters":true,"hashes":{...}}                    out  certificates (once), round and counter lines, then done or discard
 *        with "turns":2                before every second round out {"type":"ready"}, and waits for in {"cmd":"go"};
 *        with "memory":"PATH"          its tensors are the pages of that file
 *        with "stream":"PATH"          what it makes of the stream of inputs is kept there for the next worker of this build
 *   in   {"cmd":"quit"}                                      out  nothing; exit 0
 * Anything that cannot be done is answered by {"type":"error","text":"..."}, also a hello of an unknown protocol,
 * after which another may be tried: so an orchestrator talks to workers of this protocol and of the one before.
 *
 * Protocol 1: as above. 2: done and discard lines have "conditions"; "turns":true, a turn being one round, and "memory". 3: "turns" is a
 * number; "stream". Objects only ever gain keys, and both sides
 * ignore those that they do not know, so that two builds can be driven by one plan. */
#ifndef NB_WORKER_H
#define NB_WORKER_H

#include "err.h"

#include <stdatomic.h>
#include <stdint.h>

#define NB_PROTOCOL 3
#define NB_PROTOCOL_OLDEST 1 /* that is still spoken */

/* Tells the orchestrator, without a system call, that there is progress and which kernel runs. */
struct nb_status_page {
    _Atomic uint64_t beats;
    char kernel[192];
};

/* The worker's whole life; returns its exit code. argv: the words of nb_foreign_words. */
int nb_worker_main(int status_fd, int argc, char **argv);

#endif
