-- An index of version 1, as sqlite3's .dump writes it: of one run with two results and a speedup.
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE machine ( /* a computer; runs are of one machine where host to cores are the same */
  id INTEGER PRIMARY KEY, /* number in this file */
  name TEXT NOT NULL UNIQUE, /* hash of the facts from host to cores */
  host TEXT, /* host name; null where it was stripped */
  cpu TEXT, /* model as the CPU says it */
  vendor TEXT, /* of the CPU */
  family TEXT, /* of the CPU */
  model_number TEXT, /* of the CPU */
  stepping TEXT, /* of the CPU */
  l1d INTEGER, /* bytes of one L1 data cache */
  l2 INTEGER, /* bytes of one L2 cache */
  l3 INTEGER, /* bytes of one L3 cache */
  cores INTEGER, /* cores that runs may use */
  cpus INTEGER, /* hardware threads on them; this and what follows as in the first run of the machine */
  numa_nodes INTEGER, /* NUMA nodes */
  memory INTEGER, /* bytes */
  hypervisor TEXT /* its name; null on bare metal, or where it is not known */
);
INSERT INTO machine VALUES(1,'93b8f861a0ae145b','node00000','Synthetic CPU 0 @ 2.0GHz','GenuineIntel','6','100','1',49152,2097152,503316480,2,2,1,25276502016,NULL);
CREATE TABLE run ( /* one run folder */
  id INTEGER PRIMARY KEY, /* number in this file */
  name TEXT NOT NULL UNIQUE, /* id of plan.json, and a hash of host and begin */
  content TEXT NOT NULL, /* hashes of host.json, plan.json, results.csv and speedup.csv */
  folder TEXT NOT NULL, /* where it lay when it was imported, or last found */
  machine INTEGER NOT NULL REFERENCES machine, /* where it ran */
  begun TEXT, /* when: UTC, 2026-11-22T08:30:00Z, so that texts are in the order of time */
  git TEXT, /* commit of the program */
  version TEXT, /* of the program */
  compiler TEXT, /* of the program */
  flags TEXT, /* hash of the compile flags of all units */
  microcode TEXT, /* of the CPU, then */
  os TEXT, /* kernel of the operating system, then */
  preset TEXT, /* what was run */
  ended INTEGER NOT NULL, /* 1: to its end; 0: interrupted */
  forced INTEGER NOT NULL, /* 1: a refusal was overridden; times may mean nothing */
  imported TEXT NOT NULL /* when it came into this file: UTC */
);
INSERT INTO run VALUES(1,'5a0052b913b21d24','ab2caf8fa1918da57ef09ddc906117010114306c9cc6d3e79a245ebdd700e2ad','/runs/one',1,'2025-01-01T00:00:00Z','fd38c9b0ea17','0.1.0','gcc 12.2.0','8f383643fc94d9b7','0x1','6.1.0','synthetic',1,0,'2026-11-22T08:30:00Z');
CREATE TABLE kernel ( /* one kernel, by its name */
  id INTEGER PRIMARY KEY, /* number in this file */
  name TEXT NOT NULL UNIQUE, /* as everywhere; FORWARD+BACKWARD of a step of training */
  op TEXT, /* layernorm, rmsnorm, ...; this and what follows null where only a speedup names the kernel */
  algo TEXT, /* algorithm */
  isa TEXT, /* instruction set */
  trick TEXT, /* none where there is none */
  dtype TEXT /* of x and y */
);
INSERT INTO kernel VALUES(1,'rmsnorm_fwd_onepass__f32_avx512','rmsnorm','onepass','avx512','none','f32');
INSERT INTO kernel VALUES(2,'copy_fwd_plain__f32_avx512',NULL,NULL,NULL,NULL,NULL);
INSERT INTO kernel VALUES(3,'layernorm_fwd_onepass__f32_avx512','layernorm','onepass','avx512','none','f32');
CREATE TABLE cell ( /* one problem at one place in memory */
  id INTEGER PRIMARY KEY, /* number in this file */
  name TEXT NOT NULL UNIQUE, /* as in results.csv */
  dir TEXT, /* fwd, bwd */
  fuse TEXT, /* none, residual, postnorm */
  dtype TEXT, /* of x and y */
  param_dtype TEXT, /* of gamma and beta */
  hidden INTEGER, /* elements a row */
  rows INTEGER, /* rows */
  threads INTEGER, /* threads */
  residency TEXT, /* L1, L2, L3, DRAM, cold */
  stats_out INTEGER, /* 1: mean and rstd are written */
  in_place INTEGER /* 1: y is x */
);
INSERT INTO cell VALUES(1,'fwd-none-f32-h64-r1025-t1-L2','fwd','none','f32','f32',64,1025,1,'L2',0,0);
CREATE TABLE result ( /* a kernel in a cell of a run: a line of results.csv */
  run INTEGER NOT NULL REFERENCES run, /* which run */
  kernel INTEGER NOT NULL REFERENCES kernel, /* which kernel */
  cell INTEGER NOT NULL REFERENCES cell, /* in which cell */
  verdict TEXT NOT NULL, /* PASS, or why there are no figures */
  processes INTEGER, /* that entered */
  ns REAL, /* ns a row; compare within one machine alone */
  ns_lo REAL, /* its interval; null below 6 processes */
  ns_hi REAL, /* its interval */
  roof INTEGER REFERENCES kernel, /* the fastest ceiling of the cell */
  of_roof REAL, /* speed over that of the roof, same rounds */
  of_roof_lo REAL, /* its interval */
  of_roof_hi REAL, /* its interval */
  of_scale REAL, /* speed over that of the anchor (scale, backward and fused triad), same rounds */
  of_scale_lo REAL, /* its interval */
  of_scale_hi REAL, /* its interval */
  cycles REAL, /* core cycles an element; null unless its counters are certified */
  PRIMARY KEY (run, kernel, cell)
) WITHOUT ROWID;
INSERT INTO result VALUES(1,1,1,'PASS',8,1.303479999999999972,1.2840800000000001102,1.3231800000000000228,2,0.86581900000000000527,0.85292900000000004823,0.87890400000000001856,0.90910999999999997367,0.89557500000000000994,0.92284900000000003039,NULL);
INSERT INTO result VALUES(1,3,1,'PASS',8,1.5472799999999999887,1.5242400000000000392,1.570659999999999945,2,0.7293979999999999908,0.71853900000000003878,0.74042200000000002457,0.76586799999999999322,0.75446599999999996999,0.77744299999999999517,NULL);
CREATE TABLE pairing ( /* what is compared with what, and where */
  id INTEGER PRIMARY KEY, /* number in this file */
  name TEXT NOT NULL UNIQUE, /* the facts that follow, in short */
  kind TEXT, /* best-of-each, same-algorithm */
  base_op TEXT, /* its time is above the line */
  test_op TEXT, /* its time is below the line */
  base_k TEXT, /* k of the base op (docs/schema.md), null where it has none */
  test_k TEXT, /* k of the test op */
  isa TEXT, /* instruction set, or any */
  dir TEXT, /* fwd, bwd, fwd+bwd */
  fuse TEXT, /* none, residual, postnorm */
  dtype TEXT, /* of x and y */
  param_dtype TEXT, /* of gamma and beta */
  hidden INTEGER, /* elements a row */
  rows INTEGER, /* rows; null where the two cells of a step of training differ in them */
  threads INTEGER, /* threads */
  residency TEXT, /* L1, L2, L3, DRAM, cold */
  in_place INTEGER /* 1: y is x */
);
INSERT INTO pairing VALUES(1,'rmsnorm(-):layernorm(-) best-of-each any fwd-none-f32+f32-h64-r1025-t1-L2','best-of-each','layernorm','rmsnorm',NULL,NULL,'any','fwd','none','f32','f32',64,1025,1,'L2',0);
CREATE TABLE speedup ( /* a pairing in a run: a line of speedup.csv */
  run INTEGER NOT NULL REFERENCES run, /* which run */
  line INTEGER NOT NULL, /* of speedup.csv */
  pairing INTEGER NOT NULL REFERENCES pairing, /* what and where */
  base INTEGER REFERENCES kernel, /* the kernel of the base op */
  test INTEGER REFERENCES kernel, /* the kernel of the test op */
  verdict TEXT NOT NULL, /* faster, slower, unresolved, or why there is no number */
  processes INTEGER, /* that entered */
  speedup REAL, /* time of base over time of test */
  lo REAL, /* its interval; null below 6 processes */
  hi REAL, /* its interval */
  confidence REAL, /* of the interval, exact */
  doubtful INTEGER NOT NULL, /* 1: two copies of one kernel differed in that cell */
  PRIMARY KEY (run, line)
) WITHOUT ROWID;
INSERT INTO speedup VALUES(1,2,1,3,1,'faster',8,1.1870300000000000295,1.169359999999999955,1.2049700000000000965,0.99218799999999995886,0);
CREATE INDEX run_content ON run(content);
COMMIT;
PRAGMA application_id = 1851941986;
PRAGMA user_version = 1;
