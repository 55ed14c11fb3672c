// What one model call asks for: the facts that the answer, the faults and the limits need.
//
// TEXT, on which everything deterministic rests, is
//   chat         the text of the last message: its content, or its text parts put together
//   completions  the prompt; several prompts are joined by a line feed
//   embeddings   the input; several inputs are joined by a line feed
//   responses    the input; for a list of messages as in chat
//   a repair     as without its last two messages: an answer of the assistant, and a message that
//                says "does not fit the JSON schema"
// where a list of token ids is the text of its numbers with spaces between them; and prompt_tokens
// = (UTF-8 bytes of all texts + 3) / 4 + 4 per message, where each prompt, each embedding input and
// the responses' `instructions` count as one message.
//
// Invariant: a Call's views live until its reader reads the next one, or the request's bytes go.
#pragma once

#include <simdjson.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gristmill::simllm {

enum class Route { chat, completions, embeddings, responses };

// The route of a request path, whatever stands before it; none for any other path.
std::optional<Route> route_of(std::string_view path);

struct Call {
  Route route = Route::chat;
  std::string_view model;
  std::string_view text;
  std::string_view first_text;          // of the first message that is a string
  std::uint32_t crc = 0;                // of text
  std::vector<std::uint32_t> items;     // one checksum for each prompt or embedding input
  std::vector<std::string_view> labels; // of a chat: the lines "- X" below a line "Labels:"
  std::uint64_t prompt_tokens = 0;
  std::optional<std::uint64_t> max_tokens;
  std::optional<std::uint64_t> dimensions;
  bool base64 = false;
  bool wants_json = false; // of a chat: by its response_format
  // Names and types of what its schema, if it has one, has on the first level.
  std::vector<std::pair<std::string, std::string>> properties;
  std::string_view problem; // not empty: refused with status 400 and this sentence
};

class CallReader {
public:
  // `padded` must be followed by simdjson::SIMDJSON_PADDING readable bytes.
  const Call& read(Route route, std::string_view padded);

private:
  using Element = simdjson::dom::element;

  void read_body(const Element& body);
  void read_messages(const Element& messages);
  bool is_repair(const simdjson::dom::array& messages) const;
  void read_texts(const Element& texts);
  void read_item(const Element& item);
  void read_limits(const Element& body);
  std::string_view content_text(const Element& message);
  void count_text(std::string_view text);
  void read_labels(std::string_view text);

  simdjson::dom::parser parser_;
  Call call_;
  std::string joined_;
  std::uint64_t bytes_ = 0;
  std::uint64_t messages_ = 0;
};

} // namespace gristmill::simllm
