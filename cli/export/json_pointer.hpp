// JSON POINTER (RFC 6901): a place in a document, as /response/body/choices/0. Invariant: what it
// finds is a view into the document; a place that is not there is no error, but nothing.
#pragma once

#include "protocol/result.hpp"
#include "protocol/text/json_text.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace gristmill::cli::flat {

class JsonPointer {
public:
  // Begins with a slash. Errors (usage) are a sentence's end: "expected …, got …".
  static Result<JsonPointer> of(std::string_view text);

  json::Value in(json::Value document) const;

private:
  std::vector<std::string> steps_; // a member's name or an element's number
};

} // namespace gristmill::cli::flat
