// RESULT LINE: one line of a result, in the form of OpenAI's Batch output. Invariant: a line proves
// itself wherever it is found.
#pragma once

#include "protocol/ids.hpp"
#include "protocol/node/messages.hpp"
#include "protocol/openai/chunk/chunks.hpp"
#include "protocol/result.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace gristmill::openai {

// What the line of an item has that several models were asked, as JSON; model_answers.hpp has the
// form.
struct ModelAnswers {
  std::string response; // the first model's; empty = it failed
  std::string answers;  // an array: one of each model
  std::string judge;    // an object; empty = none was asked
};

// Of a part that is a chunk of its item's text.
struct ChunkOfText {
  Chunk chunk;
  std::uint32_t number = 0, of = 0; // from 1
};

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
  std::optional<ModelAnswers> models{}; // set: several were asked
  std::optional<std::uint32_t> part{};  // set: the line of one of the item's several parts
  std::optional<ChunkOfText> chunk{};   // set: … which is a chunk
  std::uint64_t chunks = 0;             // of a joined line: so many there are; 0 = no chunks
  std::string parts{};                  // of a failed one: an array of what the chunks answered
  std::string votes{};   // the weight of each label that models or chunks gave; empty = none voted
  bool tie = false;      // several labels have most of it
  bool repaired = false; // the model was told what was wrong with an answer before
};

// One OpenAI Batch output line, without a newline:
//
//   {"id":"batch_req_JOB_ITEM","custom_id":…,"response":{…}|null,"error":{…}|null,
//    "gristmill":{"source":…,["input":{…},]"attempts":…,"model":…,"endpoint":…,"latency_ms":…,"cached":…,
//                 ["repaired":true,]
//                 ["class":…, of a failed item,
//                  "code":…,"message":…, of an error in `response`]
//                 ["label":…|null,]["votes":{LABEL:…},]["tie":true,]
//                 ["answers":[…],["judge":{…},] of several models]
//                 ["chunk":{"number":…,"of":…,"from":…,"to":…,"gap":…}, of a part that is a chunk]
//                 ["chunks":…, of a text that was divided]
//                 ["parts":[{"chunk":…,"response":{…}|null,"error":{…}|null},…], if a chunk failed]
//                 "item":…[,"part":…],"crc":"8 hex digits"}}
//
// A chunk is the bytes `from` to `to` of the text, and `gap` the white space at its end.
//
// The CRC-32C covers every byte before `,"crc":"`, so a line proves itself wherever it is found.
// With an HTTP status the body stands in `response`; without one `error` has code and message. Of
// several models `response` is the first one's answer, and `error` says who failed: both may stand.
std::string result_line(JobId job, std::string_view custom_id, const protocol::Reply& reply,
                        const Provenance& provenance);

struct ReadLine {
  std::uint64_t item = 0;
  std::optional<std::uint32_t> part = {};
};
// Checks the CRC and reads the numbers from the line's tail, without parsing the rest.
Result<ReadLine> check_result_line(std::string_view line);

} // namespace gristmill::openai
