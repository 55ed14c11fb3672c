// What Gristmill knows of OpenAI's formats: which paths it may call, how a batch line is read, how
// a request is rendered, how an answer is judged. Pure text in, plain structs out; the same
// functions serve coordinator and worker.
#pragma once

#include "protocol/job_spec.hpp"
#include "protocol/messages.hpp"
#include "protocol/outcome_class.hpp"
#include "protocol/result.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gristmill::openai {

// The kinds of call whose answers are read strictly; `other` passes through (valid JSON is enough).
enum class Api : std::uint8_t { chat, completions, responses, embeddings, other };

// The path below the base URL for a batch line's url ("/v1/chat/completions" ->
// "/chat/completions") if it is on the allow-list (chat completions, completions, responses,
// embeddings, moderations, score, rerank; with or without "/v1"); an error that names the list
// otherwise. A url with scheme, host, "//", "@", "..", '?', '#', CR or LF is refused.
Result<std::string> path_of(std::string_view url);
Api api_of(std::string_view path);

// In batch_line.cpp.

// One line of an OpenAI Batch input file, checked without being rendered.
struct BatchLine {
  std::string custom_id;
  std::string path; // below the base URL
};
// The error's message says what was expected and what came; the caller adds FILE:LINE. A line that
// names no method and no url is a POST to `assume_url`, unless that is empty.
Result<BatchLine> read_batch_line(std::string_view line, std::string_view assume_url = {});

// The value of a string (or number, as its text) field of a JSON object, for ids; empty = absent.
Result<std::string> field_text(std::string_view object, std::string_view field);

// The id of a line that is no JSON, or only the beginning of a line: the first value under the
// field's name in the outermost object that is whole and a string or a number; empty = there is
// none that could be an id.
std::string readable_id(std::string_view broken, std::string_view field);

// The named members of an object, as JSON `{"F":value,…}` in the order of `fields`, values as they
// were spelled but on one line; a missing one is left out. Of what is no object: nothing.
std::string kept_fields(std::string_view object, const std::vector<std::string>& fields);

// In render.cpp.

struct Request {
  std::string path; // below the base URL
  std::string body; // JSON
  std::string model;
};

// Renders one item: a batch line's body with the job's model and parameters laid over it, or the
// job's template filled with the item's fields ({{text}}, {{field}}; JSON strings as their text,
// other values as JSON). Nothing else is added, but for the labels of the task `classify`
// (labels.hpp). `default_model` is used when neither job nor line names one; `model`, when given,
// is asked for whatever they say. Errors: a template field that is missing (named), no model,
// `stream` asked for, a batch line that does not fit the job's task.
Result<Request> render(const JobSpec& spec, ItemKind kind, std::string_view raw,
                       std::string_view default_model, std::string_view model = {});

// Names in {{…}} of a template, in order, each once; an error for an unclosed or empty one.
Result<std::vector<std::string>> template_fields(std::string_view text);

// In canonical.cpp.

// Two requests with the same key ask the same thing: BLAKE2b-256 over path and body with object
// members sorted and whitespace removed, as 64 hex digits. Numbers keep their spelling.
Result<std::string> canonical_key(const Request& request);

// In token_bound.cpp.

// An upper bound of the tokens that a request may be charged: UTF-8 bytes of all its text plus a
// fixed overhead per message, plus n times the most the answer may have (max_completion_tokens,
// max_tokens, max_output_tokens, else `max_output_tokens_default`). A byte-level tokenizer makes at
// least one byte of each token, hence the bound. Embeddings have no answer tokens. Takes the raw
// item, so that the coordinator need not render: the bytes of the raw item bound those of its text.
struct TokenBound {
  std::uint64_t input = 0, output = 0;
  bool output_stated = true;   // the request limits its answer, or there is none that counts
  std::uint64_t total() const; // the greatest number, if it is beyond all
};
TokenBound token_bounds(const JobSpec& spec, ItemKind kind, std::string_view raw,
                        std::uint64_t max_output_tokens_default);
// Whether the job itself limits the answers to all its documents.
bool limits_answers(const JobSpec& spec);
std::uint64_t token_bound(const JobSpec& spec, ItemKind kind, std::string_view raw,
                          std::uint64_t max_output_tokens_default);

// In prefix.cpp.

// A name for how the request begins: the hash of the first `prefix_bytes` of its messages (or
// instructions, prompt, input) as the line spells them, or of the system text and the prompt with
// the item's fields in their places. 0 = it is shorter, or an embedding: nothing is worth sharing.
inline constexpr std::size_t prefix_bytes = 1'024;
std::uint64_t prefix_of(const JobSpec& spec, ItemKind kind, std::string_view raw);

// In reply.cpp.

struct Reply {
  OutcomeClass cls = OutcomeClass::ok;
  protocol::Usage usage;
  std::int64_t retry_after_ms = -1; // clamped to [0, 600 s]
  bool tokens_refused = false;      // of class rate or ramp: the limit is one of tokens
  std::vector<protocol::LimitHint> limits;
  std::string request_id, model, code, message;
  std::string body; // the answer as one line of JSON; of an HTML or cut error answer nothing
};

using Headers = std::vector<std::pair<std::string, std::string>>; // lower-case names

// What was told as an answer that a worker judged: its body is one line of checked JSON, or there
// is none, and an ok without one is none.
void judge_body(protocol::Outcome& outcome);

// What a request asks for, as far as its answer can be held against it (asked.hpp).
struct Asked {
  Asked(Api kind = Api::other) : api{kind} {} // no more is known
  Api api;
  std::uint64_t answers = 0; // embeddings, or choices at least; 0 = nobody can say
  bool json = false;         // the text has to be JSON
};

// Judges a complete HTTP answer by status, body and headers.
//
// A 200 counts as ok only if the whole body is JSON of its kind (chat has choices[0].message,
// completions choices[0].text, responses output, embeddings data with an embedding for each input,
// others any object or array), names no error, and no choice in it says that it failed
// (answer.hpp). Of an error the words decide before the status (error_words.hpp).
// Headers: retry-after-ms first, then retry-after (header_time.hpp, against the answer's own date,
// else `unix_now`), then what
// the body asks for; limits as limit_headers.hpp says; x-should-retry overrides the status rule;
// request id from x-request-id or request-id.
Reply read_reply(const Asked& asked, std::uint16_t http_status, const Headers& headers,
                 std::string_view body, std::int64_t unix_now);

// In result_line.cpp.

// What Gristmill adds to a result line.
struct Provenance {
  std::string source; // FILE:LINE
  std::uint32_t attempts = 0;
  std::string model, endpoint;
  std::uint64_t latency_ms = 0;
  bool cached = false;
  std::uint64_t item = 0;
  std::string input{}; // fields of --keep as a JSON object; empty = none were asked for
  std::string label{}; // of the task `classify`; empty = none
};

// One OpenAI Batch output line, without a newline:
//
//   {"id":"batch_req_JOB_ITEM","custom_id":…,"response":{…}|null,"error":{…}|null,
//    "gristmill":{"source":…,["input":{…},]"attempts":…,"model":…,"endpoint":…,"latency_ms":…,"cached":…,
//                 ["class":…, of a failed item,
//                  "code":…,"message":…, of an error in `response`][,"label":…],
//                 "item":…,"crc":"8 hex digits"}}
//
// The CRC-32C covers every byte before `,"crc":"`, so a line proves itself wherever it is found.
// With an HTTP status the body stands in `response`; without one `error` has code and message.
std::string result_line(JobId job, std::string_view custom_id, const protocol::Outcome& outcome,
                        const Provenance& provenance);

struct ReadLine {
  std::uint64_t item = 0;
};
// Checks the CRC and reads the item's number from the line's tail, without parsing the rest.
Result<ReadLine> check_result_line(std::string_view line);

std::uint32_t crc32c(std::string_view bytes, std::uint32_t seed = 0);

} // namespace gristmill::openai
