// OPENED LINE: a result line taken apart as far as it is asked for, whatever API the answer is of.
// What is asked for twice is looked for once; what stands in the line is a view into it, and what
// has to be made of it (a text in several parts, a vector in base64) is kept until the next line.
// Invariant: whatever is returned is one JSON value, or nothing where the line has none.
#pragma once

#include "protocol/text/json_text.hpp"

#include <deque>
#include <optional>
#include <string>
#include <string_view>

namespace gristmill::cli::flat {

class OpenedLine {
public:
  // `line`: checked as a result line; it outlives this one.
  explicit OpenedLine(std::string_view line);
  OpenedLine(const OpenedLine&) = delete;
  OpenedLine& operator=(const OpenedLine&) = delete;

  bool has_failed() const { return failed_; }
  json::Value root() const { return root_; }
  json::Value id() const { return id_; }
  json::Value custom_id() const { return custom_id_; }
  json::Value response() const { return response_; }
  json::Value about(std::string_view name) const { return json::find(about_, name); }
  // Of a failed item, as `error` has it or, of a server's error in its own form, `gristmill`.
  json::Value error(std::string_view name) const;

  // The text or the vector of the answer; nothing of a failed item, because beside its error may
  // stand what only one of several models said.
  json::Value content();
  // The JSON that the content is, without a model's thoughts and without a fence around it.
  json::Value structured();
  json::Value finish_reason() const;

  enum class Tokens : bool { prompt, completion };
  // Of several models what all of them took.
  json::Value tokens(Tokens which);

  // One of several models, by its number from 1 or by its name; nothing if it was not asked.
  json::Value model(std::uint64_t number, std::string_view name) const;
  json::Value judge() const { return about("judge"); }
  json::Value text_of_model(json::Value answer); // null if it failed

private:
  json::Value kept(std::string json); // what is made of a line
  json::Value text_in(json::Value body);
  json::Value vectors_in(json::Value data);
  json::Value vector_of(json::Value embedding);

  json::Value root_, id_, custom_id_, response_, error_, about_, body_;
  bool failed_ = false;
  std::optional<json::Value> content_;
  std::optional<json::Value> structured_;
  std::deque<std::string> kept_;
};

} // namespace gristmill::cli::flat
