#include "actors/supervisor/recorder.hpp"

#include "actors/kit/mutant.hpp"
#include "actors/supervisor/parts/last_words.hpp"
#include "protocol/openai/line/result_line.hpp"
#include "protocol/openai/request/canonical.hpp"
#include "protocol/openai/task/labels.hpp"
#include "protocol/text/json_text.hpp"

#include <fmt/format.h>
#include <utility>

namespace gristmill::supervisor {

std::string described(const ItemName& item, const protocol::Reply& reply) {
  return fmt::format("{} ({}): {}", json::printable(item.id, 100), item.source,
                     LastWords::of(reply, "").text());
}

void Recorder::came(const ReportedOutcome& call, std::uint64_t late) {
  const protocol::Outcome& outcome = call.outcome;
  if (outcome.cls == OutcomeClass::ok && late > 0 && mutated("first_outcome_does_not_win"))
    append_.lines.push_back({job_, outcome.parts.at(0).item, outcome.cls, "{}"});
  // Without an attempt there was no call: nobody serves it.
  if (outcome.attempt) append_.acks.push_back({call.session, outcome.attempt});
  append_.note.cost += call.cost;
  append_.note.late += late;
}

void Recorder::decides(const protocol::Outcome& outcome, std::uint64_t parts) {
  if (outcome.attempt) {
    ++append_.note.calls;
    append_.note.attempts += parts;
  }
  append_.note.prompt_tokens += outcome.usage.prompt;
  append_.note.completion_tokens += outcome.usage.completion;
  append_.note.cached_prompt_tokens += outcome.usage.cached;
}

void Recorder::has_read(const InputPosition& read) {
  counts_.total = std::max(counts_.total, read.item);
  counts_.preprocessed.raise_to(read.before);
}

void Recorder::has_read_all() {
  counts_.total_known = true;
  append_.all_read = counts_.preprocessed != Preprocessed{};
}

void Recorder::ambiguous(std::uint64_t calls) {
  append_.note.ambiguous += calls;
}

void Recorder::met(const protocol::Reply& error, const ItemName& item) {
  errors_.met({error.cls, error.code, error.http_status, error.message, item.id, item.source});
}

std::string Recorder::line_of(const Ending& ending, const protocol::Reply& reply,
                              const std::string& endpoint) const {
  openai::Provenance about;
  about.source = ending.item.source;
  about.attempts = ending.tries;
  about.model = reply.model;
  about.endpoint = endpoint;
  about.latency_ms = reply.latency_us / 1'000;
  about.label = openai::label_of(spec_, reply);
  about.item = ending.part.item;
  about.input = ending.input;
  if (ending.of_several) about.part = ending.part.part;
  about.chunk = ending.chunk;
  about.chunks = ending.chunks;
  about.repaired = ending.repaired;
  about.cached = ending.cached;
  return openai::result_line(job_, ending.item.id, reply, about);
}

void Recorder::part_ended(const Ending& ending, const protocol::Reply& reply,
                          const std::string& endpoint, std::uint32_t size) {
  append_.parts.push_back({ending.part, reply.cls, line_of(ending, reply, endpoint), size});
  append_.parts.back().key = answered(ending, reply, append_.parts.back().line.size());
  ++append_.durable.parts;
  ++undurable_lines_;
}

void Recorder::item_ended(const Ending& ending, const protocol::Reply& reply,
                          const std::string& endpoint) {
  if (reply.cls != OutcomeClass::ok)
    errors_.ended_item({reply.cls, reply.code, reply.http_status, {}});
  write(ending.part.item, reply.cls, line_of(ending, reply, endpoint));
  append_.lines.back().key = answered(ending, reply, append_.lines.back().line.size());
  append_.lines.back().stored_in = reply.stored.file;
}

// The key by which others will find the line, if they will.
RequestKey Recorder::answered(const Ending& ending, const protocol::Reply& reply,
                              std::size_t bytes) {
  if (ending.cached) {
    ++append_.note.cached;
    append_.note.saved_prompt_tokens += ending.saved.usage.prompt;
    append_.note.saved_completion_tokens += ending.saved.usage.completion;
    append_.note.saved_cost += ending.saved.cost;
    append_.durable.cached_bytes += bytes;
    undurable_cached_bytes_ += bytes;
  }
  if (!ending.request || ending.cached || reply.cls != OutcomeClass::ok) return {};
  append_.durable.answered.push_back(ending.request);
  if (mutated("key_is_not_kept")) return {};
  return ending.on_fallback ? openai::fallback_key(ending.request.key) : ending.request.key;
}

// That of its part was counted when the part ended; the item's is another one.
void Recorder::joined(JoinedItem item, const ItemName& name) {
  if (item.cls != OutcomeClass::ok) {
    const MetError error{item.cls, item.code, 0, item.message, name.id, name.source};
    errors_.met(error);
    errors_.ended_item(error);
  }
  write(item.item, item.cls, std::move(item.line));
}

void Recorder::write(std::uint64_t item, OutcomeClass cls, std::string line) {
  append_.lines.push_back({job_, item, cls, std::move(line)});
  ++(cls == OutcomeClass::ok ? append_.durable.completed : append_.durable.failed);
  ++undurable_lines_;
}

Append Recorder::take(const InputPosition& low) {
  if (append_.empty()) return std::exchange(append_, {});
  journal::JobNote& note = append_.note;
  note.job = job_;
  note.low = low;
  counts_.calls += note.calls;
  counts_.cached += note.cached;
  counts_.saved_prompt_tokens += note.saved_prompt_tokens;
  counts_.saved_completion_tokens += note.saved_completion_tokens;
  counts_.saved_cost += note.saved_cost;
  counts_.attempts += note.attempts;
  counts_.ambiguous += note.ambiguous;
  counts_.late += note.late;
  counts_.prompt_tokens += note.prompt_tokens;
  counts_.completion_tokens += note.completion_tokens;
  counts_.cached_prompt_tokens += note.cached_prompt_tokens;
  counts_.cost += note.cost;
  return std::exchange(append_, {});
}

void Recorder::durable(const DurableLines& lines) {
  counts_.completed += lines.completed;
  counts_.failed += lines.failed;
  counts_.parts += lines.parts;
  undurable_lines_ -= lines.completed + lines.failed + lines.parts;
  undurable_cached_bytes_ -= lines.cached_bytes;
}

} // namespace gristmill::supervisor
