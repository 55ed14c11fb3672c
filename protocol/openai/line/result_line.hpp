// RESULT LINE: one line of a result, in the form of OpenAI's Batch output. Invariant: a line proves
// itself wherever it is found.
#pragma once

#include "protocol/ids.hpp"
#include "protocol/node/messages.hpp"
#include "protocol/result.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace gristmill::openai {

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
  std::optional<std::uint32_t> part{}; // set: the line of one of the item's several parts
};

// One OpenAI Batch output line, without a newline:
//
//   {"id":"batch_req_JOB_ITEM","custom_id":…,"response":{…}|null,"error":{…}|null,
//    "gristmill":{"source":…,["input":{…},]"attempts":…,"model":…,"endpoint":…,"latency_ms":…,"cached":…,
//                 ["class":…, of a failed item,
//                  "code":…,"message":…, of an error in `response`][,"label":…],
//                 "item":…[,"part":…],"crc":"8 hex digits"}}
//
// The CRC-32C covers every byte before `,"crc":"`, so a line proves itself wherever it is found.
// With an HTTP status the body stands in `response`; without one `error` has code and message.
std::string result_line(JobId job, std::string_view custom_id, const protocol::Reply& reply,
                        const Provenance& provenance);

struct ReadLine {
  std::uint64_t item = 0;
  std::optional<std::uint32_t> part = {};
};
// Checks the CRC and reads the numbers from the line's tail, without parsing the rest.
Result<ReadLine> check_result_line(std::string_view line);

} // namespace gristmill::openai
