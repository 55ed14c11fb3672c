// Bounds of what a client, a worker or a file chooses the length of: lists, because what is done
// for each of them is done where others wait for it, and descriptors, because each connection is
// one.
#pragma once

#include "protocol/limits.hpp"

namespace gristmill::limits {

inline constexpr std::size_t hello_endpoints_max = 64; // that one worker announces
inline constexpr std::size_t job_endpoints_max = 256;
inline constexpr std::size_t job_inputs_max = 65'536; // in a specification; more stand in a list
inline constexpr std::size_t job_fields_max = 256;    // that --keep names
inline constexpr std::size_t job_labels_max = 1'000;
inline constexpr std::size_t job_faults_max = 20;         // sentences about one specification
inline constexpr std::size_t template_fields_max = 1'024; // places to be filled, the same ones too
inline constexpr std::size_t request_bytes_max = line_bytes_max; // what a template makes of an item
inline constexpr std::size_t pools_max = 1'024;
inline constexpr std::size_t pool_endpoints_max = 1'024; // of all pools: a frame holds all of them
inline constexpr std::size_t learned_models_max = 64;    // whose use of tokens a job tells apart

// Open files of the coordinator: what it cannot do without, and what of the process's limit is kept
// from connections for the files that have to be opened meanwhile.
inline constexpr std::size_t descriptors_min = 40, descriptors_kept = 16;

} // namespace gristmill::limits
