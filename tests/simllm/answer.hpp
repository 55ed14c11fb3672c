// The bodies of healthy answers, each a function of the call alone.
//
//   chat         choices[0].message.content  = ANSWER of TEXT
//   completions  choices[i].text             = ANSWER of prompt i
//   responses    output[0].content[0].text   = ANSWER of TEXT
//   embeddings   data[i].embedding[k]        = ((crc rotated left by k bits) & 0xffff) / 65535.0
//                where crc is that of input i and k modulo 32 counts; base64 holds the same values
//                as little-endian float32
//
//   ANSWER       = "sim " crc32 of the UTF-8 text in 8 lower-case hex digits {" grain"}
//                  so many words that they and the filler are completion_tokens words, at least two
//   completion_tokens = the smaller of --answer-tokens and the call's max_tokens, for each choice;
//                  finish_reason is "length" when max_tokens was the smaller one, else "stop"
//
// In place of ANSWER a chat gets
//   with --answer label, when it names labels (call.hpp), label number crc modulo their count
//   with --answer echo   TEXT
//   with --answer json   {"checksum":"<crc>","length":<UTF-8 bytes of TEXT>}
//
// Invariant: two calls with the same text get the same answer, whatever else happens.
#pragma once

#include "call.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gristmill::simllm {

// What a chat says; the last two are what faults make of it.
enum class Says { checksum, label, echo, json, unfit, prose };

struct AnswerShape {
  std::uint64_t answer_tokens = 8;
  std::uint64_t dimensions = 8;
  Says says = Says::checksum;
};

// What only the moment of the answer can tell.
struct AnswerStamp {
  std::uint64_t arrival = 0;
  std::uint64_t created_s = 0; // unix time
  std::uint64_t cached_tokens = 0;
};

// What is odd about the list of choices, outputs or embeddings.
//   empty          it has no entry
//   missing_index  of embeddings: that of input count / 2 is left out
//   doubled_index  of embeddings: that of input count / 2 says that it is of the input before
//   backwards      of embeddings: the last comes first; each says rightly of which input it is
enum class ListFlaw { none, empty, missing_index, doubled_index, backwards };

std::uint64_t completion_tokens(const Call& call, const AnswerShape& shape);

void append_answer(std::string& out, const Call& call, const AnswerShape& shape,
                   const AnswerStamp& stamp, ListFlaw flaw);

void append_models(std::string& out, const std::vector<std::string>& models);

} // namespace gristmill::simllm
