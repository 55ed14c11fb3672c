#include "protocol/openai/request/render.hpp"
#include "protocol/job/spec.hpp"
#include "protocol/openai/api.hpp"
#include "protocol/openai/request/request_body.hpp"
#include "protocol/openai/task/labels.hpp"
#include "protocol/openai/template/document_template.hpp"
#include "protocol/openai/template/item_check.hpp"
#include "protocol/result.hpp"
#include "protocol/text/json_text.hpp"

#include <fmt/format.h>

namespace gristmill::openai {
namespace {

using json::Kind;
using json::Value;

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
  if (!spec.shape.models.empty()) return spec.shape.models.first();
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
  const Value params = json::root(spec.shape.params);
  auto model = model_of(spec, params, body, models);
  GRISTMILL_TRY(model);
  Request request{std::move(path), {}, std::move(*model)};
  std::vector<std::string_view> limits;
  if (spec.shape.max_tokens > 0) limits = answer_limit_words(api_of(request.path), body, params);
  const bool verbatim = limits.empty() && !json::Members{params}.next() &&
                        json::text_of(json::find(body, "model")) == request.model;
  request.body = verbatim ? std::string{body.text}
                          : overlaid(body, params, request.model, spec.shape.max_tokens, limits);
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
  const bool assumed = url.is(Kind::none) && !spec.shape.assume_url.empty();
  auto path = path_of(assumed ? spec.shape.assume_url : json::text_of(url));
  GRISTMILL_TRY(path);
  // A line asks for what it says; nothing of a task is laid over it.
  if (auto fault = fault_of_task(spec.shape.task, *path); !fault.empty())
    return bad(std::move(fault));
  if (!body.is(Kind::object))
    return bad(fmt::format("expected body to be an object, got {}", json::name_of(body.kind())));
  return request_of(spec, std::move(*path), body, models);
}

Result<> check_document(ItemKind kind, std::string_view raw) {
  if (kind == ItemKind::text) {
    if (!json::is_utf8(raw))
      return bad("expected a document in UTF-8, got bytes that are not; convert it");
    return {};
  }
  if (const auto checked = json::check(raw); !checked)
    return bad("expected a JSON object: " + checked.error().message);
  if (const Value object = json::root(raw); !object.is(Kind::object))
    return bad(fmt::format("expected a JSON object, got {}", json::name_of(object.kind())));
  return {};
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
  const TaskInfo& task = info(spec.shape.task);
  if (system.empty() && spec.shape.prompt.empty()) system = task.opening;
  if (!task.has_labels) return system;
  if (!system.empty()) system += "\n\n";
  return system + label_instruction(spec.shape.labels);
}

Result<Request> render_document(const JobSpec& spec, const DocumentTemplate& documents,
                                ItemKind kind, std::string_view raw, const Models& models) {
  GRISTMILL_TRY(check_document(kind, raw));
  auto text = documents.fill(kind, raw);
  GRISTMILL_TRY(text);
  auto model = model_of(spec, json::root(spec.shape.params), {}, models);
  GRISTMILL_TRY(model);

  const TaskInfo& task = info(spec.shape.task);
  const std::string body =
      task.embeds ? embed_body(*model, text->prompt)
                  : chat_body(*model, system_of(spec, std::move(text->system)), text->prompt);
  return request_of(spec, std::string{task.path}, {body}, {*model, models.above_all});
}

} // namespace

Result<Request> render(const JobSpec& spec, const DocumentTemplate& documents, ItemKind kind,
                       std::string_view raw, std::string_view default_model,
                       std::string_view model) {
  const Models models{default_model, model};
  return kind == ItemKind::batch_line ? render_line(spec, raw, models)
                                      : render_document(spec, documents, kind, raw, models);
}

Result<Request> render(const JobSpec& spec, ItemKind kind, std::string_view raw,
                       std::string_view default_model, std::string_view model) {
  return render(spec, DocumentTemplate{spec}, kind, raw, default_model, model);
}

} // namespace gristmill::openai
