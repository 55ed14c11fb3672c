#include "protocol/openai/line/chunk_line.hpp"

#include "protocol/part_number.hpp"
#include "protocol/text/json_text.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace gristmill::openai {
namespace {

using json::Kind;
using json::Value;

bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

tl::unexpected<Error> no_tiling(std::string message) {
  return fail(ErrorCode::bad_input, std::move(message));
}

// Of the chunk behind `before`, which is all zeros in front of the first.
Result<> check_next(const ChunkSaid& chunk, const ChunkSaid& before) {
  if (chunk.number != before.number + 1 || (before.of != 0 && chunk.of != before.of))
    return no_tiling(fmt::format("expected chunk {} of {}, got chunk {} of {}", before.number + 1,
                                 before.of == 0 ? chunk.of : before.of, chunk.number, chunk.of));
  const bool is_first = before.number == 0;
  const bool goes_on = chunk.to > before.to || (is_first && chunk.of == 1);
  if (chunk.from > before.to || !goes_on)
    return no_tiling(fmt::format(
        "expected chunk {} to begin at byte {}{} and to end behind it, got bytes {} to {}",
        chunk.number, before.to, is_first ? "" : " or before", chunk.from, chunk.to));
  return {};
}

} // namespace

std::optional<ChunkSaid> chunk_in(std::string_view line) {
  const Value said = json::find(about_in(line), "chunk");
  if (!said.is(Kind::object)) return std::nullopt;
  const auto number = [&](std::string_view name) {
    return json::integer_of(json::find(said, name)).value_or(0);
  };
  return ChunkSaid{number("number"), number("of"), number("from"), number("to"),
                   json::text_of(json::find(said, "gap"))};
}

std::vector<PartTexts> by_model(PartTexts parts) {
  std::vector<PartTexts> models;
  while (!parts.empty()) {
    const auto end = std::ranges::find_if(
        parts, [model = PartNumber::of(parts.front().number).model](const PartText& part) {
          return PartNumber::of(part.number).model != model;
        });
    models.push_back(parts.first(static_cast<std::size_t>(end - parts.begin())));
    parts = parts.subspan(models.back().size());
  }
  return models;
}

PartTexts chunks_among(PartTexts parts) {
  return {parts.begin(), std::ranges::find_if(parts, [&](const PartText& part) {
            return PartNumber::of(part.number).level > PartNumber::of(parts.front().number).level;
          })};
}

PartTexts top_of(PartTexts parts) {
  return {std::ranges::find_if(parts,
                               [&](const PartText& part) {
                                 return PartNumber::of(part.number).level ==
                                        PartNumber::of(parts.back().number).level;
                               }),
          parts.end()};
}

std::string in_order(PartTexts parts, const std::vector<std::string>& texts) {
  std::string all, gap;
  for (std::size_t n = 0; n < texts.size(); ++n) {
    const std::string& text = texts[n];
    std::string behind = chunk_in(parts[n].line).value_or(ChunkSaid{}).gap;
    if (text.empty()) {
      if (behind.size() > gap.size()) gap = std::move(behind);
      continue;
    }
    if (!all.empty() && !is_space(all.back()) && !is_space(text.front())) all += gap;
    all += text;
    gap = std::move(behind);
  }
  return all;
}

std::string chunks_json(PartTexts parts) {
  std::string out;
  for (const PartText& part : chunks_among(parts)) {
    const auto chunk = chunk_in(part.line);
    if (!chunk) continue;
    out += fmt::format(R"({}{{"chunk":{},"response":)", out.empty() ? '[' : ',', chunk->number);
    const std::string_view response = response_in(part.line);
    out += response.empty() ? "null" : response;
    out += R"(,"error":)";
    out += part.cls == OutcomeClass::ok ? "null" : failure_of(part.line).json();
    out += '}';
  }
  return out.empty() ? out : out + "]";
}

Result<> check_tiling(PartTexts parts) {
  const PartTexts chunks = chunks_among(parts), top = top_of(parts);
  ChunkSaid before;
  for (const PartText& part : chunks) {
    auto chunk = chunk_in(part.line);
    if (chunk.has_value() != chunk_in(chunks.front().line).has_value())
      return no_tiling("expected chunks alone, or none, got a part that is no chunk among them");
    if (!chunk) continue;
    if (auto checked = check_next(*chunk, before); !checked) return checked;
    before = std::move(*chunk);
  }
  if (before.number != before.of)
    return no_tiling(fmt::format("expected {} chunks, got the first {}", before.of, before.number));
  if (top.size() > 1 && PartNumber::of(top.front().number).level > 0)
    return no_tiling(fmt::format("expected one step that joins all answers, got {} of level {}",
                                 top.size(), PartNumber::of(top.front().number).level));
  return {};
}

} // namespace gristmill::openai
