// A job as its user stated it; options.hpp has a row for each member. One text form (JSON) serves
// the HTTP API, the journal and the wire. Invariant: without an identity_difference() requests and
// result lines are the same, so a resumed run may continue.
#pragma once

#include "protocol/job/percentage.hpp"
#include "protocol/job/rate_limits.hpp"
#include "protocol/job/task.hpp"
#include "protocol/job/usd.hpp"
#include "protocol/limits.hpp"
#include "protocol/result.hpp"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace gristmill {

// How the bytes of one item are to be read.
enum class ItemKind : std::uint8_t {
  batch_line = 0,  // a line of an OpenAI Batch file
  json_object = 1, // a JSON object whose fields fill the template
  text = 2,        // a whole document
};

struct EndpointSpec {
  std::string url; // base URL as SDKs take it, without a trailing slash: http://host:8000/v1
  std::string api_key_env; // names where the worker finds the key; the key itself never travels
  std::string api_key_file;
  RateLimits limits{};
  // Where the server says how many calls wait and run; empty = it is not asked. Of pools and of
  // workers only: in a job's JSON it has no name, as have windows of input and of output tokens.
  std::string metrics_url{};
  bool operator==(const EndpointSpec&) const = default;
};

struct InputSpec {
  std::string path; // where the coordinator reads it
  std::string name; // what result lines call it
  // As it was when the job was made; 0 = not looked at. An input that changed is another job.
  std::uint64_t bytes = 0;
  std::uint64_t modified_ns = 0;
  // Not 0: `path` is a list of so many inputs, each a line of JSON, and `digest` is the list's.
  std::uint64_t files = 0;
  // Else the digest of the file's content, by which one that was only touched is known; empty = not
  // taken.
  std::string digest{};
  // Not 0: the input is the `bytes` bytes from there on of a file that holds many.
  std::uint64_t offset = 0;
  // Somebody still writes it, or did when the job began: `run -` whose standard input goes on.
  bool grows = false;
  bool operator==(const InputSpec&) const = default;
};

inline constexpr std::uint32_t patience_s_max = 365 * 24 * 3'600;

// Models in the order in which the user names them; in JSON one is a string, several are an array.
struct ModelNames : std::vector<std::string> {
  using std::vector<std::string>::vector;
  static ModelNames of(std::string one) { // empty = none
    return one.empty() ? ModelNames{} : ModelNames{std::move(one)};
  }
  std::string first() const { return empty() ? std::string{} : front(); }
};

enum class ResultOrder : std::uint8_t { input, completion };
template <>
inline constexpr std::array<std::string_view, 2> enum_names<ResultOrder>{"input", "completion"};

// What an input is; automatic = its name and its content say.
enum class InputForm : std::uint8_t { automatic, batch, jsonl, csv, tsv, text, lines };
template <>
inline constexpr std::array<std::string_view, 7> enum_names<InputForm>{
    "auto", "batch", "jsonl", "csv", "tsv", "text", "lines"};

// What the requests and the result lines of a job are made of. With the inputs it identifies the
// job.
struct RequestShape {
  Task task = Task::chat;
  std::string prompt; // template; {{text}} and {{field}}
  std::string system;
  ModelNames models;         // that each item is asked of, overriding a line's; none = the line's
  std::string params = "{}"; // JSON object merged over the request body
  std::uint64_t max_tokens = 0; // of an answer, in the words of the request's path; 0 = not said
  std::string id_field = "id";
  std::string text_field = "text";
  ResultOrder order = ResultOrder::input;
  std::string judge_model;  // sees the answers of `models`; empty = there is no judge
  std::string judge_prompt; // template; {{answer.1}} is the first model's answer
  // A document is asked for in chunks of so many tokens at most, so many of them the end of the
  // chunk before; 0 = as a whole. Without `reduce_prompt` the answers are joined.
  std::uint32_t chunk_tokens = 0, chunk_overlap = 0;
  std::string reduce_prompt;       // template; {{answers}} are those to several chunks
  std::string tokenizer;           // that counts, as a TokenizerId; empty = tokens are estimated
  std::vector<std::string> labels; // the classes of task "classify"
  std::vector<std::string> keep;   // input fields that are copied into the result line
  std::string assume_url;          // of batch lines that name no method and no url; empty = none
  std::string delimiter;           // of tables, one character; empty = found by each one's header
  InputForm format = InputForm::automatic; // of all inputs
  // What is an item, in this order.
  bool normalise = false;         // texts are read in one spelling
  std::vector<std::string> where; // conditions that a record has to meet, all of them
  bool drop_empty = false;        // documents without text are no items, instead of error lines
  Percentage sample;              // of the records
  std::uint64_t sample_seed = 0;
  bool operator==(const RequestShape&) const = default;
};

// What the job may take, whatever its endpoints allow.
struct JobLimits {
  RateLimits rates{};
  Usd budget{};            // the most that the job may cost in its whole life; 0 = unlimited
  std::uint64_t items = 0; // the first N only; 0 = all
  std::uint64_t line_bytes_max = 16u << 20;
  bool operator==(const JobLimits&) const = default;
};

// How calls are made, and what becomes of those that fail.
struct JobPolicy {
  std::string default_model;  // of an item whose request names none: found at the job's endpoints
  std::string fallback_model; // for an item that cannot succeed at its first model; empty = none
  std::uint32_t timeout_ms = 600'000;
  std::uint32_t connect_timeout_ms = 10'000;
  std::uint32_t retries = 5;
  std::uint32_t patience_s = 0;    // longest wait for endpoints that are away or full; 0 = any
  std::uint32_t batch_size = 256;  // most calls sent to a worker together
  std::uint32_t hedge_percent = 0; // of the items: second calls of its last ones; 0 = off
  std::uint32_t pack = limits::pack_inputs_max; // most inputs of a call for embeddings; 1 = off
  bool dedupe = false;                          // equal requests are called once
  bool no_cache = false;                        // whatever cache of answers there is
  bool no_check = false;                  // answers need not fit the schema that the requests name
  std::uint64_t max_failures = 0;         // failed items that pause the job; 0 = off
  std::uint32_t max_failure_percent = 50; // of the terminal items, once there are 100; 0 = off
  bool strict = false;                    // a bad input line fails the job at once
  bool no_field_needed = false;           // the template may use nothing of the documents
  bool operator==(const JobPolicy&) const = default;
};

// Its part of what it shares with the coordinator's other jobs.
struct JobShare {
  std::uint32_t weight = 1;    // against those of its priority
  std::uint32_t priority = 50; // higher goes first, whatever the weights
  std::uint64_t deadline = 0;  // unix seconds; 0 = none
  bool operator==(const JobShare&) const = default;
};

struct JobSpec {
  std::vector<InputSpec> inputs;
  RequestShape shape;
  // What may change when the job is resumed.
  std::vector<EndpointSpec> endpoints; // the job's own pool; empty = the pool that serves the model
  JobLimits limits;
  JobPolicy policy;
  JobShare share;
  bool open = false;          // more inputs are appended, until somebody closes it
  std::string output;         // where the merged result is written; empty = in the job's directory
  std::string tokenizer_file; // where the coordinator reads the ranks of `tokenizer`

  bool operator==(const JobSpec&) const = default;
};

std::string to_json(const JobSpec& spec);
// What workers need to make its calls.
std::string json_for_workers(const JobSpec& spec);
// Members that are not known: a user's slip of the pen, or those of another release of ours.
enum class Unknown : std::uint8_t { refused, skipped };
Result<JobSpec> job_spec_from_json(std::string_view text, Unknown unknown = Unknown::refused);
// A line of a list of inputs.
std::string to_json(const InputSpec& input);
Result<InputSpec> input_spec_from_json(std::string_view text);

// Each file that the coordinator reads for it.
std::vector<InputSpec> files_of(const JobSpec& spec);

// The first identifying field in which the two differ, as its option's name; empty = same job.
std::string identity_difference(const JobSpec& before, const JobSpec& now);

} // namespace gristmill
