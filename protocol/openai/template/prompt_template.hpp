// A prompt template as alternating literals and fields: "Translate {{text}} now" is the literal
// "Translate " with the field "text", then the literal " now" without one. Space inside the braces
// does not count. A backslash before the braces makes them literal: \{{ is sent as {{; two of them
// are one backslash before a field. Invariant: the pieces point into the template, in its order.
#pragma once

#include "protocol/result.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gristmill::openai {

class PromptTemplate {
public:
  explicit PromptTemplate(std::string_view text) : rest_{text} {}

  struct Piece {
    std::string_view literal;
    std::string_view field; // empty where nothing is to be filled in
  };
  // Nothing after the last piece; an error for an unclosed or empty field.
  Result<std::optional<Piece>> next();

private:
  std::string_view rest_;
  std::size_t literal_ = 0; // so many bytes at its beginning open nothing
};

// Names in {{…}} of a template, in order, each once; an error for an unclosed or empty one.
Result<std::vector<std::string>> template_fields(std::string_view text);

} // namespace gristmill::openai
