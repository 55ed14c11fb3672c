// SCHEMA: the journal's tables. Times named _at are unix seconds, _ns are CLOCK_BOOTTIME of the
// epoch's boot. Invariant: a journal of another version is refused and left as it is.
#pragma once

#include <cstdint>

namespace gristmill::coordinator {

// Rises with every change of a table.
inline constexpr std::int64_t schema_version = 5;

inline constexpr const char* schema = R"(
-- ended_epoch: the last epoch that ended in order; one after it crashed. worker_epoch: the last one
-- in which there was a worker. days_ns: how far the newest epoch's boot has come.
CREATE TABLE meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES('last_position', 0), ('last_forgotten', 0);
CREATE TABLE epochs(
  epoch INTEGER PRIMARY KEY, boot_id TEXT NOT NULL, started_at INTEGER NOT NULL,
  started_ns INTEGER NOT NULL, pid INTEGER NOT NULL);
CREATE TABLE jobs(
  job INTEGER PRIMARY KEY, spec TEXT NOT NULL, directory TEXT NOT NULL, state TEXT NOT NULL,
  reason TEXT NOT NULL, detail TEXT NOT NULL, created_at INTEGER NOT NULL,
  ended_at INTEGER NOT NULL);
-- Segment 0: the group had no lines of the job. The grammar of items is in
-- actors/journal/commit_row.hpp. Rows are never changed, so their rowid rises with the position.
-- whole_bytes: of the lines, with bodies that stand in a shared directory.
CREATE TABLE commits(
  position INTEGER NOT NULL, epoch INTEGER NOT NULL, job INTEGER NOT NULL,
  segment INTEGER NOT NULL, from_offset INTEGER NOT NULL, to_offset INTEGER NOT NULL,
  reopened INTEGER NOT NULL, completed INTEGER NOT NULL, failed INTEGER NOT NULL,
  calls INTEGER NOT NULL, attempts INTEGER NOT NULL, ambiguous INTEGER NOT NULL,
  late INTEGER NOT NULL, cached INTEGER NOT NULL,
  prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL,
  cached_prompt_tokens INTEGER NOT NULL,
  cost_nano_usd INTEGER NOT NULL,
  saved_prompt_tokens INTEGER NOT NULL, saved_completion_tokens INTEGER NOT NULL,
  saved_nano_usd INTEGER NOT NULL,
  low_input INTEGER NOT NULL, low_offset INTEGER NOT NULL, low_line INTEGER NOT NULL,
  low_item INTEGER NOT NULL, low_where INTEGER NOT NULL, low_empty INTEGER NOT NULL,
  low_sample INTEGER NOT NULL, low_normalised INTEGER NOT NULL, low_mended INTEGER NOT NULL,
  items BLOB NOT NULL, whole_bytes INTEGER NOT NULL,
  PRIMARY KEY(job, position));
-- Files of the shared directory in which bodies of a job's answers stand.
CREATE TABLE answer_files(
  job INTEGER NOT NULL, file TEXT NOT NULL, PRIMARY KEY(job, file)) WITHOUT ROWID;
-- Where the part lines of a commit lie, if it has any.
CREATE TABLE part_ranges(
  job INTEGER NOT NULL, position INTEGER NOT NULL, segment INTEGER NOT NULL,
  from_offset INTEGER NOT NULL, to_offset INTEGER NOT NULL,
  PRIMARY KEY(job, position)) WITHOUT ROWID;
-- drawn_*: NULL while the block is open. One that is over has no row any more.
CREATE TABLE blocks(
  epoch INTEGER NOT NULL, block INTEGER NOT NULL, account TEXT NOT NULL, calls INTEGER NOT NULL,
  tokens INTEGER NOT NULL, until_ns INTEGER NOT NULL,
  drawn_calls INTEGER, drawn_tokens INTEGER,
  PRIMARY KEY(epoch, block)) WITHOUT ROWID;
-- The highest item + 1 that may have been called.
CREATE TABLE marks(job INTEGER PRIMARY KEY, mark INTEGER NOT NULL);
-- Those that are open, and how many calls each may have in flight.
CREATE TABLE sessions(
  session INTEGER PRIMARY KEY, worker TEXT NOT NULL, process INTEGER NOT NULL,
  calls INTEGER NOT NULL);
CREATE TABLE money(
  job INTEGER PRIMARY KEY, watermark_nano_usd INTEGER NOT NULL DEFAULT 0,
  assumed_nano_usd INTEGER NOT NULL DEFAULT 0);
CREATE TABLE crashes(job INTEGER PRIMARY KEY, count INTEGER NOT NULL);
-- In `epoch` that item of a job on probation was out, and as many coordinators in a row had ended
-- with it out before.
CREATE TABLE probation(
  job INTEGER PRIMARY KEY, item INTEGER NOT NULL, epoch INTEGER NOT NULL, ends INTEGER NOT NULL);
-- Times are of the newest epoch's boot.
CREATE TABLE days(
  account TEXT NOT NULL, until_ns INTEGER NOT NULL, calls INTEGER NOT NULL,
  tokens INTEGER NOT NULL, PRIMARY KEY(account, until_ns)) WITHOUT ROWID;
-- What the tokens say only the rate limiter's TokenReserve knows.
CREATE TABLE learned(
  job INTEGER NOT NULL, model TEXT NOT NULL, tokens TEXT NOT NULL,
  PRIMARY KEY(job, model)) WITHOUT ROWID;
-- What calls of a job have met, by cause.
CREATE TABLE errors(
  job INTEGER NOT NULL, class INTEGER NOT NULL, code TEXT NOT NULL, http_status INTEGER NOT NULL,
  count INTEGER NOT NULL, final INTEGER NOT NULL, sample TEXT NOT NULL, item TEXT NOT NULL,
  source TEXT NOT NULL, at INTEGER NOT NULL,
  PRIMARY KEY(job, class, code, http_status)) WITHOUT ROWID;
-- Inputs of open jobs: each is a line of JSON. number 0: the job is closed.
CREATE TABLE appends(
  job INTEGER NOT NULL, number INTEGER NOT NULL, key TEXT NOT NULL, hash TEXT NOT NULL,
  bytes INTEGER NOT NULL, inputs TEXT NOT NULL, PRIMARY KEY(job, number)) WITHOUT ROWID;
-- How many calls endpoints were found to take up, and inputs in a call; 0 = not known. The newest
-- ones are kept; position says which.
CREATE TABLE concurrency(
  account TEXT PRIMARY KEY, calls INTEGER NOT NULL, rising INTEGER NOT NULL,
  inputs INTEGER NOT NULL, position INTEGER NOT NULL) WITHOUT ROWID;
)";

} // namespace gristmill::coordinator
