// LINE FACTS: what the summary and the strategies want to know of a result line, read in one pass
// without building a document. The body is foreign JSON: what is missing or of another type than
// expected keeps its default, because statistics must never stand between a user and the result.
#pragma once

#include "protocol/part_number.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace gristmill::merger {

inline constexpr std::size_t line_padding = 64; // bytes that must be readable after a line
inline constexpr std::size_t answers_max = 128; // of a line; more than any server gives

struct Answer {
  std::string_view finish_reason; // stop, length, content_filter, tool_calls, …
  std::uint64_t characters = 0;   // code points of its text
};

// The embeddings of an answer, in the order in which they stand.
struct Vectors {
  std::vector<float> values;     // of all of them
  std::vector<std::size_t> ends; // of each in `values`
  std::uint64_t unreadable = 0;  // neither an array of numbers nor base64 of float32

  std::size_t size() const { return ends.size(); }
  std::span<const float> operator[](std::size_t i) const {
    const std::size_t begin = i == 0 ? 0 : ends[i - 1];
    return std::span{values}.subspan(begin, ends[i] - begin);
  }
  void clear() {
    values.clear();
    ends.clear();
    unreadable = 0;
  }
};

// What one of several models, or the judge, said of an item.
struct ModelAnswer {
  std::string_view model, endpoint;
  std::string_view label; // empty = it gave none, or failed
};
inline constexpr std::size_t model_answers_max = PartNumber::models_max; // of a line

struct LineFacts {
  std::string_view custom_id, source, model, endpoint, label;
  std::uint64_t attempts = 0, latency_ms = 0;
  bool cached = false;
  bool failed = false;
  std::uint64_t http_status = 0;                           // 0 = no HTTP answer, or not its end
  std::string_view error_class, error_code, error_message; // when failed
  std::uint64_t completion_tokens = 0;
  std::vector<Answer> answers;       // of a text model: one for each choice
  std::vector<ModelAnswer> by_model; // in the order of the job's models; none if one was asked
  ModelAnswer judge;                 // without a model if there is none
  bool tie = false;                  // several labels have most of the votes
  Vectors vectors;                   // of an embedding model, if they are wanted
};

class LineFactsReader {
public:
  // Reading the numbers of embeddings costs more than all the rest.
  explicit LineFactsReader(bool wants_vectors = false);
  ~LineFactsReader();

  // `line` is followed by line_padding readable bytes. The facts hold until the next call.
  const LineFacts& read(std::string_view line);

private:
  struct Parser;
  std::unique_ptr<Parser> parser_;
  bool wants_vectors_;
  LineFacts facts_;
};

} // namespace gristmill::merger
