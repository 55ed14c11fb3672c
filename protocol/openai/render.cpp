#include "protocol/openai/item_check.hpp"
#include "protocol/openai/json_text.hpp"
#include "protocol/openai/labels.hpp"
#include "protocol/openai/prompt_template.hpp"
#include "protocol/openai/request_body.hpp"
#include "protocol/openai/wire.hpp"

#include <fmt/format.h>

namespace gristmill::openai {
namespace {

using json::Kind;
using json::Value;

constexpr std::string_view whole_document = "{{text}}";

tl::unexpected<Error> bad(std::string message) {
  return fail(ErrorCode::bad_input, std::move(message));
}

// The models that are not the job's or the item's to name.
struct Models {
  std::string_view otherwise; // when nobody names one
  std::string_view above_all;
};

// Who names the model: the call's plan, the job, its parameters, the body, or at last the endpoint.
Result<std::string> model_of(const JobSpec& spec, Value params, Value body, const Models& models) {
  if (!models.above_all.empty()) return std::string{models.above_all};
  if (!spec.model.empty()) return spec.model;
  for (const Value object : {params, body}) {
    const Value named = json::find(object, "model");
    if (named.is(Kind::none) || named.is(Kind::null)) continue;
    if (!named.is(Kind::string))
      return bad(fmt::format("expected model to be a string, got {}", json::name_of(named.kind())));
    if (std::string model = json::text_of(named); !model.empty()) return model;
  }
  if (!models.otherwise.empty()) return std::string{models.otherwise};
  return bad("expected a model from --model, the line's body or an endpoint that serves exactly "
             "one, got none; name one with --model");
}

Result<Request> request_of(const JobSpec& spec, std::string path, Value body,
                           const Models& models) {
  const Value params = json::root(spec.params);
  auto model = model_of(spec, params, body, models);
  if (!model) return tl::unexpected{model.error()};
  Request request{std::move(path), {}, std::move(*model)};
  const bool verbatim =
      !json::Members{params}.next() && json::text_of(json::find(body, "model")) == request.model;
  request.body = verbatim ? std::string{body.text} : overlaid(body, params, request.model);
  if (asks_for_stream({request.body}))
    return bad("expected a request without \"stream\": true, because a batch has no stream; "
               "remove it");
  return request;
}

Result<Request> render_line(const JobSpec& spec, std::string_view raw, const Models& models) {
  if (const auto checked = json::check(raw); !checked)
    return bad("expected a JSON object: " + checked.error().message);
  Value url, body;
  json::Members members{json::root(raw)};
  while (const auto member = members.next()) {
    if (member->named("url")) url = member->value;
    if (member->named("body")) body = member->value;
  }
  auto path = path_of(json::text_of(url));
  if (!path) return tl::unexpected{path.error()};
  // A line asks for what it says; nothing of a task is laid over it.
  if (auto fault = fault_of_task(spec.task, *path); !fault.empty()) return bad(std::move(fault));
  if (!body.is(Kind::object))
    return bad(fmt::format("expected body to be an object, got {}", json::name_of(body.kind())));
  return request_of(spec, std::move(*path), body, models);
}

// An item that fills a template: a text, or an object one of whose fields is the text.
struct Document {
  ItemKind kind;
  std::string_view text; // of a text item
  Value object;          // of an object
  std::string_view text_field;
};

Result<std::string> field_of(const Document& document, std::string_view field) {
  if (document.kind == ItemKind::text) {
    if (field == "text") return std::string{document.text};
    return bad(sentence_of_fields_in_text(field));
  }
  const std::string_view name = field == "text" ? document.text_field : field;
  const Value value = json::find(document.object, name);
  if (value.is(Kind::none)) return bad(sentence_of_missing_field(name, document.object.text));
  return value.is(Kind::string) ? json::text_of(value) : std::string{value.text};
}

Result<std::string> filled(std::string_view text, const Document& document) {
  std::string out;
  PromptTemplate prompt{text};
  for (;;) {
    const auto piece = prompt.next();
    if (!piece) return tl::unexpected{piece.error()};
    if (!*piece) return out;
    out += (*piece)->literal;
    if ((*piece)->field.empty()) continue;
    const auto value = field_of(document, (*piece)->field);
    if (!value) return tl::unexpected{value.error()};
    out += *value;
  }
}

Result<Document> document_of(const JobSpec& spec, ItemKind kind, std::string_view raw) {
  Document document{kind, raw, {}, spec.text_field};
  if (kind == ItemKind::text) {
    if (!json::is_utf8(raw))
      return bad("expected a document in UTF-8, got bytes that are not; convert it");
    return document;
  }
  if (const auto checked = json::check(raw); !checked)
    return bad("expected a JSON object: " + checked.error().message);
  document.object = json::root(raw);
  if (!document.object.is(Kind::object))
    return bad(
        fmt::format("expected a JSON object, got {}", json::name_of(document.object.kind())));
  return document;
}

// The messages of a chat; without a system message there is only the user's.
std::string chat_body(std::string_view model, std::string_view system, std::string_view prompt) {
  std::string body = "{\"model\":";
  json::append_string(body, model);
  body += ",\"messages\":[";
  if (!system.empty()) {
    body += "{\"role\":\"system\",\"content\":";
    json::append_string(body, system);
    body += "},";
  }
  body += "{\"role\":\"user\",\"content\":";
  json::append_string(body, prompt);
  body += "}]}";
  return body;
}

std::string embed_body(std::string_view model, std::string_view text) {
  std::string body = "{\"model\":";
  json::append_string(body, model);
  body += ",\"input\":";
  json::append_string(body, text);
  body += '}';
  return body;
}

// The labels stand behind what the user says of himself, so that they are the last word.
std::string system_of(const JobSpec& spec, std::string system) {
  if (spec.task != "classify") return system;
  if (system.empty() && spec.prompt.empty()) system = label_opening;
  if (!system.empty()) system += "\n\n";
  return system + label_instruction(spec.labels);
}

Result<Request> render_document(const JobSpec& spec, ItemKind kind, std::string_view raw,
                                const Models& models) {
  const auto document = document_of(spec, kind, raw);
  if (!document) return tl::unexpected{document.error()};
  auto system = filled(spec.system, *document);
  if (!system) return tl::unexpected{system.error()};
  const std::string_view prompt_text =
      spec.prompt.empty() ? whole_document : std::string_view{spec.prompt};
  const auto prompt = filled(prompt_text, *document);
  if (!prompt) return tl::unexpected{prompt.error()};
  auto model = model_of(spec, json::root(spec.params), {}, models);
  if (!model) return tl::unexpected{model.error()};

  const bool embed = spec.task == "embed";
  const std::string body = embed ? embed_body(*model, *prompt)
                                 : chat_body(*model, system_of(spec, std::move(*system)), *prompt);
  return request_of(spec, embed ? "/embeddings" : "/chat/completions", {body},
                    {*model, models.above_all});
}

} // namespace

Result<Request> render(const JobSpec& spec, ItemKind kind, std::string_view raw,
                       std::string_view default_model, std::string_view model) {
  const Models models{default_model, model};
  return kind == ItemKind::batch_line ? render_line(spec, raw, models)
                                      : render_document(spec, kind, raw, models);
}

} // namespace gristmill::openai
