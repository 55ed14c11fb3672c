// BY REFERENCE: which jobs' documents and answers may stay in a directory that coordinator and
// workers share, so that no more than their places pass between the two, and what the files in it
// are called:
//
//   DIR/gristmill-ID/coordinator             a word of the coordinator's life, for workers to read
//   DIR/gristmill-ID/worker-SESSION          a worker's, for the coordinator to read
//   DIR/gristmill-ID/job-N/SESSION.answers   bodies of answers, written by this session alone
//
// ID is that of the coordinator's state, SESSION the number as of to_string(SessionId).
#pragma once

#include "protocol/ids.hpp"
#include "protocol/job/spec.hpp"

#include <cstdint>
#include <string>

namespace gristmill {

// A reason as "its answers are …"; empty = it may go by reference. `has_cache`: its answers are
// kept for other jobs, too.
std::string why_by_value(const JobSpec& spec, bool has_cache);

// Of an outcome whose body is stored, no status is this one, and no model that of the outcome
// before it in the message.
inline constexpr std::uint16_t stored_status = 200;

// Below DIR/gristmill-ID.
std::string coordinator_word_file();
std::string worker_word_file(SessionId session);
std::string answers_directory(JobId job);
std::string answers_file(JobId job, SessionId session);

} // namespace gristmill
