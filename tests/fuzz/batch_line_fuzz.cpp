// Foreign lines of a batch file. A line that is accepted can be rendered, or is refused with a
// sentence; what is rendered is JSON again, names a path of ours, and its token bound covers it.
#include "protocol/job/spec.hpp"
#include "protocol/openai/line/batch_line.hpp"
#include "protocol/openai/request/canonical.hpp"
#include "protocol/openai/request/render.hpp"
#include "protocol/openai/tokens/bound.hpp"
#include "protocol/text/json_text.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>

using namespace gristmill;

namespace {

void expect(bool holds) {
  if (!holds) std::abort();
}

void render(const JobSpec& spec, ItemKind kind, std::string_view raw) {
  const auto request = openai::render(spec, kind, raw, "m");
  if (!request) return expect(!request.error().message.empty());
  expect(json::check(request->body).has_value());
  expect(request->path.starts_with('/') && !request->model.empty());
  expect(openai::request_key(*request).has_value());
  expect(openai::token_bound(spec, kind, raw, 100) > 0);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view raw{reinterpret_cast<const char*>(data), size};
  JobSpec plain, laid_over;
  laid_over.shape.models = {"other"};
  laid_over.shape.params = R"({"temperature":0,"max_tokens":5})";
  laid_over.shape.prompt = "{{text}} {{id}}";

  const auto line = openai::read_batch_line(raw);
  expect(line ? !line->custom_id.empty() && line->path.starts_with('/')
              : !line.error().message.empty());
  for (const JobSpec& spec : {plain, laid_over}) {
    for (const ItemKind kind : {ItemKind::batch_line, ItemKind::json_object, ItemKind::text})
      render(spec, kind, raw);
    // Asked before anything is rendered, so it must bear a line that nobody has checked.
    openai::token_bound(spec, ItemKind::batch_line, raw, 100);
  }
  return 0;
}
