// Every bound of the wire and of the machine's queues, in one place, with the relations between
// them asserted. Invariant: whoever receives checks the bound before allocating.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace gristmill::limits {

inline constexpr std::size_t kib = 1024, mib = 1024 * kib;

// One maximal item must fit a frame, with its envelope.
inline constexpr std::size_t frame_bytes_max = 24 * mib;
inline constexpr std::size_t line_bytes_max = 16 * mib;   // default of --max-line-bytes
inline constexpr std::size_t reply_bytes_max = 16 * mib;  // body of one model reply
inline constexpr std::size_t metrics_bytes_max = 4 * mib; // a server's page of metrics
inline constexpr std::size_t reply_header_bytes_max = 64 * kib;
inline constexpr std::size_t kept_bytes_max = 4 * mib; // input fields copied into a result line
static_assert(line_bytes_max + 64 * kib < frame_bytes_max);
static_assert(kept_bytes_max + reply_bytes_max + 256 * kib < frame_bytes_max);
static_assert(reply_bytes_max + 64 * kib < frame_bytes_max);

inline constexpr std::size_t frame_target_bytes = 1 * mib; // batches and outcomes are cut near this
inline constexpr std::uint32_t frame_elements_max = 65'536; // of any array or map in a frame
inline constexpr std::uint32_t frame_depth_max = 8;
// So that the number of a frame's elements, 5 + 2 for each message, stands in one byte.
inline constexpr std::uint32_t frame_messages_max = 5;
inline constexpr std::uint32_t json_depth_max = 256;    // levels of a line, a request or an answer
inline constexpr std::size_t name_bytes_max = 256;      // worker names, models, urls' parts
inline constexpr std::size_t text_bytes_max = 64 * kib; // sentences, reasons
inline constexpr std::size_t spec_bytes_max = 4 * mib;  // a job's specification
inline constexpr std::size_t custom_id_bytes_max = 512;

inline constexpr std::uint32_t batch_calls_max = 256;   // default of --batch-size
inline constexpr std::uint32_t held_calls_max = 16'384; // a worker never holds more
inline constexpr std::size_t held_bytes_max = 64 * mib;
inline constexpr std::size_t outcome_window_bytes = 64 * mib; // unrecorded outcomes of one session
// Documents and answers that have fewer are told by value, though the directory is shared.
inline constexpr std::size_t by_reference_bytes_min = 100;
inline constexpr std::uint32_t sessions_max = 4'096;
inline constexpr std::uint32_t sessions_per_key_max = 3'072; // one key cannot fill the roster
// What a session may be sent before it has said that it heard of it.
inline constexpr std::size_t unheard_bytes_max = held_bytes_max + 2 * frame_bytes_max;
inline constexpr std::uint32_t worker_calls_max = frame_elements_max; // held and in flight
inline constexpr std::uint32_t departed_calls_max = 262'144; // of lost sessions, still known
// Of the specifications that a worker keeps of jobs that it holds no call of, each with its rest.
inline constexpr std::size_t kept_specs_bytes_max = 16 * mib, kept_spec_bytes_least = 4 * kib;
// More tokens beyond a call's bound than that no answer has.
inline constexpr std::uint64_t tokens_beyond_bound_max = 1 << 20;

inline constexpr std::size_t offer_bytes_max = 16 * mib; // ready calls of one job
inline constexpr std::uint32_t offer_calls_max = 4'096;
inline constexpr std::uint32_t live_parts_max = 262'144; // of one job: offered, out or waiting

inline constexpr int socket_hwm_frames = 1'000;
inline constexpr std::size_t gateway_in_bytes_max = 128 * mib; // received, not yet handled
inline constexpr std::size_t peer_out_bytes_max = 128 * mib;   // of one peer, not yet sent

// What a client, a worker or a file chooses the length of: what is done for each entry is done
// where others wait for it.
inline constexpr std::size_t hello_endpoints_max = 64; // that one worker announces
inline constexpr std::size_t job_endpoints_max = 256;
inline constexpr std::size_t job_inputs_max = 65'536;  // in a specification; more stand in a list
inline constexpr std::size_t job_appends_max = 65'536; // of an open job; each key is kept
inline constexpr std::size_t appended_inputs_max = 1'000'000; // … in all of them
inline constexpr std::size_t job_fields_max = 256;            // that --keep names
inline constexpr std::size_t job_labels_max = 1'000;
inline constexpr std::size_t job_faults_max = 20;         // sentences about one specification
inline constexpr std::size_t template_fields_max = 1'024; // places to be filled, the same ones too
inline constexpr std::size_t request_bytes_max = line_bytes_max; // what a template makes of an item
// So small a chunk is no text any more; and no line has more chunks than a part's number can say.
inline constexpr std::uint32_t chunk_tokens_min = 16, chunk_tokens_max = 1u << 24;
// A rank file, which is a tokenizer's vocabulary, and how many of them are in memory for all jobs.
inline constexpr std::size_t rank_file_bytes_max = 16 * mib, ranks_max = 1u << 19;
inline constexpr std::size_t tokenizers_max = 16;
// Parts of one model of an item that are open at a time; the others wait for some to end.
inline constexpr std::uint32_t open_chunks_max = 8'192;
// Of a call of several inputs: as many as OpenAI takes, with as many tokens; and the bytes of it
// and, as far as they can be foreseen, of its answer.
inline constexpr std::uint32_t pack_inputs_max = 2'048;
inline constexpr std::uint64_t pack_tokens_max = 300'000;
inline constexpr std::size_t pack_bytes_max = 2 * mib, pack_reply_bytes_max = reply_bytes_max / 2;
inline constexpr std::size_t packed_models_max = 64; // whose calls of several inputs a job makes
// In the calls that a worker holds or makes: a Hello lists the parts of each.
inline constexpr std::uint32_t worker_parts_max = 65'536;
inline constexpr std::size_t part_name_bytes_max = 32; // in a frame
static_assert(pack_inputs_max <= worker_parts_max && pack_bytes_max < frame_bytes_max);
static_assert((worker_parts_max + pack_inputs_max) * part_name_bytes_max < frame_bytes_max / 2);
// Of an answer that its model is to repair, and of all that wait for that in one job.
inline constexpr std::size_t repair_bytes_max = 64 * kib, all_repairs_bytes_max = 32 * mib;
inline constexpr std::size_t pools_max = 1'024;
inline constexpr std::size_t pool_endpoints_max = 1'024; // of all pools: a frame holds all of them
inline constexpr std::size_t found_limits_max =
    1'024; // endpoints whose calls in flight are remembered
inline constexpr std::size_t learned_models_max = 64; // whose use of tokens a job tells apart

// Open files of the coordinator: what it cannot do without, and what of the process's limit is kept
// from connections for the files that have to be opened meanwhile.
inline constexpr std::size_t descriptors_min = 40, descriptors_kept = 16;

} // namespace gristmill::limits
