// BATCH LINE: a line of an OpenAI Batch input file, and fields of objects as they were spelled.
// Invariant: what is read here has been checked as JSON, and nothing of it is rendered.
#pragma once

#include "protocol/result.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace gristmill::openai {

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

// The named members of an object, as JSON `{"F":value,…}` in the order of `fields`, values as they
// were spelled but on one line; a missing one is left out. Of what is no object: nothing.
std::string kept_fields(std::string_view object, const std::vector<std::string>& fields);

} // namespace gristmill::openai
