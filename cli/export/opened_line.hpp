// OPENED LINE: a result line taken apart, whatever API its answer is of. What stands in the line is
// a view into it; what has to be made of it (a text in several parts, a vector in base64) is kept
// as long as the line is open. Invariant: whatever is returned is one JSON value, or nothing where
// the line has none.
#pragma once

#include "protocol/text/json_text.hpp"

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

namespace gristmill::cli::flat {

// Where something stands that has a name of its own; opened_line.cpp has the paths, in this order.
enum class Place : std::uint8_t {
  id,
  custom_id,
  status_code,
  body,
  choice,
  message,
  content,
  text,
  finish_reason,
  usage,
  output,
  data,
  response_status,
  incomplete_reason,
  error,
  error_code,
  error_message,
  source,
  input,
  attempts,
  model,
  endpoint,
  latency_ms,
  cached,
  repaired,
  error_class,
  read_code,
  read_message,
  label,
  votes,
  tie,
  answers,
  judge,
  chunks,
  item,
};
inline constexpr std::size_t place_count = static_cast<std::size_t>(Place::item) + 1;

class OpenedLine {
public:
  // `line`: checked as a result line; it outlives this one.
  explicit OpenedLine(std::string_view line);
  OpenedLine(const OpenedLine&) = delete;
  OpenedLine& operator=(const OpenedLine&) = delete;

  bool has_failed() const { return failed_; }
  json::Value root() const { return root_; }
  json::Value at(Place place) const { return found_[static_cast<std::size_t>(place)]; }
  // Of a failed item, as `error` has them or, of a server's error in its own form, `gristmill`.
  json::Value error_code() const;
  json::Value error_message() const;

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
  json::Value text_of_model(json::Value answer); // null if it failed

private:
  json::Value kept(std::string json); // what is made of a line
  // A text that stands in one string is passed on as it is spelled.
  json::Value text_of_choice(json::Value message, json::Value content, json::Value text);
  json::Value text_in(json::Value body);
  json::Value vectors_in(json::Value data);
  json::Value vector_of(json::Value embedding);

  json::Value root_;
  std::array<json::Value, place_count> found_;
  bool failed_ = false;
  std::optional<json::Value> content_;
  std::optional<json::Value> structured_;
  std::deque<std::string> kept_;
};

} // namespace gristmill::cli::flat
