// ERROR WORDS: the codes and phrases by which providers say what is wrong, in one table, each row
// with its provider and where it was read. A status says little: an empty purse is 402 here, 400
// and 429 there. Invariant: the first row that matches decides, so a phrase that is more exact than
// the code beside it stands before that code.
#pragma once

#include "protocol/openai/errors/body.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace gristmill::openai {

enum class In : std::uint8_t {
  code,   // is the whole of code, type, number or another word for machines
  prefix, // begins one of them
  part,   // stands in one of them
  text,   // stands in what people read, as whole words
};

// HTTP statuses at which a word counts. Where nothing says a status every row counts.
struct Statuses {
  std::uint16_t low, high;
};

// Who says so, and where that was read.
struct Source {
  std::string_view provider, where;
};

struct WordRow {
  In in;
  std::string_view word; // small letters
  Statuses at;
  OutcomeClass cls;
  const Source& source;
};

// The rows, in rows_account.cpp and rows_request.cpp: the former come first.
std::span<const WordRow> rows_of_accounts();
std::span<const WordRow> rows_of_requests();

// `status` 0: nothing says one.
const WordRow* row_that_matches(std::uint16_t status, const ErrorBody& error);

OutcomeClass class_of_base_resp(std::uint64_t number); // MiniMax

} // namespace gristmill::openai
